import type { ServerResponse } from 'node:http';
import type { EventName } from './api.ts';
import { EventStream } from './event-stream.ts';

/** Open status pages at a time: each costs a frame a second, and a family of boxes is watched elsewhere. */
export const VIEWERS_MAX = 32;
const FRAME_INTERVAL_MS = 1000;

/**
 * The pages that listen to `/api/events`. One timer for all, running only while somebody looks; a page that reads slowly
 * misses frames and never makes them pile up.
 */
export class Viewers {
  readonly #frame: () => string | null;
  readonly #left: () => void;
  /** Each open stream with what it wants to hear of. */
  readonly #streams = new Map<EventStream, ReadonlySet<EventName>>();
  #timer: NodeJS.Timeout | null = null;

  /** `frame` gives the data of event `status`, null for none; `left` is called when the last viewer has gone. */
  constructor(frame: () => string | null, left: () => void) {
    this.#frame = frame;
    this.#left = left;
  }

  get size(): number {
    return this.#streams.size;
  }

  get full(): boolean {
    return this.#streams.size >= VIEWERS_MAX;
  }

  /** Takes over a response, and sends it what it asked for at once: each event with its data. */
  add(response: ServerResponse, events: ReadonlySet<EventName>, first: ReadonlyMap<EventName, string>): void {
    const stream = new EventStream(response, () => this.#remove(stream));
    this.#streams.set(stream, events);
    for (const [event, json] of first) stream.send(event, json);
    this.#timer ??= setInterval(() => this.#beat(), FRAME_INTERVAL_MS).unref();
  }

  /** To those who asked for this event. */
  send(event: EventName, json: () => string): void {
    let text: string | null = null;
    for (const [stream, events] of this.#streams) {
      if (!events.has(event)) continue;
      text ??= json();
      stream.send(event, text);
    }
  }

  close(): void {
    for (const stream of this.#streams.keys()) {
      stream.send('bye', '{}');
      stream.end();
    }
  }

  #beat(): void {
    const frame = this.#frame();
    if (frame === null) return;
    for (const [stream, events] of this.#streams) {
      if (events.has('status')) stream.beat('status', frame);
    }
  }

  #remove(stream: EventStream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#left();
  }
}
