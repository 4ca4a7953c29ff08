import { setTimeout as wait } from 'node:timers/promises';
import type { Authenticator } from '../core/authenticator.ts';
import { GatewayError } from '../core/errors.ts';
import type { Listen, Peer } from '../core/listen.ts';
import type { Log } from '../core/log.ts';
import type { Router } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { ClientConnection } from './client-connection.ts';
import type { ClientContext, ClientPortOptions, Hub, Lanes } from './client-context.ts';
import { ClientDoor } from './client-door.ts';
import { BlockPool } from './client-encoder.ts';
import { ClientFault, newClientCounters } from './client-fault.ts';
import { DuplicateWindow } from './duplicate-window.ts';

/** Connections above connectionsMax that are told why they are refused, before they are cut without a word. */
const SURPLUS_MAX = 64;
/** Time-outs are looked at this often, or four times within the shortest of them. */
const SWEEP_MS = 1_000;
const SWEEP_MS_MIN = 20;
/** A stop waits for receipts no longer than a bad SD card takes for two commits. */
const SETTLE_MS = 3_000;
/** And for clients to read their last words. */
const LINGER_MS = 500;
/** Connections in the status; the rest are counted. */
const CONNECTIONS_SHOWN_MAX = 1_000;
/** Clients with a fault that are remembered; with more, it begins anew, and they may be named again. */
const NOTED_MAX = 4_096;
/** A WebSocket message of a client that had to wait may hold as much beside one largest payload. */
const WEBSOCKET_MESSAGE_BYTES_MAX = 1024 * 1024;

export interface ClientPortParts {
  readonly router: Router;
  readonly listen: Listen;
  /** Null: there are no users, and who may connect may do everything. */
  readonly authenticator: Authenticator | null;
  readonly lanes: Lanes;
  /** The leaf link; null without an upstream. */
  readonly hub: () => Hub | null;
  readonly server: ClientContext['server'];
  readonly options: ClientPortOptions;
  readonly log: Log;
}

export interface NatsClientStatus {
  clientId: number;
  /** '' for an anonymous one. */
  user: string;
  name: string;
  lang: string;
  version: string;
  remote: string;
  connectedAtMs: number;
  lastSeenMs: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  subscriptions: number;
  pendingBytes: number;
}

export interface ClientPortStatus {
  listeners: { host: string; port: number; connections: number }[];
  /** Why there is none; '' otherwise. */
  note: string;
  counters: Record<string, number>;
  clients: NatsClientStatus[];
}

/** The NATS server that local programs see: the listeners, the connections that came from them, and what they share. */
export class ClientPort implements Service {
  readonly #context: ClientContext;
  readonly #doors: readonly ClientDoor[];
  readonly #noted = new Set<string>();
  #connectionCount = 0;
  #nextClientId = 1;
  #isStopping = false;
  #note = '';
  #sweeping: NodeJS.Timeout | undefined;

