import assert from 'node:assert/strict';
import { Authenticator } from '../../src/core/authenticator.ts';
import { silentLog } from '../../src/core/log.ts';
import { type Message, NO_HEADERS, type Party } from '../../src/core/message.ts';
import { type Journal, type Receipt, Router, type Subscription } from '../../src/core/router.ts';
import type { UserRules } from '../../src/core/users.ts';
import { listenFor } from '../../src/listen/listen.ts';
import { mqtt } from '../../src/listen/protocol.ts';
import { MqttEdge } from '../../src/mqtt/mqtt-edge.ts';
import type { Journal as Store } from '../../src/store/journal.ts';
import { type JournalChoices, openJournal } from './journal.ts';
import {
  type ConnectFields,
  DISCONNECT,
  pubackPacket,
  publishPacket,
  raw,
  subackPacket,
  subscribePacket,
  type Version,
} from './mqtt-packets.ts';
import { connectWire, openWire, type Wire } from './mqtt-wire.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

type EdgeParts = ConstructorParameters<typeof MqttEdge>[0];
export type EdgeOptions = EdgeParts['options'];

/** Small bounds, so that a test reaches them; times far beyond what a busy machine needs. */
const testOptions: EdgeOptions = {
  listeners: [{ host: '127.0.0.1', port: 0, anonymous: true }],
  connectionsMax: 20,
  packetBytesMax: 65_536,
  connectTimeoutMs: 10_000,
  keepAliveMaxS: 3600,
  subscriptionsMax: 10,
  topicLevelsMax: 8,
  inflightMax: 10,
  outboundBytesMax: 262_144,
};

/** Subjects below it are journaled, the others are live. */
export const LANE = 'lane.';

/** Takes what lies under `lane.` and keeps it until the test commits or refuses it: the far end of the receipts. */
export class HeldJournal implements Journal {
  readonly held: { message: Message; receipt: Receipt | null; token: number; reached: number }[] = [];
  appended = 0;
  isBehind = false;

  laneOf(message: Message): number {
    return message.subject.startsWith(LANE) ? 0 : -1;
  }

  append(_lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    this.appended++;
    this.held.push({ message, receipt, token, reached });
  }

  /** The first `count` are on disk. */
  release(count: number = this.held.length): void {
    for (const { receipt, token, reached } of this.held.splice(0, count)) receipt?.accepted(token, reached);
  }

  refuse(error: Error, count: number = this.held.length): void {
    for (const { receipt, token } of this.held.splice(0, count)) receipt?.refused(token, error);
  }

  /** Resolves once `count` messages wait for their commit. */
  async holds(count: number): Promise<void> {
    await waitFor(`${count} messages in the journal`, () => this.held.length >= count);
    assert.equal(this.held.length, count, 'messages in the journal');
  }
}

const BOX: Party = { kind: 'box', name: 'test' };

/** Writes down what the router delivers. */
class Listener implements Subscription {
  readonly filter: string;
  readonly queue = '';
  readonly owner = BOX;
  readonly messages: Message[] = [];

  constructor(filter: string) {
    this.filter = filter;
  }

  deliver(message: Message): boolean {
    this.messages.push(message);
    return true;
  }
}

/** A running edge with a real router; the journal's commits are the test's. */
export class TestEdge {
  readonly edge: MqttEdge;
  readonly router = new Router();
  readonly journal = new HeldJournal();
  readonly #scope: Scope;
  #clients = 0;

  constructor(
    scope: Scope,
    options: Partial<EdgeOptions>,
    parts: Partial<EdgeParts> = {},
    store: Store | null = null,
    users: readonly UserRules[] = [],
  ) {
    this.#scope = scope;
    this.router.connect(store ?? this.journal, null, store?.sessions);
    this.edge = new MqttEdge({
      listen: listenFor(mqtt),
      router: this.router,
      log: silentLog,
      authenticator: users.length === 0 ? null : new Authenticator(users),
      retained: store?.retained ?? null,
      sessions: store?.sessions ?? null,
      ...parts,
      options: { ...testOptions, ...options },
    });
  }

  get port(): number {
    return this.status.listeners[0]?.port ?? 0;
  }

  get status(): ReturnType<MqttEdge['status']> {
    return this.edge.status();
  }

