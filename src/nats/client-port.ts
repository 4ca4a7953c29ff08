import type { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Router } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { ClientConnection } from './client-connection.ts';
import type { ClientContext, ClientPortOptions, Hub, Lanes } from './client-context.ts';
import { BlockPool } from './client-encoder.ts';
import { ClientFault, newClientCounters } from './client-fault.ts';
import { ClientListener } from './client-listener.ts';
import { DuplicateWindow } from './duplicate-window.ts';

/** A second of a slow LTE line, or sixteen messages of the default maximum. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;
/** What a small box can spare for all clients that do not read. */
const PENDING_BYTES_TOTAL_MAX = 32 * 1024 * 1024;
/** Between a connection and its CONNECT. */
const CONNECT_TIMEOUT_MS = 10_000;
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

export interface ClientPortParts {
  readonly router: Router;
  readonly lanes: Lanes;
  /** The leaf link; null without an upstream. */
  readonly hub: () => Hub | null;
  readonly server: ClientContext['server'];
  readonly options: ClientPortOptions;
  readonly log: Log;
}

export interface NatsClientStatus {
  clientId: number;
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
  /** Null where it does not listen. */
  listener: { host: string; port: number; connections: number } | null;
  /** Why it does not; '' otherwise. */
  note: string;
  counters: Record<string, number>;
  clients: NatsClientStatus[];
}

/** The NATS server that local programs see: the listener, the connections that came from it, and what they share. */
export class ClientPort implements Service {
  readonly #context: ClientContext;
  readonly #listener: ClientListener;
  readonly #connections = new Set<ClientConnection>();
  readonly #noted = new Set<string>();
  #nextClientId = 1;
  #isStopping = false;
  #note = '';
  #sweeping: NodeJS.Timeout | undefined;

  constructor({ router, lanes, hub, server, options, log }: ClientPortParts) {
    this.#context = {
      router,
      lanes,
      hub,
      log,
      server,
      options: {
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        pendingBytesMax: PENDING_BYTES_MAX,
        pendingBytesTotalMax: PENDING_BYTES_TOTAL_MAX,
        ...options,
      },
      counters: newClientCounters(),
      pool: new BlockPool(),
      pending: { bytes: 0 },
      subscribed: { filters: 0, tokens: 0 },
      duplicates: new DuplicateWindow(options.duplicateWindowMs),
      relieve: () => this.#relieve(),
      isNew: (client, fault) => this.#isNew(`${fault} ${client}`),
    };
    this.#listener = new ClientListener(options.host, options.port, (socket) => this.#accept(socket));
  }

  /** Rejects with a GatewayError where the address can't be had; a default one that is in use is done without. */
  async start(): Promise<void> {
    const { log, options } = this.#context;
    try {
      await this.#listener.start((error) => log.error({ reason: error.message }, 'a connection was not accepted'));
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'address_in_use' || !options.isDefault) throw error;
      // Often a hub on the same machine, which is a good reason to have no port of our own.
      this.#note = error.message;
      log.warn({ code: error.code, hint: error.hint }, `${error.message}; the box goes on without that port`);
      return;
    }
    log.info({ ...this.#listener.address }, 'listening for NATS clients');
    const { connectTimeoutMs, pingIntervalMs } = options;
    const sweepMs = Math.min(SWEEP_MS, Math.max(SWEEP_MS_MIN, Math.min(connectTimeoutMs, pingIntervalMs) / 4));
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
  }

  /** Lame duck: clients are told, what is committed gets its PubAck within a bound, then they are closed. */
  readonly stop = once(async () => {
    this.#isStopping = true;
    if (this.#listener.address === null) return;
    this.#listener.stop();
    const giveUp = new AbortController();
    const late = wait(SETTLE_MS, undefined, { signal: giveUp.signal }).catch(() => undefined);
    const settled = Promise.all(Array.from(this.#connections, (connection) => connection.settle()));
    await Promise.race([settled, late]);
    giveUp.abort();
    for (const connection of this.#connections) connection.end();
    const deadline = performance.now() + LINGER_MS;
    while (this.#connections.size > 0 && performance.now() < deadline) await wait(10);
    clearInterval(this.#sweeping);
    for (const connection of this.#connections) connection.destroy();
  });

  get address(): { host: string; port: number } | null {
    return this.#listener.address;
  }

  status(): ClientPortStatus {
    const clients: NatsClientStatus[] = [];
    for (const connection of this.#connections) {
      if (clients.length === CONNECTIONS_SHOWN_MAX) break;
      if (connection.isConnected) clients.push(clientStatus(connection));
    }
    const { address } = this.#listener;
    return {
      listener: address && { ...address, connections: this.#connections.size },
      note: this.#note,
      counters: { ...this.#context.counters },
      clients,
    };
  }

  #accept(socket: Socket): void {
    const { counters, options } = this.#context;
    counters.connections++;
    const connections = this.#connections.size;
    if (this.#isStopping || connections >= options.connectionsMax + SURPLUS_MAX) {
      counters.connectionsRefused++;
      socket.destroy();
      return;
    }
    const connection = new ClientConnection(this.#context, socket, this.#nextClientId++);
    this.#connections.add(connection);
    connection.start(() => this.#connections.delete(connection));
    if (connections >= options.connectionsMax) {
      connection.fail(new ClientFault('maximum connections exceeded', 'connectionsRefused'));
    }
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of this.#connections) connection.sweep(now);
  }

  /** Rare, so a look at all of them is cheap enough. */
  #relieve(): void {
    let slowest: ClientConnection | null = null;
    for (const connection of this.#connections) {
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
    name,
    lang,
    version,
    remote: connection.remote,
    connectedAtMs: connection.openedAtMs,
    lastSeenMs: connection.lastSeenMs,
    messagesIn: connection.messagesIn,
    messagesOut: connection.messagesOut,
    bytesIn: connection.bytesRead,
    bytesOut: connection.bytesWritten,
    subscriptions: connection.subscriptions,
    pendingBytes: connection.pendingBytes,
  };
}
