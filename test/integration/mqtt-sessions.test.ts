import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { RestartingEdge, type TestEdge } from '../support/mqtt-edge.ts';
import {
  type ConnectFields,
  connectPacket,
  DISCONNECT,
  type Field,
  packet,
  properties,
  property,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
  u16,
  u32,
  unsubscribePacket,
  type Version,
} from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';
import { waitFor } from '../support/wait-for.ts';

const QOS_2 = 0x04;
const DUP = 0x08;
const HOUR = [property.sessionExpiry, u32(3600)];

const pubrec = (id: number) => packet(0x50, u16(id));
const pubrel = (id: number) => packet(0x62, u16(id));
const pubcomp = (id: number) => packet(0x70, u16(id));

/** A persistent session; resolves with its connection and whether the session was there. */
async function connect(
  edge: TestEdge,
  version: Version,
  clientId: string,
  fields: ConnectFields = {},
): Promise<{ wire: Wire; isPresent: boolean }> {
  const wire = await edge.open(clientId);
  const expiry = version === 5 ? { properties: HOUR } : {};
  wire.send(connectPacket({ version, clientId, clean: false, ...expiry, ...fields }));
  if (version === 5) {
    const { reasonCode, sessionPresent } = await wire.connAck();
    assert.equal(reasonCode, 0);
    return { wire, isPresent: sessionPresent };
  }
  const answer = await wire.next('CONNACK');
  assert.equal(answer[3], 0);
  return { wire, isPresent: answer[2] === 1 };
}

async function subscribe(wire: Wire, version: Version, filter: string, qos: number): Promise<void> {
  wire.send(subscribePacket(version, 1, [[filter, qos]]));
  await wire.expect(subackPacket(version, 1, qos));
}

async function leave(edge: TestEdge, wire: Wire, last: Buffer = DISCONNECT): Promise<void> {
  const before = edge.status.clients.length;
  wire.send(last);
  await wire.expectClosed();
  await waitFor('the client to have left', () => edge.status.clients.length < before);
}

