/**
 * The batches of a lane that may be at the hub although the cursor on disk has not passed them. They are never evicted:
 * a record must not be both declared lost and delivered.
 *
 *      cursor (on disk)      end                            last sequence
 *   ─────┤■■■■■■■■■■■■■■■■■■■├──────────────────────────────┤
 *         doubt window        not sent: may be evicted
 *
 * It is bounded, so that after a crash, when nobody knows what was sent, it is put back in place by taking batches from
 * the cursor on until the bounds are met.
 */

/** Records that may be in doubt at once: four full batches, a few windows of the forwarder. */
export const DOUBT_RECORDS_MAX = 16_384;
/** The share of a lane's bytes that may be in doubt, so that a small lane can always evict. */
export const DOUBT_SHARE = 4;

export interface Span {
  first: number;
  count: number;
  bytes: number;
}

export class DoubtWindow {
  readonly #bytesMax: number;
  #spans: Span[] = [];
  #records = 0;
  #bytes = 0;
  /** Last sequence that may have been sent. */
  end: number;

  constructor(cursor: number, laneBytesMax: number) {
    this.end = cursor;
    this.#bytesMax = laneBytesMax / DOUBT_SHARE;
  }

  /** True where the batch is in the window already or was let in now; an empty window takes any batch. */
  admit(span: Span): boolean {
    if (span.first + span.count - 1 <= this.end) return true;
    const fits = this.#records + span.count <= DOUBT_RECORDS_MAX && this.#bytes + span.bytes <= this.#bytesMax;
    if (!fits && this.#spans.length > 0) return false;
    this.add(span);
    return true;
  }

  /** Whatever the bounds say: the batch is known to be at the hub. */
  add(span: Span): void {
    this.#spans.push(span);
    this.#records += span.count;
    this.#bytes += span.bytes;
    this.end = span.first + span.count - 1;
  }

  /** The cursor on disk has moved. */
  advance(cursor: number): void {
    let passed = 0;
    for (const span of this.#spans) {
      if (span.first + span.count - 1 > cursor) break;
      this.#forget(span);
      passed++;
    }
    if (passed > 0) this.#spans.splice(0, passed);
    this.end = Math.max(this.end, cursor);
  }

  /** Nothing behind `end` was sent. */
  release(cursor: number, end: number): void {
    for (let span = this.#spans.at(-1); span && span.first > end; span = this.#spans.at(-1)) {
      this.#forget(span);
      this.#spans.pop();
    }
    const last = this.#spans.at(-1);
    this.end = Math.max(cursor, last ? last.first + last.count - 1 : cursor);
  }

  #forget(span: Span): void {
    this.#records -= span.count;
    this.#bytes -= span.bytes;
  }
}
