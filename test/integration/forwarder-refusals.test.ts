import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { connectHub, createStream, streamState, waitForStream } from '../support/hub-stream.ts';
import { message, produce, storedLedger } from '../support/journal.ts';
import { type NatsServerOptions, startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, laneFor, procedures, statusNames } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startUplink, type UplinkLane, type UplinkOptions } from '../support/uplink.ts';

const OWN: UplinkLane = { subjects: ['t.>'], stream: { name: 'T', own: true } };
const SHARED: UplinkLane = { subjects: ['t.>'] };

/** `prepare`: what the hub has before the box comes. */
async function setting(
  scope: Scope,
  hubOptions: NatsServerOptions,
  options: Partial<UplinkOptions>,
  prepare: (client: NatsConnection) => Promise<unknown> = async () => undefined,
) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, ...hubOptions });
  const client = await connectHub(scope, hub.clientUrl);
  await prepare(client);
  const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, lanes: [SHARED], ...options });
  return { hub, client, uplink };
}

describe('a lane that no stream takes', () => {
  it('waits, names the subject and the cure, and goes on by itself when there is one', async (scope) => {
    const { client, uplink } = await setting(scope, {}, {});
    await uplink.produce(500, 't.temp');
    const { reason, state } = await uplink.blocked('no_stream');
    assert.equal(state, 'blocked');
    assert.match(reason?.message ?? '', /no stream at the hub takes t\.temp/);
    assert.match(reason?.hint ?? '', /--subjects 't\.temp'/);
    await createStream(client, 'T', ['t.>']);
    await uplink.drained(0, { timeoutMs: 5_000 });
    assertExactly(await readNumbers(client, 'T'), 500);
    assert.equal(uplink.status().reason, null);
  });

  it('says which stream it misses where one is named, and sends nothing to any other', async (scope) => {
    const { client, uplink } = await setting(scope, {}, { lanes: [OWN] });
    await createStream(client, 'OTHER', ['t.>']);
    await uplink.produce(10, 't.temp');
    assert.match((await uplink.blocked('no_stream')).reason?.message ?? '', /the hub has no stream T/);
    assert.equal((await streamState(client, 'OTHER')).messages, 0);
  });

  it('waits where the hub has no JetStream, and where the stream acknowledges nothing', async (scope) => {
    const none = await setting(scope, { jetstream: false }, {});
    await none.uplink.produce(1, 't.x');
    assert.match((await none.uplink.blocked('hub_no_jetstream')).reason?.hint ?? '', /enable JetStream/);
    const silent = await setting(scope, {}, {});
    await createStream(silent.client, 'T', ['t.>'], { no_ack: true });
    await silent.uplink.produce(1, 't.x');
    assert.match((await silent.uplink.blocked('stream_refused')).reason?.message ?? '', /no_ack/);
  });

  it('asks for a new link where the hub has the stream and its announcement of interest got lost', async (scope) => {
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
    const client = await connectHub(scope, hub.clientUrl);
    await createStream(client, 'T', ['t.>']);
    const proxy = await startTcpProxy(scope, hub.leafPort);
    proxy.withhold('LS+ t.>\r\n');
    const uplink = await startUplink(scope, { leafUrl: `nats://127.0.0.1:${proxy.port}`, lanes: [OWN] });
    await uplink.produce(10, 't.temp');
    assert.match((await uplink.blocked('no_interest')).reason?.message ?? '', /no interest in t\.temp/);
    assert(proxy.hasWithheld);
    await uplink.drained();
    assertExactly(await readNumbers(client, 'T'), 10);
    assert.equal(uplink.link.status().reconnects, 1);
  });

  it('waits where permissions forbid the subject, and the link stays up', async (scope) => {
    const user = '{ user: "box", password: "pw", permissions: { publish: { deny: ["t.secret"] } } }';
    const accounts = `A { jetstream: enabled, users: [ { user: "admin", password: "pw" }, ${user} ] }`;
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, accounts });
    const client = await connectHub(scope, hub.clientUrl, { user: 'admin', pass: 'pw' });
    await createStream(client, 'T', ['t.>']);
    const uplink = await startUplink(scope, { leafUrl: hub.leafUrl, user: 'box', password: 'pw' });
    await uplink.produce(10, (n) => (n === 6 ? 't.secret' : 't.open'));
    const { reason } = await uplink.blocked('permission_denied');
    assert.match(reason?.message ?? '', /t\.secret/);
    assert.equal(uplink.link.status().reconnects, 0);
    assert.equal((await streamState(client, 'T')).messages, 5);
    assert.equal(uplink.cursor(), 5);
  });
});

