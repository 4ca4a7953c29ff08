import { setTimeout as wait } from 'node:timers/promises';
import type { Authenticator } from '../core/authenticator.ts';
import type { HandshakeBounds, Listen, Listener, ListenerEvents, Peer } from '../core/listen.ts';
import type { Log } from '../core/log.ts';
import type { Router } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { type ClientStatus, clientStatus } from './client-status.ts';
import { ConnectRate } from './connect-rate.ts';
import { Connection } from './connection.ts';
import type { Context } from './context.ts';
import { newCounters } from './counters.ts';
import { LostClients, type LostStatus } from './lost-clients.ts';
import { Notices } from './notices.ts';
import { type MqttOptions, optionDefaults } from './options.ts';
import { FlushRound } from './outbox.ts';
import { disconnect } from './packet-encoder.ts';
import { Permits } from './permits.ts';
import { PublishEncoder } from './publish-encoder.ts';
import { reason } from './reason-codes.ts';
import { Requests } from './requests.ts';
import { RetainedRound } from './retained-delivery.ts';
import type { RetainedStatus, RetainedStore } from './retained-port.ts';
import { RetainedRequests } from './retained-requests.ts';
import type { SessionStore } from './session-port.ts';
import { Sessions, type SessionsStatus } from './sessions.ts';
import { type SystemFacts, SystemTopics, type TrafficFacts } from './system-topics.ts';
import { TopicNames } from './topic-names.ts';

/** Connections above connectionsMax that may send a CONNECT, to be told why they are refused or to take one over: this
 * many, and never more than there are places. */
const SURPLUS_MAX = 64;
/** Keep alive and time-outs are looked at this often, or four times within a shorter time to CONNECT. */
const SWEEP_MS = 1_000;
const SWEEP_MS_MIN = 20;
/** A stop waits for receipts no longer than a bad SD card takes for two commits. */
const SETTLE_MS = 3_000;
/** And for clients to read their DISCONNECT. */
const LINGER_MS = 500;
/** Clients in the status; the rest are counted. */
const CLIENTS_SHOWN_MAX = 5_000;

export interface MqttParts {
  readonly router: Router;
  readonly listen: Listen;
  readonly log: Log;
  readonly options: MqttOptions;
  /** Its name, as a token of subjects. */
  readonly gateway?: string;
  /** Null or none: there are no users, and who may connect may do everything. */
  readonly authenticator?: Authenticator | null;
  /** Retained messages; null or nothing: off. */
  readonly retained?: RetainedStore | null;
  /** Persistent sessions; null or nothing: every session ends with its connection. */
  readonly sessions?: SessionStore | null;
  /** What `$SYS` tells beside the traffic of this edge. */
  readonly facts?: () => SystemFacts;
  /** Milliseconds since 1970. */
  readonly clock?: () => number;
}

export interface MqttStatus {
  listeners: { host: string; port: number; connections: number }[];
  counters: Record<string, number>;
  /** Null where they are off. */
  retained: RetainedStatus | null;
  /** Persistent ones; null where there are none. */
  sessions: SessionsStatus | null;
  clients: ClientStatus[];
  /** Sensors that are missing. */
  lost: LostStatus;
}

/** The MQTT edge: listeners, the connections that came from them, and what those share. */
export class MqttEdge implements Service {
  readonly #context: Context;
  /** Null where retained messages are off. */
  readonly #retainedRequests: RetainedRequests | null;
  readonly #listeners: readonly { listener: Listener; connections: Set<Connection> }[];
  #connectionCount = 0;
  #isStopping = false;
  #sweeping: NodeJS.Timeout | undefined;
  /** Of connections that have ended. */
  #bytesIn = 0;
  #bytesOut = 0;

