import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Protocol } from './protocol.ts';

/** Close codes of RFC 6455, 7.4.1. */
const NORMAL = 1000;
const UNSUPPORTED_DATA = 1003;

/**
 * The bytes of a WebSocket as a stream, in both directions without regard to its messages: packets may span them
 * [MQTT-6.0.0-2]. What is written in one turn goes out as one message.
 */
export class WebSocketStream extends Duplex {
  readonly #websocket: WebSocket;
  readonly #socket: Socket;
  readonly #protocol: Protocol;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;

  constructor(websocket: WebSocket, socket: Socket, protocol: Protocol) {
    super({ allowHalfOpen: true });
    this.#websocket = websocket;
    this.#socket = socket;
    this.#protocol = protocol;
    this.remoteAddress = socket.remoteAddress;
    this.remotePort = socket.remotePort;
    websocket.binaryType = 'nodebuffer';
    websocket.on('message', (data, isBinary) => this.#take(data as Buffer, isBinary));
    websocket.on('error', (error) => this.destroy(error));
    websocket.on('close', () => {
      // Nobody may read on (back-pressure), so the end is not waited for.
      this.push(null);
      this.destroy();
    });
  }

  /** With the frames around the packets. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  /** [MQTT-6.0.0-1] */
  #take(data: Buffer, isBinary: boolean): void {
    const { takesText, name } = this.#protocol;
    if (!isBinary && !takesText) this.#websocket.close(UNSUPPORTED_DATA, `${name} is in binary messages`);
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