for (const procedure of procedures) {
  const lanes = [laneFor(procedure)];
  const hubOptions = binaryFor(procedure);

  describe(`a stream that refuses, by ${procedure}`, () => {
    it('full: the lane waits and loses nothing, and goes on when there is room', async (scope) => {
      const { client, uplink } = await setting(scope, hubOptions, { lanes, window: 100 }, (hub) =>
        createStreamFor(procedure, hub, 'T', ['t.>'], { max_msgs: 700, discard: 'new' }),
      );
      await uplink.produce(1_500, (n) => `t.${n % 3}`);
      const { reason } = await uplink.blocked('stream_refused');
      assert.match(reason?.message ?? '', /stream T refuses a record: maximum messages exceeded \(10077\)/);
      // A batch is stored as a whole, or not; one place is the watermark's.
      const stored = await readNumbers(client, 'T');
      assertExactly(stored, stored.length);
      assert.ok(procedure === 'atomic' ? stored.length > 500 && stored.length < 700 : stored.length === 700);
      const manager = await jetstreamManager(client);
      await manager.streams.update('T', { max_msgs: -1 });
      await uplink.drained();
      assertExactly(await readNumbers(client, 'T'), 1_500);
      assert.equal(uplink.status().reason, null);
    });

    it('too small for one message: the ledger has it, and the rest goes on', async (scope) => {
      const { client, uplink } = await setting(scope, hubOptions, { lanes, window: 10 }, (hub) =>
        createStreamFor(procedure, hub, 'T', ['t.>'], { max_msg_size: 2_000 }),
      );
      await produce(uplink.journal, 0, 100, (n) => message('t.x', n % 30 === 0 ? Buffer.alloc(3_000) : String(n)));
      await uplink.drained();
      const numbers = (await readNumbers(client, 'T')).map(({ n }) => n);
      assert.deepEqual(
        numbers,
        Array.from({ length: 100 }, (_, i) => i + 1).filter((n) => n % 30 > 0),
      );
      assert.equal(uplink.status().oversize, 3);
      assert.equal(uplink.status().procedure, statusNames[procedure]);
      await uplink.stop();
      const rows = storedLedger(uplink.folder);
      assert.deepEqual(
        rows.map(({ reason, count, first }) => [reason, count, first]),
        [30, 60, 90].map((n) => ['oversize', 1, n]),
      );
    });
  });
}

describe('a hub that takes smaller messages than the box', () => {
  it('gets all others, and a message that declares those that are lost', async (scope) => {
    const lanes = [{ name: 'default', subjects: ['t.>'] }];
    const { client, uplink } = await setting(scope, { maxPayload: 4_096 }, { lanes });
    await createStream(client, 'T', ['t.>']);
    await createStream(client, 'L', ['petiole.*.ledger']);
    await produce(uplink.journal, 0, 50, (n) => message('t.x', n === 1 || n === 25 ? Buffer.alloc(5_000) : String(n)));
    await uplink.drained();
    assert.equal((await readNumbers(client, 'T')).length, 48);
    assert.equal(uplink.link.status().reconnects, 0);
    await waitForStream(client, 'L', 2, { timeoutMs: 15_000 });
    const told = await readNumbers(client, 'L');
    assert.deepEqual(
      told.map(({ subject }) => subject),
      ['petiole.box.ledger', 'petiole.box.ledger'],
    );
  });
});
