import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Message, NO_HEADERS, type Party } from '../../src/core/message.ts';
import { type Journal, type Receipt, Router, type Subscription, type Upstream } from '../../src/core/router.ts';

/** A party that keeps what it gets, and takes nothing while it is `slow`. */
class Listener implements Subscription {
  readonly filter: string;
  readonly queue: string;
  readonly owner: Party;
  readonly got: Message[] = [];
  slow = false;
  /** Runs in the middle of a delivery. */
  whenDelivered = () => {};

  constructor(filter: string, queue = '') {
    this.filter = filter;
    this.queue = queue;
    this.owner = { kind: 'mqtt', name: `${filter} ${queue}` };
  }

  deliver(message: Message): boolean {
    this.whenDelivered();
    if (this.slow) return false;
    this.got.push(message);
    return true;
  }
}

/** Takes what lies under `lanes`, and reports a commit when the test says so. */
class HeldJournal implements Journal {
  readonly appended: { lane: number; message: Message; receipt: Receipt | null; token: number; reached: number }[] = [];
  readonly #prefixes: readonly string[];

  constructor(...prefixes: string[]) {
    this.#prefixes = prefixes;
  }

  laneOf(message: Message): number {
    return this.#prefixes.findIndex((prefix) => message.subject.startsWith(prefix));
  }

  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    this.appended.push({ lane, message, receipt, token, reached });
  }

  commit(): void {
    for (const { receipt, token, reached } of this.appended.splice(0)) receipt?.accepted(token, reached);
  }
}

class Hub implements Upstream {
  readonly interests: [filter: string, queue: string, members: number][] = [];
  readonly sent: { message: Message; served: readonly string[] }[] = [];
  wants = true;

  interest(filter: string, queue: string, members: number): void {
    this.interests.push([filter, queue, members]);
  }

  send(message: Message, served: readonly string[]): boolean {
    if (this.wants) this.sent.push({ message, served });
    return this.wants;
  }
}

class Receipts implements Receipt {
  readonly fates: (readonly [token: number, fate: number | Error])[] = [];

  accepted(token: number, reached: number): void {
    this.fates.push([token, reached]);
  }

  refused(token: number, error: Error): void {
    this.fates.push([token, error]);
  }
}

function message(subject: string, kind: Party['kind'] = 'mqtt'): Message {
  const origin = { kind, name: 'publisher' };
  return { subject, reply: '', headers: NO_HEADERS, payload: Buffer.from(subject), receivedAtMs: 0, origin };
}

function rig(...lanes: string[]) {
  const router = new Router();
  const journal = new HeldJournal(...lanes);
  const hub = new Hub();
  router.connect(journal, hub);
  const listen = (filter: string, queue = '') => {
    const listener = new Listener(filter, queue);
    router.subscribe(listener);
    return listener;
  };
  return { router, journal, hub, listen };
}

test('each plain subscription that matches gets the very message, others do not', () => {
  const { router, listen, hub } = rig();
  hub.wants = false;
  const exact = listen('a.b');
  const wild = listen('a.*');
  const other = listen('a.c');
  const published = message('a.b');
  assert.equal(router.publish(published), 2);
  assert.equal(exact.got[0], published);
  assert.equal(wild.got[0], published);
  assert.deepEqual(other.got, []);
});

test('what a subscription refused does not count as reached', () => {
  const { router, listen, hub } = rig();
  hub.wants = false;
  listen('a').slow = true;
  listen('>');
  assert.equal(router.publish(message('a')), 1);
});

test('a queue group gets one copy, its members in turn', () => {
  const { router, listen } = rig('a');
  const members = [listen('a', 'q'), listen('a', 'q'), listen('*', 'q')];
  for (let i = 0; i < 9; i++) assert.equal(router.publish(message('a')), 1);
  assert.deepEqual(
    members.map(({ got }) => got.length),
    [3, 3, 3],
  );
});

test('where a member refuses, the next one of the group gets the message', () => {
  const { router, listen, hub } = rig();
  const members = [listen('a', 'q'), listen('a', 'q'), listen('a', 'q')];
  const [first, second, third] = members;
  assert.ok(first && second && third);
  second.slow = true;
  for (let i = 0; i < 6; i++) router.publish(message('a'));
  assert.equal(first.got.length + third.got.length, 6);
  assert.equal(second.got.length, 0);
  for (const { served } of hub.sent) assert.deepEqual(served, ['q']);
});

test('a group in which nobody can take it is left to the hub', () => {
  const { router, listen, hub } = rig();
  listen('a', 'q').slow = true;
  listen('a', 'r');
  assert.equal(router.publish(message('a')), 2, 'the group r, and the hub');
  assert.deepEqual(hub.sent[0]?.served, ['r']);
});

test('plain subscriptions and every group get the same message once each', () => {
  const { router, listen, journal } = rig('a');
  const all = [listen('a'), listen('a', 'q'), listen('>', 'r'), listen('*')];
  assert.equal(router.publish(message('a')), 4);
  for (const { got } of all) assert.equal(got.length, 1);
  assert.equal(journal.appended[0]?.reached, 4);
});

test('a live message goes up at once and its receipt is accepted at once', () => {
  const { router, listen, journal, hub } = rig('kept.');
  listen('live.x');
  const receipts = new Receipts();
  const published = message('live.x');
  assert.equal(router.publish(published, receipts, 7), 2);
  assert.deepEqual(hub.sent, [{ message: published, served: [] }]);
  assert.deepEqual(journal.appended, []);
  assert.deepEqual(receipts.fates, [[7, 2]]);
});

