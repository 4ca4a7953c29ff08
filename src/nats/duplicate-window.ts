import { createHash } from 'node:crypto';

/** Ids that are remembered, about 200 bytes each: 4 MiB. With more within the window the oldest is forgotten early. */
const IDS_MAX = 20_000;
/** Longer ids are remembered by their digest. */
const ID_CHARACTERS_MAX = 128;

/** A message with an id: `sequence` is 0 until it is committed. */
export interface Known {
  readonly key: string;
  readonly atMs: number;
  sequence: number;
}

/** The ids (`Nats-Msg-Id`) of what lanes took lately, as a stream remembers them. In memory: a restart forgets them. */
export class DuplicateWindow {
  readonly #windowMs: number;
  readonly #known = new Map<string, Known>();

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  get size(): number {
    return this.#known.size;
  }

  /** What is known of an id; null where it is new. `nowMs` from a clock that does not jump. */
  find(lane: number, id: string, nowMs: number): Known | null {
    this.#expire(nowMs);
    return this.#known.get(keyOf(lane, id)) ?? null;
  }

  /** A message with a new id goes to the journal. */
  add(lane: number, id: string, nowMs: number): Known {
    const known = { key: keyOf(lane, id), atMs: nowMs, sequence: 0 };
    this.#known.set(known.key, known);
    if (this.#known.size > IDS_MAX) for (const key of this.#known.keys()) if (this.#known.delete(key)) break;
    return known;
  }

  /** It was not kept: the publisher may send it again. */
  forget(known: Known): void {
    if (this.#known.get(known.key) === known) this.#known.delete(known.key);
  }

  #expire(nowMs: number): void {
    for (const { key, atMs } of this.#known.values()) {
      if (nowMs - atMs < this.#windowMs) return;
      this.#known.delete(key);
    }
  }
}

function keyOf(lane: number, id: string): string {
  const short = id.length <= ID_CHARACTERS_MAX ? id : `#${createHash('sha256').update(id).digest('base64url')}`;
  return `${lane} ${short}`;
}