for (const version of [4, 5] as const) {
  test(`version ${version}: a session, its subscriptions and its queue outlive a restart, in order`, async (t) => {
    const box = new RestartingEdge(t);
    let edge = await box.start();
    const first = await connect(edge, version, 'c');
    assert.equal(first.isPresent, false);
    await subscribe(first.wire, version, 'a/#', 1);
    await leave(edge, first.wire);
    const sender = await edge.connect(version, 'sender');
    // One in a lane, one live only: both acknowledged, so both are kept for the session.
    sender.send(publishPacket({ version, topic: 'a/1', payload: '1', id: 1 }));
    await sender.expect(pubackPacket(1));
    edge = await box.restart();
    // The interest is there before the client is.
    const again = await edge.connect(version, 'sender');
    again.send(publishPacket({ version, topic: 'a/2', payload: '2', id: 1 }));
    again.send(publishPacket({ version, topic: 'a/0', payload: 'QoS 0' }));
    await again.expect(pubackPacket(1));
    assert.equal(edge.status.sessions?.queued, 2);
    const second = await connect(edge, version, 'c');
    assert.equal(second.isPresent, true);
    await second.wire.expect(
      publishPacket({ version, topic: 'a/1', payload: '1', id: 1 }),
      publishPacket({ version, topic: 'a/2', payload: '2', id: 2 }),
    );
    second.wire.send(pubackPacket(1), pubackPacket(2));
    await second.wire.expectQuiet();
    assert.deepEqual([edge.status.sessions?.queued, edge.status.sessions?.bytes], [0, 0]);
    edge.publish('a.3', '3');
    await second.wire.expect(publishPacket({ version, topic: 'a/3', payload: '3', id: 3 }));
  });

  test(`version ${version}: what was sent and not acknowledged comes again with DUP and its identifier, before what is new`, async (t) => {
    const box = new RestartingEdge(t, { options: { inflightMax: 2 } });
    let edge = await box.start();
    const first = await connect(edge, version, 'c');
    await subscribe(first.wire, version, 'a', 2);
    const sender = await edge.connect(version, 'sender');
    for (const id of [1, 2, 3]) {
      sender.send(publishPacket({ version, topic: 'a', payload: `${id}`, id, flags: QOS_2 }));
      await sender.expect(pubrec(id));
      sender.send(pubrel(id));
      await sender.expect(pubcomp(id));
    }
    const out = (id: number, flags = QOS_2) => publishPacket({ version, topic: 'a', payload: `${id}`, id, flags });
    await first.wire.expect(out(1), out(2));
    first.wire.send(pubrec(1));
    await first.wire.expect(pubrel(1));
    first.wire.reset();
    await waitFor('the client to have left', () => edge.status.clients.length === 1);
    edge = await box.restart();
    const second = await connect(edge, version, 'c');
    await second.wire.expect(pubrel(1), out(2, QOS_2 | DUP)); // [MQTT-4.4.0-1]
    await second.wire.expectQuiet();
    second.wire.send(pubcomp(1));
    await second.wire.expect(out(3));
    // Over a mere reconnect it is the same.
    second.wire.reset();
    await waitFor('the client to have left', () => edge.status.clients.length === 0);
    const third = await connect(edge, version, 'c');
    await third.wire.expect(out(2, QOS_2 | DUP), out(3, QOS_2 | DUP));
    for (const id of [2, 3]) third.wire.send(pubrec(id));
    await third.wire.expect(pubrel(2), pubrel(3));
    for (const id of [2, 3]) third.wire.send(pubcomp(id));
    await third.wire.expectQuiet();
    assert.equal(edge.status.sessions?.queued, 0);
  });

  test(`version ${version}: the identifiers of received QoS 2 messages outlive a restart`, async (t) => {
    const box = new RestartingEdge(t);
    let edge = await box.start();
    const first = await connect(edge, version, 'c');
    for (const [id, topic] of [
      [5, 'lane/x'],
      [6, 'live'],
    ] as const) {
      first.wire.send(publishPacket({ version, topic, id, flags: QOS_2 }));
      await first.wire.expect(pubrec(id));
    }
    first.wire.reset();
    edge = await box.restart();
    const heard = edge.listen('>');
    const second = await connect(edge, version, 'c');
    for (const [id, topic] of [
      [5, 'lane/x'],
      [6, 'live'],
    ] as const) {
      second.wire.send(publishPacket({ version, topic, id, flags: QOS_2 | DUP }));
      await second.wire.expect(pubrec(id));
      second.wire.send(pubrel(id));
      await second.wire.expect(pubcomp(id));
    }
    assert.equal(heard.length, 0);
    edge = await box.restart();
    const heardLater = edge.listen('live');
    const third = await connect(edge, version, 'c');
    third.wire.send(publishPacket({ version, topic: 'live', id: 6, flags: QOS_2 }));
    await third.wire.expect(pubrec(6));
    assert.equal(heardLater.length, 1, 'it was released, so it stands for another message');
  });

  test(`version ${version}: a clean start ends the old session, UNSUBSCRIBE a subscription, for good`, async (t) => {
    const box = new RestartingEdge(t);
    let edge = await box.start();
    const first = await connect(edge, version, 'c');
    await subscribe(first.wire, version, 'a', 1);
    await subscribe(first.wire, version, 'b', 1);
    first.wire.send(unsubscribePacket(version, 2, 'a'));
    assert.equal((await first.wire.next('UNSUBACK'))[0], 0xb0);
    await leave(edge, first.wire);
    edge = await box.restart();
    edge.publish('a');
    edge.publish('b');
    const second = await connect(edge, version, 'c');
    await second.wire.expect(publishPacket({ version, topic: 'b', id: 1 }));
    await leave(edge, second.wire);
    edge.publish('b');
    const clean = await connect(edge, version, 'c', { clean: true });
    assert.equal(clean.isPresent, false);
    assert.equal(edge.counter('deliveriesSessionEnded'), 2);
    await clean.wire.expectQuiet();
    await leave(edge, clean.wire);
    edge = await box.restart();
    assert.equal((await connect(edge, version, 'c')).isPresent, version === 5, 'version 5 had asked for an hour');
  });

  test(`version ${version}: takeover: the session goes over, the old connection is told 0x8E`, async (t) => {
    const box = new RestartingEdge(t);
    const edge = await box.start();
    const first = await connect(edge, version, 'c');
    await subscribe(first.wire, version, 'a', 1);
    edge.publish('a', '1');
    await first.wire.expect(publishPacket({ version, topic: 'a', payload: '1', id: 1 }));
    const second = await connect(edge, version, 'c');
    assert.equal(second.isPresent, true);
    if (version === 5) await first.wire.expectDisconnect(0x8e);
    else await first.wire.expectClosed();
    await second.wire.expect(publishPacket({ version, topic: 'a', payload: '1', id: 1, flags: DUP }));
  });

  test(`version ${version}: a queue is bounded by count and by bytes, and says what it dropped`, async (t) => {
    const box = new RestartingEdge(t, { options: { sessionQueueMax: 3, sessionQueueBytesMax: 2000 } });
    const edge = await box.start();
    const { wire } = await connect(edge, version, 'c');
    await subscribe(wire, version, 'a', 1);
    await leave(edge, wire);
    edge.publish('a', 'x'.repeat(1500));
    edge.publish('a', 'y'.repeat(1500));
    for (const payload of ['1', '2', '3']) edge.publish('a', payload);
    assert.equal(edge.counter('deliveriesQueueFull'), 2);
    const back = await connect(edge, version, 'c');
    const payloads = ['x'.repeat(1500), '1', '2'];
    await back.wire.expect(...payloads.map((payload, i) => publishPacket({ version, topic: 'a', payload, id: i + 1 })));
    await back.wire.expectQuiet();
  });

  test(`version ${version}: a long queue comes from the disk in pieces, and what is new behind it`, async (t) => {
    const box = new RestartingEdge(t, { options: { inflightMax: 7, sessionQueueMax: 2000 } });
    const edge = await box.start();
    const { wire } = await connect(edge, version, 'c');
    await subscribe(wire, version, 'a', 1);
    await leave(edge, wire);
    for (let i = 1; i <= 900; i++) edge.publish('a', `${i}`);
    const back = await connect(edge, version, 'c');
    for (let i = 1; i <= 999; i++) {
      if (i % 9 === 0 && i < 900) edge.publish('a', `${900 + i / 9}`);
      await back.wire.expect(publishPacket({ version, topic: 'a', payload: `${i}`, id: i }));
      back.wire.send(pubackPacket(i));
    }
    await back.wire.expectQuiet();
  });
}