  constructor({ router, listen, authenticator, lanes, hub, server, options, log }: ClientPortParts) {
    this.#context = {
      router,
      authenticator,
      lanes,
      hub,
      log,
      server,
      options,
      counters: newClientCounters(),
      pool: new BlockPool(),
      pending: { bytes: 0 },
      behind: new Set(),
      subscribed: { filters: 0, tokens: 0 },
      duplicates: new DuplicateWindow(options.duplicateWindowMs),
      nextClientId: () => this.#nextClientId++,
      relieve: () => this.#relieve(),
      isNew: (client, fault) => this.#isNew(`${fault} ${client}`),
    };
    const bounds = {
      timeoutMs: options.connectTimeoutMs,
      connectionsMax: options.connectionsMax + SURPLUS_MAX,
      messageBytesMax: options.payloadBytesMax + WEBSOCKET_MESSAGE_BYTES_MAX,
    };
    this.#doors = options.listeners.map((listener) => {
      const door: ClientDoor = new ClientDoor(this.#context, listener, listen, bounds, {
        log,
        accept: (peer) => this.#accept(peer, door),
        failed: (error) => log.error({ reason: error.message }, 'a connection was not accepted'),
        handshakeFailed: (error) => this.#handshakeFailed(error),
        refused: (why) => this.#handshakeRefused(why),
      });
      return door;
    });
  }

  /** Rejects with a GatewayError where an address can't be had; a default one that is in use is done without. */
  async start(): Promise<void> {
    const { log, options } = this.#context;
    for (const [index, { listener }] of this.#doors.entries()) {
      try {
        await listener.start();
        log.info({ ...listener.address }, 'listening for NATS clients');
      } catch (error) {
        const isSpared = index === 0 && options.isDefault && (error as GatewayError).code === 'address_in_use';
        if (!(error instanceof GatewayError) || !isSpared) {
          for (const door of this.#doors) door.listener.stop();
          throw error;
        }
        // Often a hub on the same machine, which is a good reason to have no port of our own.
        this.#note = error.message;
        log.warn({ code: error.code, hint: error.hint }, `${error.message}; the box goes on without that port`);
      }
    }
    const { connectTimeoutMs, pingIntervalMs } = options;
    const sweepMs = Math.min(SWEEP_MS, Math.max(SWEEP_MS_MIN, Math.min(connectTimeoutMs, pingIntervalMs) / 4));
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
  }

  /** Lame duck: clients are told, what is committed gets its PubAck within a bound, then they are closed. */
  readonly stop = once(async () => {
    this.#isStopping = true;
    for (const { listener } of this.#doors) listener.stop();
    const giveUp = new AbortController();
    const late = wait(SETTLE_MS, undefined, { signal: giveUp.signal }).catch(() => undefined);
    const settled = Promise.all(Array.from(this.#connections(), (connection) => connection.settle()));
    await Promise.race([settled, late]);
    giveUp.abort();
    for (const connection of this.#connections()) connection.end();
    const deadline = performance.now() + LINGER_MS;
    while (this.#connectionCount > 0 && performance.now() < deadline) await wait(10);
    clearInterval(this.#sweeping);
    for (const connection of this.#connections()) connection.destroy();
  });

  get addresses(): { host: string; port: number }[] {
    return this.#doors.flatMap(({ listener }) => (listener.address === null ? [] : [{ ...listener.address }]));
  }

  status(): ClientPortStatus {
    const clients: NatsClientStatus[] = [];
    for (const connection of this.#connections()) {
      if (clients.length === CONNECTIONS_SHOWN_MAX) break;
      if (connection.isConnected) clients.push(clientStatus(connection));
    }
    return {
      listeners: this.#doors.flatMap(({ listener: { address }, connections }) =>
        address === null ? [] : [{ ...address, connections: connections.size }],
      ),
      note: this.#note,
      counters: { ...this.#context.counters },
      clients,
    };
  }

  /** Ends a connection, as an operator asks; the client may come again. False where it has gone. */
  kick(clientId: number): boolean {
    for (const connection of this.#connections()) {
      if (connection.clientId !== clientId) continue;
      connection.end();
      return true;
    }
    return false;
  }

  *#connections(): Generator<ClientConnection> {
    for (const { connections } of this.#doors) yield* connections;
  }

  #accept(peer: Peer, door: ClientDoor): void {
    const { counters, options } = this.#context;
    counters.connections++;
    const count = this.#connectionCount;
    if (this.#isStopping || count >= options.connectionsMax + SURPLUS_MAX) {
      counters.connectionsRefused++;
      peer.transport.destroy();
      return;
    }
    const connection = new ClientConnection(this.#context, peer, door.greeting(peer.transport));
    door.connections.add(connection);
    this.#connectionCount++;
    connection.start(() => {
      door.connections.delete(connection);
      this.#connectionCount--;
    });
    if (count >= options.connectionsMax) {
      connection.fail(new ClientFault('maximum connections exceeded', 'connectionsRefused'));
    }
  }

  #handshakeFailed(error: Error): void {
    const { counters, log } = this.#context;
    counters.tlsHandshakesFailed++;
    if (!this.#isNew(error.message)) return;
    const hint =
      'look whether the client speaks TLS, trusts the authority, and presents a certificate where one is required';
    log.warn({ reason: error.message, hint }, 'a TLS handshake failed');
  }

  #handshakeRefused(why: string): void {
    const { counters, log } = this.#context;
    counters.handshakesRefused++;
    if (this.#isNew(why)) log.warn({ reason: why }, 'a connection did not become one of NATS');
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of this.#connections()) connection.sweep(now);
  }

  /** Rare, so a look at all of them is cheap enough. */
  #relieve(): void {
    let slowest: ClientConnection | null = null;
    for (const connection of this.#connections()) {
      if (slowest === null || connection.pendingBytes > slowest.pendingBytes) slowest = connection;
    }
    slowest?.cutAsSlow();
  }

  #isNew(key: string): boolean {
    if (this.#noted.has(key)) return false;
    if (this.#noted.size >= NOTED_MAX) this.#noted.clear();
    this.#noted.add(key);
    return true;
  }
}

function clientStatus(connection: ClientConnection): NatsClientStatus {
  const { name, lang, version } = connection.options;
  return {
    clientId: connection.clientId,
    user: connection.user,
    name,
    lang,
    version,
    remote: connection.remote,
    connectedAtMs: connection.openedAtMs,
    lastSeenMs: connection.nowMs,
    messagesIn: connection.messagesIn,
    messagesOut: connection.messagesOut,
    bytesIn: connection.bytesRead,
    bytesOut: connection.bytesWritten,
    subscriptions: connection.subscriptions,
    pendingBytes: connection.pendingBytes,
  };
}
