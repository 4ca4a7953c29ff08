import type { SerialState, SniffChunk } from './api.ts';
import type { Sniff } from './api-parts.ts';
import type { Handler } from './api-server.ts';
import { EventStream } from './event-stream.ts';
import { ApiFault, answer, answerJson, type Exchange, TEXT } from './exchange.ts';
import type { Look } from './look.ts';

/** Open sniffs: each doubles what a port's bytes cost. */
const SNIFFS_MAX = 4;
/** A second of a line at 921,600 baud; more than a page can show. */
const BYTES_PER_S_MAX = 96 * 1024;
const BEAT_MS = 1000;

/** Serial ports on the page: counters, the flight recorder, and the bytes as they pass. */
export class SerialOrders {
  readonly #look: Look;
  readonly #capture: (port: string) => string | null;
  readonly #sniff: Sniff;
  readonly #open = new Set<EventStream>();

  constructor(look: Look, capture: (port: string) => string | null, sniff: Sniff) {
    this.#look = look;
    this.#capture = capture;
    this.#sniff = sniff;
  }

  get handlers(): Record<string, Handler> {
    return {
      'GET /api/serial': ({ response }) => {
        const state: SerialState = { ports: this.#look.snapshot(performance.now()).serial };
        answerJson(response, state);
      },
      'GET /api/serial/{port}/capture': (exchange, [port = '']) => {
        const text = this.#capture(port);
        if (text === null) throw noPort();
        const file = { 'Content-Disposition': `attachment; filename="${port}.capture"` };
        answer(exchange.response, 200, TEXT, text, file);
      },
      'GET /api/serial/{port}/sniff': (exchange, [port = '']) => this.#start(exchange, port),
    };
  }

  close(): void {
    for (const stream of this.#open) stream.end();
  }

  #start({ response }: Exchange, port: string): void {
    if (this.#open.size >= SNIFFS_MAX) throw new ApiFault(503, 'no_place', `${SNIFFS_MAX} ports are sniffed already`);
    let stream: EventStream | null = null;
    let allowed = BYTES_PER_S_MAX;
    let skippedBytes = 0;
    const end = this.#sniff(port, (direction, bytes) => {
      const chunk: SniffChunk = { atMs: Date.now(), direction, data: bytes.toString('base64'), skippedBytes };
      if (bytes.length <= allowed && stream?.send('bytes', JSON.stringify(chunk))) {
        allowed -= bytes.length;
        skippedBytes = 0;
      } else skippedBytes += bytes.length;
    });
    if (end === null) throw noPort();
    const timer = setInterval(() => {
      allowed = BYTES_PER_S_MAX;
      stream?.beat('beat', '{}');
    }, BEAT_MS).unref();
    const opened = new EventStream(response, () => {
      clearInterval(timer);
      end();
      this.#open.delete(opened);
    });
    stream = opened;
    this.#open.add(opened);
  }
}

function noPort(): ApiFault {
  return new ApiFault(404, 'not_found', 'There is no serial port of this name', '/api/serial lists them');
}