test('version 5: the session expiry is granted up to the bound, and a DISCONNECT may change it', async (t) => {
  const box = new RestartingEdge(t, { options: { sessionExpiryMaxS: 600 } });
  const edge = await box.start();
  const wire = await edge.open();
  wire.send(
    connectPacket({ version: 5, clientId: 'c', clean: false, properties: [property.sessionExpiry, u32(0xffff_ffff)] }),
  );
  assert.equal((await wire.connAck()).properties.get(property.sessionExpiry), 600);
  await leave(edge, wire);
  const back = await connect(edge, 5, 'c', { properties: [property.sessionExpiry, u32(600)] });
  assert.equal(back.isPresent, true);
  await leave(edge, back.wire, packet(0xe0, 0x00, properties(property.sessionExpiry, u32(0))));
  assert.equal(edge.status.sessions?.count, 0);
  assert.equal((await connect(edge, 5, 'c')).isPresent, false);
});

test('a session expires while its client is away, and with it its queue', async (t) => {
  const box = new RestartingEdge(t);
  const edge = await box.start();
  const { wire } = await connect(edge, 5, 'c', { properties: [property.sessionExpiry, u32(1)] });
  await subscribe(wire, 5, 'a', 1);
  await leave(edge, wire);
  edge.publish('a');
  await waitFor('the session to expire', () => edge.status.sessions?.count === 0);
  assert.equal(edge.counter('sessionsExpired'), 1);
  assert.equal(edge.counter('deliveriesSessionEnded'), 1);
  assert.equal(edge.publish('a'), 0, 'nobody listens');
  assert.equal((await connect(edge, 5, 'c')).isPresent, false);
});

