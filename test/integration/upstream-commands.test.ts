/**
 * `upstream.commands`: commands that wait in a stream of the hub. Real hub, real box, real subscribers; the journal of
 * the test is what the subscribers got, in their order.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import mqtt from 'mqtt';
import type { Snapshot } from '../../src/ops/snapshot.ts';
import { type Box, type BoxConfig, startBox } from '../support/box.ts';
import { connectHub, createStream, waitForStream } from '../support/hub-stream.ts';
import { BEHIND_PROXY, startNatsServer } from '../support/nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const PATIENT = { timeoutMs: 60_000 };

async function snapshotOf(box: Box): Promise<Snapshot> {
  return (await (await fetch(`${box.statusUrl}/status.json`)).json()) as Snapshot;
}

async function commandsOf(box: Box): Promise<Snapshot['commands'][number] | undefined> {
  return (await snapshotOf(box)).commands[0];
}

async function hubWithCommands(scope: Scope) {
  const hub = await startNatsServer(scope, { leafnodes: BEHIND_PROXY, jetstream: true });
  const there = await connectHub(scope, hub.clientUrl);
  await createStream(there, 'COMMANDS', ['cmd.>']);
  const send = async (subject: string, ...texts: (string | number)[]) => {
    for (const text of texts) await jetstream(there).publish(subject, String(text));
  };
  return { hub, there, send, manager: await jetstreamManager(there) };
}

const startBoxAt = (
  scope: Scope,
  leafUrl: string,
  commands: BoxConfig,
  more: { lanes?: unknown[]; dataDir?: string; prefix?: string } = {},
) => {
  const { lanes, dataDir, prefix = '' } = more;
  const upstream = { urls: [leafUrl], prefix, commands: [{ stream: 'COMMANDS', filter: 'cmd.>', ...commands }] };
  return startBox(scope, {
    name: 'plant1',
    config: { upstream, ...(lanes ? { lanes } : {}) },
    ...(dataDir ? { dataDir } : {}),
  });
};

/** A subscriber on the box, and what it got as `subject payload`. */
async function subscribe(scope: Scope, box: Box, filter: string): Promise<{ got: string[]; client: NatsConnection }> {
  const client = await connect({ servers: box.natsUrl });
  atEnd(scope, () => client.close());
  const got: string[] = [];
  client.subscribe(filter, { callback: (_error, message) => void got.push(`${message.subject} ${message.string()}`) });
  await client.flush();
  return { got, client };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const lines = (subject: string, from: number, to: number) => numbers(from, to).map((n) => `${subject} ${n}`);

describe('upstream.commands', () => {
  it('waits at the hub while the box is away; arrives in order, once, for MQTT and NATS subscribers', async (scope) => {
    const { hub, send, manager, there } = await hubWithCommands(scope);
    await send('cmd.valve', ...numbers(1, 120));
    // In hand 50 at a time: a request for more follows the acknowledgements.
    const box = await startBoxAt(scope, hub.leafUrl, { window: 50 });
    await waitFor('the window to fill', async () => (await commandsOf(box))?.held === 50, PATIENT);
    const device = await mqtt.connectAsync(box.mqttUrl, { reconnectPeriod: 0 });
    atEnd(scope, () => device.endAsync());
    const seen: string[] = [];
    device.on('message', (_topic, payload) => void seen.push(payload.toString()));
    await device.subscribeAsync('cmd/valve');
    await waitFor('all of them', () => seen.length === 120, PATIENT);
    assert.deepEqual(seen, numbers(1, 120).map(String));
    const { got } = await subscribe(scope, box, 'cmd.>');
    await send('cmd.valve', 121);
    await waitFor('a fresh one', () => got.length === 1 && seen.length === 121, PATIENT);
    const acknowledged = async () => (await manager.consumers.info('COMMANDS', 'petiole-plant1')).ack_floor.stream_seq;
    await waitFor('the acknowledgements', async () => (await acknowledged()) === 121, PATIENT);
    await waitFor(
      'the status page to say so',
      async () => (await commandsOf(box))?.counters.delivered === 121,
      PATIENT,
    );
    await waitFor('nothing in hand', async () => (await commandsOf(box))?.held === 0, PATIENT);
    const status = await commandsOf(box);
    assert.deepEqual([status?.state, status?.lastSequence], ['ready', 121]);
    // The live copy of a command is not taken as well, although somebody here subscribes to it.
    there.publish('cmd.valve', 'live and stored');
    await waitFor('the stored one', () => got.length === 2, PATIENT);
    await send('cmd.other', 'end');
    await waitFor('the last one', () => got.includes('cmd.other end'), PATIENT);
    assert.deepEqual(got, ['cmd.valve 121', 'cmd.valve live and stored', 'cmd.other end']);
  });

  it('is not acknowledged until somebody has it, and one subject does not hold up another', async (scope) => {
    const { hub, send, manager } = await hubWithCommands(scope);
    const box = await startBoxAt(scope, hub.leafUrl, {}, { prefix: '' });
    const { got: present } = await subscribe(scope, box, 'cmd.present');
    await send('cmd.absent', 1, 2);
    await send('cmd.present', 3, 4);
    await waitFor('those of the present one', () => present.length === 2, PATIENT);
    await waitFor('the absent ones to be held', async () => (await commandsOf(box))?.held === 2, PATIENT);
    const { num_ack_pending } = await manager.consumers.info('COMMANDS', 'petiole-plant1');
    assert.equal(num_ack_pending, 2);
    const { got: absent } = await subscribe(scope, box, 'cmd.absent');
    await waitFor('those of the absent one', () => absent.length === 2, PATIENT);
    assert.deepEqual(absent, lines('cmd.absent', 1, 2));
    assert.deepEqual(present, lines('cmd.present', 3, 4));
  });

  it('goes into the sessions of absent MQTT clients, and is acknowledged then; a kill loses none', async (scope) => {
    const { hub, send, manager } = await hubWithCommands(scope);
    const dataDir = tempDir(scope, 'commands');
    const box = await startBoxAt(scope, hub.leafUrl, {}, { dataDir });
    const options = { clientId: 'valve', clean: false, reconnectPeriod: 0 };
    const before = await mqtt.connectAsync(box.mqttUrl, options);
    await before.subscribeAsync('cmd/valve', { qos: 1 });
    await before.endAsync();
    await send('cmd.valve', ...numbers(1, 30));
    const pending = async () => {
      const { num_ack_pending, num_pending } = await manager.consumers.info('COMMANDS', 'petiole-plant1');
      return num_ack_pending + num_pending;
    };
    await waitFor('the acknowledgements', async () => (await pending()) === 0, PATIENT);
    await box.kill9();
    await box.start();
    const after = mqtt.connect(box.mqttUrl, options);
    atEnd(scope, () => after.endAsync());
    const seen: string[] = [];
    after.on('message', (_topic, payload) => void seen.push(payload.toString()));
    await waitFor('the thirty', () => seen.length >= 30, PATIENT);
    await send('cmd.valve', 31);
    await waitFor('a fresh one', () => seen.includes('31'), PATIENT);
    assert.deepEqual(seen, numbers(1, 31).map(String));
  });

  it('below a prefix, it is the box that names the subjects', async (scope) => {
    const { hub, there, manager } = await hubWithCommands(scope);
    await manager.streams.update('COMMANDS', { subjects: ['plant1.cmd.>'] });
    const box = await startBoxAt(scope, hub.leafUrl, {}, { prefix: 'plant1' });
    const { got } = await subscribe(scope, box, 'cmd.>');
    await jetstream(there).publish('plant1.cmd.valve', 'open');
    await waitFor('the command', () => got.length === 1, PATIENT);
    assert.deepEqual(got, ['cmd.valve open']);
  });

  it('links that fall with commands and acknowledgements under way lose, double and reorder nothing', async (scope) => {
    const { hub, send } = await hubWithCommands(scope);
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const box = await startBoxAt(scope, `nats://127.0.0.1:${proxy.port}`, { window: 20 });
    const { got } = await subscribe(scope, box, 'cmd.>');
    let next = 1;
    for (const direction of ['up', 'down'] as const) {
      // A link that falls at once is not tried again soon.
      await waitFor('the link to have lasted', async () => {
        const { link } = await snapshotOf(box);
        return link.state === 'up' && Date.now() - (link.sinceMs ?? 0) > 1_200;
      });
      // Acknowledgements get lost this way, commands that way.
      proxy.swallow(direction);
      await send('cmd.valve', ...numbers(next, next + 49));
      next += 50;
      await waitFor('something to be lost', () => proxy.lost[direction] > 0, PATIENT);
      proxy.cut();
      await proxy.restore();
      const all = next - 1;
      await waitFor(`${all} commands`, () => got.length >= all, PATIENT);
    }
    await send('cmd.valve', next);
    await waitFor('the last', () => got.includes(`cmd.valve ${next}`), PATIENT);
    assert.deepEqual(got, lines('cmd.valve', 1, next));
  });

  it('what was delivered is not delivered again after a kill, even by a consumer made anew', async (scope) => {
    const { hub, send, manager } = await hubWithCommands(scope);
    const dataDir = tempDir(scope, 'commands');
    const box = await startBoxAt(scope, hub.leafUrl, {}, { dataDir });
    const first = await subscribe(scope, box, 'cmd.>');
    await send('cmd.valve', ...numbers(1, 30));
    await waitFor('thirty', () => first.got.length === 30, PATIENT);
    await waitFor('nothing in hand', async () => (await commandsOf(box))?.held === 0, PATIENT);
    await first.client.close();
    await box.kill9();
    await manager.consumers.delete('COMMANDS', 'petiole-plant1');
    await send('cmd.valve', 31);
    await box.start();
    const second = await subscribe(scope, box, 'cmd.>');
    await waitFor('the one that is new', () => second.got.length > 0, PATIENT);
    await waitFor('the old ones to be known', async () => (await commandsOf(box))?.counters.duplicates === 30, PATIENT);
    assert.deepEqual(second.got, ['cmd.valve 31']);
  });

  it('too old, or sent too often: to the dead-letter subject with the reason, kept by its lane', async (scope) => {
    const { hub, there, send } = await hubWithCommands(scope);
    await createStream(there, 'DEAD', ['petiole.plant1.commands.dead']);
    const proxy = await startTcpProxy(scope, hub.leafPort);
    const lanes = [{ name: 'dead', subjects: ['petiole.plant1.commands.dead'] }];
    const box = await startBoxAt(scope, `nats://127.0.0.1:${proxy.port}`, { ttl: '1s', window: 5 }, { lanes });
    await send('cmd.nobody', 'old');
    await waitForStream(there, 'DEAD', 1, PATIENT);
    const manager = await jetstreamManager(there);
    const dead = await manager.streams.getMessage('DEAD', { seq: 1 });
    assert.equal(dead?.string(), 'old');
    assert.equal(dead?.header.get('Petiole-Dead-Reason'), 'expired');
    assert.equal(dead?.header.get('Petiole-Dead-Subject'), 'cmd.nobody');
    assert.equal(dead?.header.get('Petiole-Dead-Sequence'), 'COMMANDS:1');
    await waitFor('it to be settled', async () => (await commandsOf(box))?.held === 0, PATIENT);
    assert.equal((await commandsOf(box))?.counters.expired, 1);
  });

  it('deliveries are bounded: a command that the hub had to send again and again is dead', async (scope) => {
    const { hub, there, send } = await hubWithCommands(scope);
    const box = await startBoxAt(scope, hub.leafUrl, { deliveries_max: 1, dead_letter: 'dead.commands' });
    const dead: string[] = [];
    there.subscribe('dead.commands', {
      callback: (_error, message) =>
        void dead.push(`${message.string()} ${message.headers?.get('Petiole-Dead-Reason')}`),
    });
    await there.flush();
    await send('cmd.nobody', 'x');
    await waitFor('it to be in hand', async () => (await commandsOf(box))?.held === 1, PATIENT);
    // Killed with the command in hand: the hub has to send it a second time.
    await box.kill9();
    await box.start();
    await waitFor('the dead one', () => dead.length === 1, PATIENT);
    assert.deepEqual(dead, ['x undeliverable']);
  });

  it('no stream yet: named on the status page with its cure, and mended without a restart', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true, jetstream: true });
    const there = await connectHub(scope, hub.clientUrl);
    const box = await startBoxAt(scope, hub.leafUrl, {});
    const blocked = await waitFor('the reason', async () => {
      const status = await commandsOf(box);
      return status?.state === 'blocked' ? status.reason : null;
    });
    assert.equal(blocked.code, 'no_stream');
    assert.match(blocked.hint, /nats stream add COMMANDS --subjects 'cmd\.>'/);
    const { got } = await subscribe(scope, box, 'cmd.>');
    await createStream(there, 'COMMANDS', ['cmd.>']);
    await jetstream(there).publish('cmd.valve', 'open');
    await waitFor('the command', () => got.length === 1, PATIENT);
    await waitFor('the status page to forget it', async () => {
      const { problems } = await snapshotOf(box);
      return !problems.some(({ part }) => part.startsWith('commands'));
    });
  });
});