  /** A connection that has said nothing yet. */
  open(name?: string): Promise<Wire> {
    return openWire(this.#scope, this.port, name);
  }

  /** A connection whose CONNECT was accepted. */
  connect(version: Version, clientId: string, fields: ConnectFields = {}): Promise<Wire> {
    return connectWire(this.#scope, this.port, { ...fields, version, clientId });
  }

  /** From the box itself, at once to every local subscriber. */
  publish(subject: string, payload: string | Buffer = 'x', headers: Buffer = NO_HEADERS): number {
    const body = typeof payload === 'string' ? raw(payload) : payload;
    return this.router.publish({
      subject,
      reply: '',
      headers,
      payload: body,
      receivedAtMs: Date.now(),
      origin: BOX,
    });
  }

  /** What passes the router on these subjects from now on. */
  listen(filter: string): Message[] {
    const listener = new Listener(filter);
    this.router.subscribe(listener);
    return listener.messages;
  }

  /** A new client of each version is served: what went before has harmed nobody else. */
  async expectServing(): Promise<void> {
    for (const version of [4, 5] as const) {
      const wire = await this.connect(version, `good-${++this.#clients}`);
      wire.send(
        subscribePacket(version, 1, [['good', 0]]),
        publishPacket({ version, topic: 'good', payload: 'ok', id: 2 }),
      );
      await wire.expect(subackPacket(version, 1, 0));
      await wire.expectInAnyOrder(publishPacket({ version, topic: 'good', payload: 'ok' }), pubackPacket(2));
      wire.send(DISCONNECT);
      await wire.expectClosed();
    }
  }

  counter(name: string): number {
    const counters: Readonly<Record<string, number>> = this.status.counters;
    const value = counters[name];
    assert.ok(value !== undefined, `no counter ${name} among ${Object.keys(counters)}`);
    return value;
  }
}

/** An edge that is stopped when the scope ends. */
export async function startEdge(
  scope: Scope,
  options: Partial<EdgeOptions> = {},
  users: readonly UserRules[] = [],
): Promise<TestEdge> {
  const test = new TestEdge(scope, options, {}, null, users);
  atEnd(scope, () => test.edge.stop());
  await test.edge.start();
  return test;
}

export interface RetainingChoices {
  options?: Partial<EdgeOptions>;
  parts?: Partial<EdgeParts>;
  journal?: JournalChoices;
}

/** An edge on a real journal, whose one lane is `lane.>`: for retained messages, which the journal keeps. */
export async function startRetainingEdge(
  scope: Scope,
  { options = {}, parts = {}, journal = {} }: RetainingChoices = {},
): Promise<{ edge: TestEdge; store: Store }> {
  const store = await openJournal(scope, {
    lanes: [{ name: 'lane', subjects: [`${LANE}>`] }],
    retained: { countMax: 30_000, bytesMax: 64 * 1024 * 1024 },
    ...journal,
  });
  const edge = new TestEdge(scope, options, parts, store);
  atEnd(scope, () => edge.edge.stop());
  await edge.edge.start();
  return { edge, store };
}

/** A box that remembers sessions, without its listeners for others: an edge on a journal in a folder that stays. */
export class RestartingEdge {
  readonly #scope: Scope;
  readonly #choices: RetainingChoices;
  readonly #folder: string;
  #running: { edge: TestEdge; store: Store } | null = null;

  constructor(scope: Scope, choices: RetainingChoices = {}) {
    this.#scope = scope;
    this.#choices = choices;
    this.#folder = tempDir(scope, 'sessions');
  }

  /** The running edge. */
  get edge(): TestEdge {
    assert.ok(this.#running);
    return this.#running.edge;
  }

  async start(options: Partial<EdgeOptions> = {}, parts: Partial<EdgeParts> = {}): Promise<TestEdge> {
    const { journal = {} } = this.#choices;
    this.#running = await startRetainingEdge(this.#scope, {
      options: { ...this.#choices.options, ...options },
      parts: { ...this.#choices.parts, ...parts },
      journal: { sessions: { bytesMax: 64 * 1024 * 1024 }, ...journal, folder: this.#folder },
    });
    return this.edge;
  }

  /** Stops in order, and starts anew on the same folder; `between` may change that. */
  async restart(
    options: Partial<EdgeOptions> = {},
    parts: Partial<EdgeParts> = {},
    between: (folder: string) => void = () => {},
  ): Promise<TestEdge> {
    await this.edge.edge.stop();
    await this.#running?.store.stop();
    between(this.#folder);
    return this.start(options, parts);
  }
}