test('over a restart the expiry goes on by the wall clock, unless that is not to be trusted', async (t) => {
  const box = new RestartingEdge(t);
  const leftMs = Date.UTC(2026, 5, 1);
  const at = (ms: number) => ({ clock: () => ms });
  let edge = await box.start({}, at(leftMs));
  for (const name of ['a', 'b']) await leave(edge, (await connect(edge, 5, name)).wire);
  // A box without a battery clock wakes up in 1970, or in 2020.
  edge = await box.restart({}, at(0));
  edge = await box.restart({}, at(Date.UTC(2020, 0, 1)));
  const a = await connect(edge, 5, 'a');
  assert.equal(a.isPresent, true);
  await leave(edge, a.wire);
  edge = await box.restart({}, at(leftMs + 3_599_000));
  assert.equal((await connect(edge, 5, 'b')).isPresent, true);
  edge = await box.restart({}, at(leftMs + 7_300_000));
  assert.equal((await connect(edge, 5, 'b')).isPresent, false);
  // Its time away was begun by a clock that was not to be trusted.
  assert.equal((await connect(edge, 5, 'a')).isPresent, true);
});

test('a message that waits is sent with what is left of its expiry, or not at all [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async (t) => {
  let nowMs = Date.now();
  const box = new RestartingEdge(t, { parts: { clock: () => nowMs } });
  let edge = await box.start();
  const { wire } = await connect(edge, 5, 'c');
  await subscribe(wire, 5, 'a', 1);
  await leave(edge, wire);
  const sender = await edge.connect(5, 'sender');
  for (const [id, expiryS] of [
    [1, 10],
    [2, 100],
  ] as const) {
    sender.send(publishPacket({ version: 5, topic: 'a', id, properties: [property.messageExpiry, u32(expiryS)] }));
    await sender.expect(pubackPacket(id));
  }
  nowMs += 40_000;
  edge = await box.restart();
  const back = await connect(edge, 5, 'c');
  await back.wire.expect(
    publishPacket({ version: 5, topic: 'a', id: 2, properties: [property.messageExpiry, u32(60)] }),
  );
  await back.wire.expectQuiet();
  assert.equal(edge.counter('deliveriesExpired'), 1);
});

test('a session that the disk has damaged is given up, and the others come back', async (t) => {
  const box = new RestartingEdge(t);
  let edge = await box.start();
  for (const name of ['good', 'bad']) {
    const { wire } = await connect(edge, 4, name);
    await subscribe(wire, 4, 'a', 1);
    await leave(edge, wire);
  }
  edge.publish('a', '1');
  edge = await box.restart({}, {}, (folder) => {
    const db = new Database(join(folder, 'petiole.db'));
    db.prepare("UPDATE session SET data = substr(data, 1, 20) WHERE client = 'bad'").run();
    // Of a session whose row is lost; its number is the next one.
    db.prepare('UPDATE delivery SET session = 3 WHERE session = 2').run();
    db.prepare('INSERT INTO received VALUES (3, 7)').run();
    db.close();
  });
  assert.equal(edge.counter('sessionsDiscarded'), 1);
  const good = await connect(edge, 4, 'good');
  assert.equal(good.isPresent, true);
  await good.wire.expect(publishPacket({ topic: 'a', payload: '1', id: 1 }));
  const bad = await connect(edge, 4, 'bad');
  assert.equal(bad.isPresent, false);
  const heard = edge.listen('b');
  bad.wire.send(publishPacket({ topic: 'b', id: 7, flags: QOS_2 }));
  await bad.wire.expect(pubrec(7));
  assert.equal(heard.length, 1);
});

