import type { ServerResponse } from 'node:http';
import { SECURITY_HEADERS } from './guard.ts';

/** How long the browser waits before it asks again, in milliseconds. */
const RETRY_MS = 2000;
/** What one reader may leave unread before events are left out for it: a second of a busy page over a slow network. */
const UNREAD_BYTES_MAX = 256 * 1024;
/** A page that missed so many beats in a row is gone, whatever its socket says. */
const BEATS_MISSED_MAX = 30;

/**
 * Server-sent events to one page (HTML Standard, section 9.2). A page that reads slowly misses events and never makes
 * them pile up; one that does not read at all is let go.
 */
export class EventStream {
  readonly #response: ServerResponse;
  #missed = 0;

  /** Writes the headers; `left` is called once, when the page has gone or was let go. */
  constructor(response: ServerResponse, left: () => void) {
    this.#response = response;
    // The socket ends with the stream: nothing else is asked over it.
    response.shouldKeepAlive = false;
    response.on('close', left);
    // A socket that breaks also closes; without a listener the error would end the process.
    response.on('error', () => response.destroy());
    response.writeHead(200, {
      ...SECURITY_HEADERS,
      'Content-Type': 'text/event-stream; charset=utf-8',
      // For proxies that would gather it.
      'X-Accel-Buffering': 'no',
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** `json` on one line. False where it was left out, because the page has not read what came before. */
  send(event: string, json: string): boolean {
    const response = this.#response;
    if (response.destroyed || response.writableEnded || response.writableLength > UNREAD_BYTES_MAX) return false;
    response.write(`event: ${event}\ndata: ${json}\n\n`);
    return true;
  }

  /** The event that comes every second: left out while anything is unread, and the end of a page that never reads. */
  beat(event: string, json: string): void {
    if (this.#response.writableLength === 0 && this.send(event, json)) this.#missed = 0;
    else if (++this.#missed > BEATS_MISSED_MAX) this.#response.destroy();
  }

  end(): void {
    this.#response.end();
  }
}
