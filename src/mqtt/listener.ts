import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ListenerAddress, ListenerOptions, ListenerTls } from './options.ts';
import { type HandshakeBounds, NO_NAMES, type Peer, type Transport } from './transport.ts';

/** Finds peers that vanished without a word and set no keep alive of MQTT. */
const TCP_KEEP_ALIVE_MS = 60_000;

const failures: Readonly<Record<string, { code: ErrorCode; what: string; hint: string }>> = {
  EADDRINUSE: {
    code: 'address_in_use',
    what: 'is in use by another program',
    hint: 'stop that program (often another MQTT broker), or change `listen` under mqtt.listeners',
  },
  EACCES: {
    code: 'listen_denied',
    what: 'is not allowed to this user',
    hint: 'choose a port above 1023 for `listen` under mqtt.listeners, or give the service CAP_NET_BIND_SERVICE',
  },
  EADDRNOTAVAIL: {
    code: 'address_not_available',
    what: 'is not an address of this machine',
    hint: 'set `listen` under mqtt.listeners to an address of this machine, or to 0.0.0.0 for all',
  },
  ENOTFOUND: {
    code: 'name_not_found',
    what: 'is a name that leads to no address',
    hint: 'write an address into `listen` under mqtt.listeners',
  },
};

/** What a listener tells the edge. */
export interface ListenerEvents {
  readonly log: Log;
  accept(peer: Peer): void;
  /** The listener itself: out of file descriptors, for example. */
  failed(error: Error): void;
  /** A TLS handshake that came to nothing. */
  handshakeFailed(error: Error): void;
  /** A connection that did not become one of MQTT. */
  refused(why: string): void;
}

/** One address that takes connections: TCP, TLS, WebSocket, or WebSocket over TLS. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #bounds: HandshakeBounds;
  readonly #events: ListenerEvents;
  #server: Server | null = null;
  #bound: AddressInfo | null = null;

  constructor(options: ListenerOptions, bounds: HandshakeBounds, events: ListenerEvents) {
    this.#options = options;
    this.#bounds = bounds;
    this.#events = events;
  }

  /** Where it listens: the port is known only now where it was given as 0. */
  get address(): ListenerAddress | null {
    return this.#bound === null ? null : { host: this.#bound.address, port: this.#bound.port };
  }

  /** Rejects with address_in_use, listen_denied, address_not_available, name_not_found or tls_failed. */
  async start(): Promise<void> {
    const server = await this.#makeServer();
    this.#server = server;
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException): void => reject(explain(error, this.#options));
      server.once('error', refused);
      server.listen({ host, port }, () => {
        this.#bound = server.address() as AddressInfo;
        server.off('error', refused);
        // Out of file descriptors, for example: the listener lives on, and the next connection may succeed.
        server.on('error', (error) => this.#events.failed(error));
        resolve();
      });
    });
  }

  /** Takes no more connections; those that it took live on. */
  stop(): void {
    this.#bound = null;
    this.#server?.close();
  }

  async #makeServer(): Promise<Server> {
    const { tls = null, websocket = null } = this.#options;
    const events = this.#events;
    if (tls === null && websocket === null) {
      const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS });
      server.on('connection', (socket) => this.#accept(socket, NO_NAMES));
      return server;
    }
    const server = websocket === null ? await this.#tlsServer(tls) : await this.#webSocketServer(tls, websocket.path);
    // Before its handshakes are done, nothing else counts a connection.
    server.maxConnections = this.#bounds.connectionsMax;
    server.on('drop', () => events.refused('there are too many connections'));
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    });
    server.on('tlsClientError', (error: Error, socket: Socket) => {
      // Node leaves one open whose handshake has timed out.
      socket.destroy();
      events.handshakeFailed(error);
    });
    return server;
  }

  async #tlsServer(tls: ListenerTls | null): Promise<Server> {
    const { certificateNames, readTls, tlsServer } = await import('./tls-server.ts');
    assert(tls !== null);
    const server = tlsServer(await readTls(tls, this.#where, this.#bounds.timeoutMs, this.#events.log));
    server.on('secureConnection', (socket) => this.#accept(socket, certificateNames(socket)));
    return server;
  }

  async #webSocketServer(tls: ListenerTls | null, path: string): Promise<Server> {
    const { webSocketServer } = await import('./websocket-server.ts');
    const secure = tls === null ? null : await import('./tls-server.ts');
    const bounds = this.#bounds;
    const files = tls && secure && (await secure.readTls(tls, this.#where, bounds.timeoutMs, this.#events.log));
    const options = { path, isLoopback: isLoopback(this.#options.host), tls: files, bounds };
    return webSocketServer(
      options,
      (stream, socket) => this.#accept(stream, secure?.certificateNames(socket as TLSSocket) ?? NO_NAMES),
      (why) => this.#events.refused(why),
    );
  }

  get #where(): string {
    return addressText(this.#options);
  }

  #accept(transport: Transport, certificateNames: readonly string[]): void {
    this.#events.accept({ transport, certificateNames, isAnonymousAllowed: this.#options.anonymous });
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function addressText({ host, port }: ListenerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function explain(error: NodeJS.ErrnoException, address: ListenerAddress): GatewayError {
  const where = addressText(address);
  const known = failures[error.code ?? ''];
  if (known === undefined) {
    const message = `cannot listen for MQTT on ${where}: ${error.message}`;
    return new GatewayError('address_not_available', message, {
      hint: 'change `listen` under mqtt.listeners',
      cause: error,
    });
  }
  const message = `cannot listen for MQTT: ${where} ${known.what}`;
  return new GatewayError(known.code, message, { hint: known.hint, cause: error });
}
