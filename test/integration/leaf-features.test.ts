/**
 * Goal: what a leaf is for works with every version of the hub that can be had. Method: one real hub of each version, one
 * real box below it with everything switched on, official clients on both sides; each feature is a step of its own, and
 * the table of them is printed.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import mqtt from 'mqtt';
import { type Box, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { allNatsServers } from '../support/newer-nats-server.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const cache = join(import.meta.dirname, '../../.cache');
mkdirSync(cache, { recursive: true });
const { found, missing } = allNatsServers(cache);
const WAIT = { timeoutMs: 30_000 };

interface Place {
  hub: NatsServer;
  box: Box;
  minor: number;
  /** Official clients at the hub and on the box. */
  there: NatsConnection;
  here: NatsConnection;
  device: mqtt.MqttClient;
}

/** The subscription of one side is known on the other one. */
async function announced({ there, here }: Place): Promise<void> {
  await Promise.all([there.flush(), here.flush()]);
  // Asked of the hub over the link, behind everything that the box has announced.
  await here.request('$JS.API.INFO', '', { timeout: 5_000 });
  await there.flush();
}

const features: Record<string, (place: Place) => Promise<void>> = {
  'live messages both ways, with headers': async (place) => {
    const { there, here } = place;
    const got: string[] = [];
    const note =
      (side: string) => (_error: Error | null, message: { string(): string; headers?: { get(key: string): string } }) =>
        void got.push(`${side} ${message.string()} ${message.headers?.get('Unit')}`);
    there.subscribe('live.up', { callback: note('there') });
    here.subscribe('live.down', { callback: note('here') });
    await announced(place);
    const block = headers();
    block.set('Unit', 'bar');
    here.publish('live.up', '1', { headers: block });
    there.publish('live.down', '2', { headers: block });
    await waitFor('both', () => got.length === 2);
    assert.deepEqual(got.toSorted(), ['here 2 bar', 'there 1 bar']);
  },

  'requests from the cloud to a service on the box, and back': async (place) => {
    const { there, here } = place;
    here.subscribe('box.service', { callback: (_error, message) => void message.respond(`box ${message.string()}`) });
    there.subscribe('hub.service', { callback: (_error, message) => void message.respond(`hub ${message.string()}`) });
    await announced(place);
    for (let i = 0; i < 20; i++) {
      assert.equal((await there.request('box.service', String(i), { timeout: 5_000 })).string(), `box ${i}`);
      assert.equal((await here.request('hub.service', String(i), { timeout: 5_000 })).string(), `hub ${i}`);
    }
    await assert.rejects(here.request('nobody.there', '', { timeout: 5_000 }), /no responders/i);
  },

  'a request from the cloud to an MQTT device by reply subject': async (place) => {
    const { there, device } = place;
    const asked: string[] = [];
    device.on('message', (topic, payload) => void asked.push(`${topic} ${payload}`));
    await device.subscribeAsync('device/ask');
    const answers: string[] = [];
    there.subscribe('device.answer', { callback: (_error, message) => void answers.push(message.string()) });
    await announced(place);
    there.publish('device.ask', 'how warm', { reply: 'device.answer' });
    await waitFor('the question', () => asked.length === 1);
    // MQTT 3.1.1 has no reply subject: device and asker agree on the topic.
    await device.publishAsync('device/answer', '21');
    await waitFor('the answer', () => answers.length === 1);
    assert.deepEqual([...asked, ...answers], ['device/ask how warm', '21']);
  },

  'a queue group over box and cloud: each message once': async (place) => {
    const { there, here } = place;
    const got: string[] = [];
    const member = (side: string) => (_error: Error | null, message: { string(): string }) =>
      void got.push(`${side} ${message.string()}`);
    const ours = here.subscribe('jobs', { queue: 'crew', callback: member('here') });
    const theirs = there.subscribe('jobs', { queue: 'crew', callback: member('there') });
    await announced(place);
    for (let i = 0; i < 50; i++) {
      here.publish('jobs', `h${i}`);
      there.publish('jobs', `t${i}`);
    }
    await waitFor('all jobs', () => got.length === 100);
    const jobs = got.map((line) => line.split(' ')[1]);
    assert.equal(new Set(jobs).size, 100);
    // The nearest member is chosen, and the other side helps out when there is none.
    ours.unsubscribe();
    await announced(place);
    here.publish('jobs', 'over');
    await waitFor('the one for the cloud', () => got.includes('there over'));
    here.subscribe('jobs', { queue: 'crew', callback: member('here') });
    theirs.unsubscribe();
    await announced(place);
    there.publish('jobs', 'down');
    await waitFor('the one for the box', () => got.includes('here down'));
    assert.equal(got.length, 102);
  },

  'the hub lists the box by name, with subscriptions and round trip': async (place) => {
    const { hub, here, minor } = place;
    here.subscribe('listed.here', { callback: () => {} });
    await announced(place);
    interface Leafz {
      leafs: { name?: string; rtt: string; account: string; subscriptions: number; subscriptions_list: string[] }[];
    }
    const leaf = await waitFor('the round trip', async () => {
      const [first] = (await hub.monitor<Leafz>('/leafz?subs=1')).leafs;
      return first?.rtt ? first : undefined;
    });
    // Hubs before 2.10 know the name and do not show it.
    assert.equal(leaf.name, minor >= 10 ? 'plant1' : undefined);
    assert.match(leaf.rtt, /^[\d.]+(?:µs|ms|s)$/);
    assert.ok(leaf.subscriptions_list.includes('listed.here'));
    assert.equal(leaf.subscriptions, leaf.subscriptions_list.length);
  },

  'JetStream and KV of the hub, by stock clients through the box': async ({ here }) => {
    const manager = await jetstreamManager(here);
    await manager.streams.add({ name: 'MADE', subjects: ['made.>'] });
    await manager.consumers.add('MADE', { durable_name: 'd', ack_policy: 'explicit' });
    const stream = jetstream(here);
    assert.equal((await stream.publish('made.x', 'kept')).seq, 1);
    const consumer = await stream.consumers.get('MADE', 'd');
    const message = await consumer.next({ expires: 5_000 });
    assert.equal(message?.string(), 'kept');
    assert.ok(await message?.ackAck());
    const bucket = await new Kvm(here).create('settings');
    await bucket.put('speed', '7');
    assert.equal((await bucket.get('speed'))?.string(), '7');
  },

  'records exactly once: any stream, and a stream of its own that the box made': async ({ there, device }) => {
    for (let i = 0; i < 200; i++) await device.publishAsync(i % 2 ? 'shared/x' : 'own/x', String(i), { qos: 1 });
    await waitForStream(there, 'SHARED', 100, WAIT);
    await waitForStream(there, 'OWN', 100, WAIT);
    for (const [name, rest] of [
      ['OWN', 0],
      ['SHARED', 1],
    ] as const) {
      const values: number[] = [];
      await readStream(there, name, ({ payload }) => void values.push(Number(Buffer.from(payload).toString())));
      assert.deepEqual(
        values,
        Array.from({ length: 100 }, (_, i) => 2 * i + rest),
      );
    }
  },

  'commands that waited at the hub': async ({ there, here }) => {
    for (let i = 0; i < 20; i++) await jetstream(there).publish('cmd.valve', String(i));
    const got: string[] = [];
    here.subscribe('cmd.>', { callback: (_error, message) => void got.push(message.string()) });
    await waitFor('the commands', () => got.length === 20, WAIT);
    assert.deepEqual(
      got,
      Array.from({ length: 20 }, (_, i) => String(i)),
    );
  },
};

