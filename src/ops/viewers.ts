import type { ServerResponse } from 'node:http';

/** Open status pages at a time: each costs a frame a second, and a family of boxes is watched elsewhere. */
export const VIEWERS_MAX = 16;
const FRAME_INTERVAL_MS = 1000;
/** A page that took nothing for so many frames is gone, whatever its socket says. */
const FRAMES_MISSED_MAX = 30;

/**
 * The pages that listen to `/events`: server-sent events (HTML Standard, section 9.2). One timer for all, running only
 * while somebody looks; a page that reads slowly misses frames and never makes them pile up.
 */
export class Viewers {
  readonly #frame: () => string | null;
  readonly #left: () => void;
  /** Each open response with the frames it has missed in a row. */
  readonly #missed = new Map<ServerResponse, number>();
  #timer: NodeJS.Timeout | null = null;

  /** `frame` gives the data of an event on one line, null for none; `left` is called when the last viewer has gone. */
  constructor(frame: () => string | null, left: () => void) {
    this.#frame = frame;
    this.#left = left;
  }

  get size(): number {
    return this.#missed.size;
  }

  get full(): boolean {
    return this.#missed.size >= VIEWERS_MAX;
  }

  /** Takes over a response whose headers are written, and sends it its first frame at once. */
  add(response: ServerResponse, first: string): void {
    response.on('close', () => this.#remove(response));
    // A socket that breaks also closes; without a listener the error would end the process.
    response.on('error', () => response.destroy());
    this.#missed.set(response, 0);
    // retry: how long the browser waits before it asks again, in milliseconds.
    response.write(`retry: 2000\n\nevent: view\ndata: ${first}\n\n`);
    this.#timer ??= setInterval(() => this.#send(), FRAME_INTERVAL_MS).unref();
  }

  close(): void {
    for (const response of this.#missed.keys()) response.end();
  }

  #send(): void {
    const frame = this.#frame();
    if (frame === null) return;
    const event = `event: view\ndata: ${frame}\n\n`;
    for (const [response, missed] of this.#missed) {
      if (response.writableLength === 0) {
        response.write(event);
        this.#missed.set(response, 0);
      } else if (missed < FRAMES_MISSED_MAX) {
        this.#missed.set(response, missed + 1);
      } else {
        response.destroy();
      }
    }
  }

  #remove(response: ServerResponse): void {
    if (!this.#missed.delete(response) || this.#missed.size > 0) return;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#left();
  }
}
