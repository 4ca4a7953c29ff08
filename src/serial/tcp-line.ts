import { connect, type Socket } from 'node:net';
import { GatewayError } from '../core/errors.ts';
import type { Line, OnData } from './line.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** A serial server that was unplugged does not say so. */
const KEEP_ALIVE_MS = 10_000;
/** Not sent yet: more than a slow device takes in a minute. */
const PENDING_BYTES_MAX = 64 * 1024;

/** A port behind a serial server that passes raw bytes (ser2net, `raw`); its line settings are made there. */
export function openTcpLine(host: string, port: number, onData: OnData): Promise<Line> {
  const where = `tcp://${host}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    const failed = (code: 'connection_refused' | 'connection_timeout', why: string): void => {
      socket.destroy();
      reject(new GatewayError(code, `${where} could not be reached: ${why}`, { hint: 'Check the serial server' }));
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => failed('connection_timeout', 'no answer within 5 s'));
    socket.once('error', (error) => failed('connection_refused', error.message));
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeAllListeners('error');
      resolve(new TcpLine(socket, where, onData));
    });
  });
}

class TcpLine implements Line {
  readonly ended: Promise<GatewayError>;
  readonly #socket: Socket;
  readonly #where: string;
  #reason: GatewayError | null = null;

  constructor(socket: Socket, where: string, onData: OnData) {
    this.#socket = socket;
    this.#where = where;
    socket.on('data', onData);
    socket.on('error', (error) => this.#end(error.message));
    socket.on('end', () => this.#end('the serial server closed the connection'));
    this.ended = new Promise((resolve) => {
      socket.on('close', () => resolve(this.#reason ?? new GatewayError('port_lost', `${where} was closed`)));
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#socket.destroyed) throw new GatewayError('not_connected', `${this.#where} is closed`);
    if (this.#socket.writableLength > PENDING_BYTES_MAX) {
      this.#end('it took no bytes');
      throw new GatewayError('port_lost', `${this.#where} takes no bytes`);
    }
    this.#socket.write(bytes);
  }

  async close(reason: GatewayError): Promise<void> {
    this.#reason ??= reason;
    this.#socket.destroy();
    await this.ended;
  }

  #end(why: string): void {
    this.#reason ??= new GatewayError('port_lost', `${this.#where} was lost: ${why}`);
    this.#socket.destroy();
  }
}