  constructor({
    router,
    listen,
    log,
    options,
    gateway = 'petiole',
    authenticator = null,
    retained = null,
    sessions: stored = null,
    facts = noFacts,
    clock = Date.now,
  }: MqttParts) {
    const counters = newCounters();
    const settled = { ...optionDefaults, ...options };
    const topics = new TopicNames(settled.topicLevelsMax, settled.topicBytesMax);
    const context: Context = {
      router,
      log,
      clock,
      options: settled,
      authenticator,
      connectRate: new ConnectRate(settled.connectsPerS, settled.connectsPerAddressS),
      permits: new Permits(topics),
      clients: new Map(),
      lost: new LostClients(),
      get sessions() {
        return sessions;
      },
      topics,
      publishes: new PublishEncoder(topics),
      round: new FlushRound(),
      retained,
      retainedRound: new RetainedRound(),
      requests: new Requests(router, counters, gateway),
      system: new SystemTopics(facts, () => this.#traffic()),
      counters,
      notices: new Notices(counters),
    };
    this.#retainedRequests = retained && new RetainedRequests(router, retained, gateway, clock);
    const sessions = new Sessions(context, stored);
    this.#context = context;
    const bounds: HandshakeBounds = {
      timeoutMs: options.connectTimeoutMs,
      connectionsMax: options.connectionsMax + Math.min(SURPLUS_MAX, options.connectionsMax),
      messageBytesMax: options.packetBytesMax,
    };
    this.#listeners = options.listeners.map((listener) => {
      const connections = new Set<Connection>();
      const events: ListenerEvents = {
        log,
        accept: (peer) => this.#accept(peer, connections),
        failed: (error) => log.error({ reason: error.message }, 'a connection was not accepted'),
        handshakeFailed: (error) => this.#handshakeFailed(error),
        refused: (why) => this.#handshakeRefused(why),
      };
      return { connections, listener: listen(listener, bounds, events) };
    });
  }

  /** Rejects with the GatewayError of the first listener that cannot open; then none is open. */
  async start(): Promise<void> {
    const { log, options, sessions } = this.#context;
    sessions.start();
    for (const { listener } of this.#listeners) {
      try {
        await listener.start();
      } catch (error) {
        for (const opened of this.#listeners) opened.listener.stop();
        throw error;
      }
      log.info({ ...listener.address }, 'listening for MQTT');
    }
    const sweepMs = Math.min(SWEEP_MS, Math.max(SWEEP_MS_MIN, options.connectTimeoutMs / 4));
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
    this.#context.system.start();
    this.#retainedRequests?.start();
  }

  /** Reads no more, sends the PUBACKs of what is committed within a bound, then says goodbye. */
  readonly stop = once(async () => {
    this.#isStopping = true;
    this.#context.system.stop();
    this.#retainedRequests?.stop();
    for (const { listener } of this.#listeners) listener.stop();
    const settled = Promise.all(Array.from(this.#connections(), (connection) => connection.settle()));
    await withinMs(settled, SETTLE_MS);
    for (const connection of this.#connections()) {
      const isTold = connection.version === 5 && connection.client !== null;
      connection.end(isTold ? disconnect(reason.shuttingDown, '') : null);
    }
    const deadline = performance.now() + LINGER_MS;
    while (this.#connectionCount > 0 && performance.now() < deadline) await wait(10);
    clearInterval(this.#sweeping);
    for (const connection of this.#connections()) connection.destroy();
  });

  status(): MqttStatus {
    const clients: ClientStatus[] = [];
    for (const connection of this.#context.clients.values()) {
      if (clients.length === CLIENTS_SHOWN_MAX) break;
      const status = clientStatus(connection);
      if (status !== null) clients.push(status);
    }
    return {
      listeners: this.#listeners.flatMap(({ listener, connections }) =>
        listener.address === null ? [] : [{ ...listener.address, connections: connections.size }],
      ),
      counters: { ...this.#context.counters },
      retained: this.#context.retained?.status() ?? null,
      sessions: this.#context.sessions.status(),
      clients,
      lost: this.#context.lost.status(this.#context.clock()),
    };
  }

  /** Ends a client's connection, as an operator asks; it may come again. False where there is no such client. */
  kick(clientId: string): boolean {
    const connection = this.#context.clients.get(clientId);
    if (connection === undefined) return false;
    connection.end(connection.version === 5 ? disconnect(reason.administrativeAction, '') : null);
    return true;
  }

  #handshakeFailed(error: Error): void {
    const { counters, notices, log } = this.#context;
    counters.tlsHandshakesFailed++;
    // The cause is in words of OpenSSL, and there are a dozen of them: one line each.
    if (!notices.isNew('', error.message)) return;
    const hint = 'look whether the client trusts the authority, and presents a certificate where one is required';
    log.warn({ reason: error.message, hint }, 'a TLS handshake failed');
  }

  #handshakeRefused(why: string): void {
    const { counters, notices, log } = this.#context;
    counters.handshakesRefused++;
    if (notices.isNew('', why)) log.warn({ reason: why }, 'a connection did not become one of MQTT');
  }

  #accept(peer: Peer, connections: Set<Connection>): void {
    const { counters, options } = this.#context;
    counters.connections++;
    if (
      this.#isStopping ||
      this.#connectionCount >= options.connectionsMax + Math.min(SURPLUS_MAX, options.connectionsMax)
    ) {
      counters.connectionsRefused++;
      peer.transport.destroy();
      return;
    }
    const connection = new Connection(this.#context, peer);
    connections.add(connection);
    this.#connectionCount++;
    connection.start(() => {
      connections.delete(connection);
      this.#connectionCount--;
      this.#bytesIn += connection.bytesRead;
      this.#bytesOut += connection.bytesWritten;
    });
  }

  *#connections(): Generator<Connection> {
    for (const { connections } of this.#listeners) yield* connections;
  }

  #traffic(): TrafficFacts {
    const { clients, counters } = this.#context;
    let [bytesIn, bytesOut] = [this.#bytesIn, this.#bytesOut];
    for (const connection of this.#connections()) {
      bytesIn += connection.bytesRead;
      bytesOut += connection.bytesWritten;
    }
    const { messagesIn, messagesOut } = counters;
    return { clients: clients.size, messagesIn, messagesOut, bytesIn, bytesOut };
  }

  #sweep(): void {
    const now = performance.now();
    this.#context.sessions.sweep();
    for (const connection of this.#connections()) connection.sweep(now);
  }
}

function noFacts(): SystemFacts {
  return { version: '', lanes: [] };
}

/** Whichever comes first. */
async function withinMs(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  const giveUp = new AbortController();
  const timer = wait(timeoutMs, undefined, { signal: giveUp.signal }).catch(() => undefined);
  await Promise.race([work, timer]);
  giveUp.abort();
}