test('without interest at the hub a live message has reached local parties only', () => {
  const { router, listen, hub } = rig();
  hub.wants = false;
  listen('a');
  const receipts = new Receipts();
  assert.equal(router.publish(message('a'), receipts, 1), 1);
  assert.equal(router.publish(message('b'), receipts, 2), 0);
  assert.deepEqual(receipts.fates, [
    [1, 1],
    [2, 0],
  ]);
});

test('a journaled message is delivered at once, never goes up live, and its receipt waits for the commit', () => {
  const { router, listen, journal, hub } = rig('x.', 'kept.');
  const local = listen('kept.>');
  const receipts = new Receipts();
  const published = message('kept.a');
  assert.equal(router.publish(published, receipts, 3), 1);
  assert.equal(local.got.length, 1);
  assert.deepEqual(hub.sent, []);
  assert.deepEqual(receipts.fates, []);
  assert.deepEqual(journal.appended, [{ lane: 1, message: published, receipt: receipts, token: 3, reached: 1 }]);
  journal.commit();
  assert.deepEqual(receipts.fates, [[3, 1]]);
});

test('messages are appended in the order of their publication', () => {
  const { router, journal } = rig('a.');
  for (let i = 0; i < 100; i++) router.publish(message(`a.${i}`), null, i);
  assert.deepEqual(
    journal.appended.map(({ token }) => token),
    Array.from({ length: 100 }, (_, i) => i),
  );
});

test('a message needs no receipt, and a box without a hub needs none either', () => {
  const router = new Router();
  const journal = new HeldJournal('kept.');
  router.connect(journal, null);
  const listener = new Listener('>');
  router.subscribe(listener);
  assert.equal(router.publish(message('kept.a')), 1);
  assert.equal(router.publish(message('live.a')), 1);
  assert.equal(journal.appended.length, 1);
  const receipts = new Receipts();
  router.publish(message('live.b'), receipts, 5);
  assert.deepEqual(receipts.fates, [[5, 1]]);
});

test('a message of the hub goes to local parties only: no lane takes it and it does not go back', () => {
  const { router, listen, journal, hub } = rig('a');
  const plain = listen('a');
  assert.equal(router.deliver(message('a', 'hub'), []), 1);
  assert.equal(plain.got.length, 1);
  assert.deepEqual(journal.appended, []);
  assert.deepEqual(hub.sent, []);
});

test('a message of the hub goes to the queue groups that the hub chose, one member each', () => {
  const { router, listen } = rig();
  const chosen = [listen('a', 'q'), listen('a', 'q')];
  const other = listen('a', 'r');
  const plain = listen('a');
  assert.equal(router.deliver(message('a', 'hub'), []), 1);
  assert.equal(router.deliver(message('a', 'hub'), ['q', 'nobody']), 2);
  assert.equal(
    chosen.reduce((sum, { got }) => sum + got.length, 0),
    1,
  );
  assert.equal(other.got.length, 0);
  assert.equal(plain.got.length, 2);
});

test('a chosen member that refuses is stood in for, and a group that refuses is not reached', () => {
  const { router, listen } = rig();
  const [first, second] = [listen('a', 'q'), listen('a', 'q')];
  first.slow = true;
  for (let i = 0; i < 4; i++) assert.equal(router.deliver(message('a', 'hub'), ['q']), 1);
  assert.equal(second.got.length, 4);
  second.slow = true;
  assert.equal(router.deliver(message('a', 'hub'), ['q']), 0);
});

test('a subscription may end in the middle of a delivery', () => {
  const { router, listen, hub } = rig();
  hub.wants = false;
  const listeners = [listen('a'), listen('a'), listen('a')];
  for (const listener of listeners) {
    listener.whenDelivered = () => {
      for (const one of listeners) router.unsubscribe(one);
    };
  }
  assert.equal(router.publish(message('a')), 3);
  assert.equal(router.publish(message('a')), 0);
  assert.equal(router.subscriptions, 0);
});

test('the hub hears of each change of interest with the number of members', () => {
  const { router, listen, hub } = rig();
  const first = listen('a');
  const second = listen('a');
  const queued = listen('a', 'q');
  router.unsubscribe(first);
  router.unsubscribe(second);
  router.unsubscribe(queued);
  assert.deepEqual(hub.interests, [
    ['a', '', 1],
    ['a', '', 2],
    ['a', 'q', 1],
    ['a', '', 1],
    ['a', '', 0],
    ['a', 'q', 0],
  ]);
  assert.deepEqual([...router.interest()], []);
});

test('to end a subscription twice, or one that never was, changes nothing', () => {
  const { router, listen, hub } = rig();
  const first = listen('a');
  listen('a');
  router.unsubscribe(first);
  router.unsubscribe(first);
  router.unsubscribe(new Listener('a'));
  assert.deepEqual(hub.interests.at(-1), ['a', '', 1]);
  assert.equal(hub.interests.length, 3);
});

test('a link that comes up finds every interest with its members', () => {
  const { router, listen } = rig();
  listen('a');
  listen('a');
  listen('a', 'q');
  const gone = listen('b');
  router.unsubscribe(gone);
  assert.deepEqual(
    [...router.interest()],
    [
      { filter: 'a', queue: '', count: 2 },
      { filter: 'a', queue: 'q', count: 1 },
    ],
  );
  assert.equal(router.subscriptions, 3);
});

test('the groups with a member here are named, each once', () => {
  const { router, listen } = rig();
  listen('a');
  listen('a', 'q');
  listen('*', 'q');
  listen('>', 'r');
  listen('b', 's');
  assert.deepEqual([...router.servedQueues('a')].sort(), ['q', 'r']);
  assert.deepEqual(router.servedQueues('b.c'), ['r']);
  assert.deepEqual(rig().router.servedQueues('a'), []);
});
