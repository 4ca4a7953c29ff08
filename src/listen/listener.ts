import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type {
  HandshakeBounds,
  Listener,
  ListenerAddress,
  ListenerEvents,
  ListenerOptions,
  ListenerTls,
  ListenerWebSocket,
  Transport,
} from '../core/listen.ts';
import { NO_NAMES } from '../core/listen.ts';
import { addressText, explain } from './explain.ts';
import type { Protocol } from './protocol.ts';

/** Finds peers that vanished without a word and set no keep alive of MQTT. */
const TCP_KEEP_ALIVE_MS = 60_000;

/** One address that takes connections: TCP, TLS, WebSocket, or WebSocket over TLS. */
export class ProtocolListener implements Listener {
  readonly #protocol: Protocol;
  readonly #options: ListenerOptions;
  readonly #bounds: HandshakeBounds;
  readonly #events: ListenerEvents;
  #server: Server | null = null;
  #bound: AddressInfo | null = null;

  constructor(protocol: Protocol, options: ListenerOptions, bounds: HandshakeBounds, events: ListenerEvents) {
    this.#protocol = protocol;
    this.#options = options;
    this.#bounds = bounds;
    this.#events = events;
  }

  get address(): ListenerAddress | null {
    return this.#bound === null ? null : { host: this.#bound.address, port: this.#bound.port };
  }

  async start(): Promise<void> {
    const server = await this.#makeServer();
    this.#server = server;
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException): void => reject(explain(error, this.#protocol, this.#options));
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
    const secure = websocket === null ? await this.#tlsServer(tls) : await this.#webSocketServer(tls, websocket);
    secure.on('tlsClientError', (error: Error, socket: Socket) => {
      // Node leaves one open whose handshake has timed out.
      socket.destroy();
      events.handshakeFailed(error);
    });
    const isGreeted = websocket === null && this.#protocol.greets && tls?.first !== true;
    const server = isGreeted ? this.#greeter(secure) : secure;
    // Before its handshakes are done, nothing else counts a connection.
    server.maxConnections = this.#bounds.connectionsMax;
    server.on('drop', () => events.refused('there are too many connections'));
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    });
    return server;
  }

  /** Takes TCP connections, lets the edge say its words in clear, and hands each on to `secure`. */
  #greeter(secure: Server): Server {
    const server = createServer();
    server.on('connection', (socket: Socket) => {
      // Its faults are told by the server that it goes to, once it is there.
      socket.on('error', () => {});
      this.#events.greet?.(socket);
      secure.emit('connection', socket);
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

  async #webSocketServer(tls: ListenerTls | null, websocket: ListenerWebSocket): Promise<Server> {
    const { webSocketServer } = await import('./websocket-server.ts');
    const secure = tls === null ? null : await import('./tls-server.ts');
    const bounds = this.#bounds;
    const files = tls && secure && (await secure.readTls(tls, this.#where, bounds.timeoutMs, this.#events.log));
    const isOnLoopback = isLoopback(this.#options.host);
    return webSocketServer(
      { protocol: this.#protocol, ...websocket, isOnLoopback, tls: files, bounds },
      (stream, socket) => this.#accept(stream, secure?.certificateNames(socket as TLSSocket) ?? NO_NAMES),
      (why) => this.#events.refused(why),
    );
  }

  get #where(): string {
    return `${this.#protocol.name} on ${addressText(this.#options)}`;
  }

  #accept(transport: Transport, certificateNames: readonly string[]): void {
    this.#events.accept({ transport, certificateNames, isAnonymousAllowed: this.#options.anonymous });
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
