import { connect, type Socket } from 'node:net';
import { Authenticator } from '../../src/core/authenticator.ts';
import type { ListenerOptions } from '../../src/core/listen.ts';
import { type Log, silentLog } from '../../src/core/log.ts';
import type { LoginDelays } from '../../src/core/login-delays.ts';
import { Router } from '../../src/core/router.ts';
import type { UserRules } from '../../src/core/users.ts';
import { listenFor } from '../../src/listen/listen.ts';
import { nats } from '../../src/listen/protocol.ts';
import type { ClientPortOptions } from '../../src/nats/client-context.ts';
import { ClientPort } from '../../src/nats/client-port.ts';
import { atEnd, type Scope } from './scope.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';

export const KIB = 1024;

export interface PortChoices extends Partial<Omit<ClientPortOptions, 'listeners'>> {
  readonly users?: readonly UserRules[];
  /** What failed logins cost; default: as in the box. */
  readonly delays?: LoginDelays;
  /** What differs from an anonymous one for TCP on loopback; more than one are had by `listeners`. */
  readonly listener?: Partial<ListenerOptions>;
  readonly listeners?: readonly Partial<ListenerOptions>[];
}

/** Opens ports on loopback, each where the system likes, unless a test says where. */
const LOOPBACK: ListenerOptions = { host: '127.0.0.1', port: 0, anonymous: true };

/** A port on a router without a journal and without a hub: everything is live. */
export async function startClientPort(
  scope: Scope,
  { users = [], delays, listener = {}, listeners = [listener], ...options }: PortChoices = {},
  log: Log = silentLog,
): Promise<{ port: ClientPort; router: Router; open(): Promise<RawClient> }> {
  const router = new Router();
  const port = new ClientPort({
    router,
    listen: listenFor(nats),
    authenticator: users.length === 0 ? null : new Authenticator(users, delays),
    lanes: { laneOf: () => -1, streamOf: () => '' },
    hub: () => null,
    server: { id: 'NTEST', name: 'box', jetstream: false },
    options: {
      listeners: listeners.map((one) => ({ ...LOOPBACK, ...one })),
      isDefault: false,
      connectionsMax: 10,
      payloadBytesMax: 64 * KIB,
      subscriptionsMax: 1_000,
      pingIntervalMs: 60_000,
      duplicateWindowMs: 60_000,
      controlLineBytesMax: 4 * KIB,
      connectTimeoutMs: 10_000,
      pendingBytesMax: 4 * KIB * KIB,
      pendingBytesTotalMax: 32 * KIB * KIB,
      ...options,
    },
    log,
  });
  atEnd(scope, () => port.stop());
  await port.start();
  return { port, router, open: () => openRaw(scope, port.addresses[0]?.port ?? 0) };
}

/** A client that writes bytes and remembers what it was sent. */
export class RawClient {
  readonly socket: Socket;
  /** Everything received and not yet taken. */
  text = '';
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.text += text;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
    });
  }

  send(...lines: string[]): void {
    this.socket.write(lines.map((line) => `${line}\r\n`).join(''), 'latin1');
  }

  /** Waits until the text ends with `end`, and takes all of it. */
  async until(end: string, options: WaitOptions = {}): Promise<string> {
    await waitFor(JSON.stringify(end), () => this.text.endsWith(end), options).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.text.slice(-500))}`);
    });
    const { text } = this;
    this.text = '';
    return text;
  }

  /** Sends PING and gives back what came before its PONG: all answers to what was sent. */
  async answers(...lines: string[]): Promise<string> {
    this.send(...lines, 'PING');
    return (await this.until('PONG\r\n')).slice(0, -'PONG\r\n'.length);
  }

  /** CONNECT with these options on top of what every client says. */
  async connect(options: Record<string, unknown> = {}): Promise<this> {
    const fields = { verbose: false, pedantic: false, headers: true, no_responders: true, protocol: 1, ...options };
    await waitFor('INFO', () => this.text.endsWith('}\r\n'));
    this.text = '';
    const text = await this.answers(`CONNECT ${JSON.stringify(fields)}`);
    if (text !== '' && fields.verbose === false) throw new Error(`CONNECT was answered with ${text}`);
    return this;
  }

  /** Waits for the end of the connection; gives back what was said before it. */
  async end(options: WaitOptions = {}): Promise<string> {
    await waitFor('the connection to end', () => this.ended, options);
    return this.text;
  }
}

export async function openRaw(scope: Scope, port: number): Promise<RawClient> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  atEnd(scope, () => void socket.destroy());
  const client = new RawClient(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return client;
}