async function startPlace(scope: TestContext, binary: string, minor: number): Promise<Place> {
  const hub = await startNatsServer(scope, { leafnodes: true, jetstream: true, binary });
  const there = await connectHub(scope, hub.clientUrl);
  await createStream(there, 'SHARED', ['shared.>']);
  await createStream(there, 'COMMANDS', ['cmd.>']);
  const box = await startBox(scope, {
    name: 'plant1',
    config: {
      lanes: [
        { name: 'shared', subjects: ['shared.>'] },
        { name: 'own', subjects: ['own.>'], stream: { name: 'OWN', own: true } },
      ],
      upstream: {
        urls: [hub.leafUrl],
        streams: [{ name: 'OWN', subjects: ['own.>'] }],
        commands: [{ stream: 'COMMANDS', filter: 'cmd.>' }],
      },
    },
  });
  const here = await connect({ servers: box.natsUrl });
  atEnd(scope, () => here.close());
  const device = await mqtt.connectAsync(box.mqttUrl, { reconnectPeriod: 0 });
  atEnd(scope, () => device.endAsync());
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
  return { hub, box, there, here, device, minor };
}

describe('versions and features', () => {
  for (const command of missing) it(`a hub is missing: ${command}`, { skip: command }, () => {});
  const rows = new Map(Object.keys(features).map((name) => [name, [] as string[]]));

  for (const { path: binary, version } of found) {
    it(`nats-server ${version}`, async (scope) => {
      const place = await startPlace(scope, binary, Number(version.split('.')[1]));
      for (const [name, work] of Object.entries(features)) {
        await scope.test(name, async () => {
          await work(place);
          rows.get(name)?.push(version);
        });
      }
    });
  }

  it('the table', (scope) => {
    const cells = [...rows].map(([name, versions]) => {
      const each = found.map(({ version }) => (versions.includes(version) ? 'ok' : 'FAILED').padEnd(10));
      return `${name.padEnd(80)}${each.join('')}`;
    });
    scope.diagnostic(
      `\n${''.padEnd(80)}${found.map(({ version }) => version.padEnd(10)).join('')}\n${cells.join('\n')}`,
    );
    assert.ok(cells.every((line) => !line.includes('FAILED')));
  });
});