test('what has expired makes room in the queue of an absent client', async (t) => {
  let nowMs = Date.now();
  const box = new RestartingEdge(t, { parts: { clock: () => nowMs }, options: { sessionQueueMax: 2 } });
  const edge = await box.start();
  const { wire } = await connect(edge, 5, 'c');
  await subscribe(wire, 5, 'a', 1);
  await leave(edge, wire);
  const sender = await edge.connect(5, 'sender');
  const publish = async (id: number, payload: string, ...fields: Field[]): Promise<void> => {
    sender.send(publishPacket({ version: 5, topic: 'a', id, payload, properties: fields }));
    await sender.expect(pubackPacket(id));
  };
  await publish(1, 'short', property.messageExpiry, u32(10));
  await publish(2, 'long', property.messageExpiry, u32(1000));
  nowMs += 11_000;
  await publish(3, 'dropped');
  await waitFor('the expired one to go', () => edge.counter('deliveriesExpired') === 1);
  await publish(4, 'kept');
  assert.equal(edge.counter('deliveriesQueueFull'), 1);
  const back = await connect(edge, 5, 'c');
  const long = { payload: 'long', properties: [property.messageExpiry, u32(989)] };
  await back.wire.expect(publishPacket({ version: 5, topic: 'a', id: 2, ...long }));
  await back.wire.expect(publishPacket({ version: 5, topic: 'a', id: 3, payload: 'kept' }));
});

test('a shared subscription: an absent member keeps what is its own, until its session ends [MQTT-4.8.2-5]', async (t) => {
  const edge = await new RestartingEdge(t).start();
  const { wire } = await connect(edge, 5, 'sleeper', { properties: [property.sessionExpiry, u32(2)] });
  await subscribe(wire, 5, '$share/g/s', 2);
  const sender = await edge.connect(5, 'sender');
  for (const [id, flags] of [
    [1, 0],
    [2, QOS_2],
  ] as const) {
    sender.send(publishPacket({ version: 5, topic: 's', payload: `${id}`, id, flags }));
    await sender.expect(flags === 0 ? pubackPacket(id) : pubrec(id));
  }
  await wire.expect(publishPacket({ version: 5, topic: 's', payload: '1', id: 1 }));
  await wire.expect(publishPacket({ version: 5, topic: 's', payload: '2', id: 2, flags: QOS_2 }));
  wire.reset();
  await waitFor('the client to have left', () => edge.status.clients.length === 1);
  // Nobody else is a member: it waits for the one that is away.
  edge.publish('s', '3');
  const { wire: other } = await connect(edge, 5, 'other');
  await subscribe(other, 5, '$share/g/s', 2);
  // One that is there goes before one that is away.
  edge.publish('s', '4');
  await other.expect(publishPacket({ version: 5, topic: 's', payload: '4', id: 1 }));
  other.send(pubackPacket(1));
  await waitFor('the session to expire', () => edge.counter('sessionsExpired') === 1);
  await other.expect(
    publishPacket({ version: 5, topic: 's', payload: '1', id: 2 }),
    publishPacket({ version: 5, topic: 's', payload: '3', id: 3 }),
  );
  await other.expectQuiet();
  assert.equal(edge.counter('deliveriesSessionEnded'), 1, 'the QoS 2 message that was sent is for nobody else');
});

test('the PUBACK of a message in no lane waits for the queue of an absent session', async (t) => {
  const box = new RestartingEdge(t);
  const edge = await box.start();
  const { wire } = await connect(edge, 4, 'c');
  await subscribe(wire, 4, 'a', 1);
  await leave(edge, wire);
  const kept = await edge.router.deliverKept(
    {
      subject: 'a',
      reply: '',
      headers: Buffer.alloc(0),
      payload: Buffer.from('valve'),
      receivedAtMs: Date.now(),
      origin: { kind: 'hub', name: 'hub' },
    },
    [],
  );
  assert.equal(kept, 1);
  assert.equal(await edge.router.deliverKept({ ...command('nobody') }, []), 0);
});

function command(subject: string) {
  const origin = { kind: 'hub', name: 'hub' } as const;
  return { subject, reply: '', headers: Buffer.alloc(0), payload: Buffer.alloc(0), receivedAtMs: 0, origin };
}

test('more sessions than the bound end with their connection, and the client is told', async (t) => {
  const box = new RestartingEdge(t, { options: { sessionsMax: 1 } });
  const edge = await box.start();
  await connect(edge, 5, 'a');
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, clientId: 'b', clean: false, properties: HOUR }));
  assert.equal((await wire.connAck()).properties.get(property.sessionExpiry), 0);
  assert.equal(edge.counter('sessionsRefused'), 1);
});
