import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { GatewayError } from '../core/errors.ts';
import { socketError } from './hub-error.ts';
import { type StepOptions, takeStep } from './step.ts';

/** What a hub's queue for one slow link may hold (its max_pending); it puts all of that into one frame at the most. */
const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** Close codes of RFC 6455, 7.4.1. */
const NORMAL = 1000;
const UNSUPPORTED_DATA = 1003;

/** The bytes inside a WebSocket's frames, whose borders mean nothing to the protocol. Frames of the box are masked. */
export class WebSocketLine extends Duplex {
  readonly #websocket: WebSocket;

  constructor(websocket: WebSocket) {
    super({ allowHalfOpen: true });
    this.#websocket = websocket;
    websocket.binaryType = 'nodebuffer';
    websocket.on('message', (data, isBinary) => this.#take(data as Buffer, isBinary));
    websocket.on('error', (error) => this.destroy(error));
    websocket.on('close', () => {
      // Nobody may read on (back-pressure), so the end is not waited for.
      this.push(null);
      this.destroy();
    });
  }

  #take(data: Buffer, isBinary: boolean): void {
    if (!isBinary) this.#websocket.close(UNSUPPORTED_DATA, 'NATS is in binary messages');
    else if (!this.destroyed && !this.readableEnded && !this.push(data)) this.#websocket.pause();
  }

  override _read(): void {
    if (this.#websocket.isPaused) this.#websocket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#websocket.send(chunk, (error) => done(error));
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#websocket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), (error) => done(error));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#websocket.close(NORMAL);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#websocket.terminate();
    done(error);
  }
}

/**
 * Opens a WebSocket (RFC 6455) over `stream`, which is already TLS for wss. `authority` is `host:port`; stock hubs serve
 * leaf nodes at `<path>/leafnode`. Rejects with a GatewayError `wrong_port` where it is refused, or as `takeStep`.
 */
export async function openWebSocket(
  stream: Duplex,
  authority: string,
  path: string,
  step: Omit<StepOptions, 'during' | 'hint'>,
): Promise<WebSocketLine> {
  // Loaded only for links that use it.
  const { WebSocket } = await import('ws');
  const websocket = new WebSocket(`ws://${authority}${path.replace(/\/$/, '')}/leafnode`, {
    createConnection: () => stream,
    // A compressed frame of a hostile hub could unpack to any size.
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    followRedirects: false,
  });
  const line = new WebSocketLine(websocket);
  line.on('error', () => {});
  const during = 'opening the WebSocket';
  const hint =
    "Something accepts the connection and says nothing: check that the port is that of the hub's websocket block.";
  try {
    await takeStep<void>(stream, { ...step, during, hint }, ({ done, fail }) => {
      const opened = (): void => done();
      const failed = (error: Error): void => fail(refused(error, step.url));
      const answered = (_request: unknown, { statusCode = 0 }: { statusCode?: number }): void =>
        fail(refused(new Error(`HTTP ${statusCode}`), step.url));
      websocket.once('open', opened).once('error', failed).once('unexpected-response', answered);
      return () => {
        websocket.removeListener('open', opened).removeListener('error', failed);
        websocket.removeListener('unexpected-response', answered);
      };
    });
    return line;
  } catch (error) {
    line.destroy();
    throw error;
  }
}

function refused(error: Error, url: string): GatewayError {
  if ('code' in error && !String(error.code).startsWith('HPE_'))
    return socketError(error, url, 'opening the WebSocket');
  return new GatewayError('wrong_port', `${url} does not open a WebSocket (${error.message})`, {
    hint: "Use the port of the hub's websocket block for ws:// and wss://; the path is what a proxy before it adds.",
    cause: error,
  });
}
