import assert from 'node:assert/strict';
import { RestartingEdge, startEdge } from '../support/mqtt-edge.ts';
import {
  leave,
  nextPublish,
  pubackOf,
  pubcomp,
  pubrec,
  pubrel,
  QOS_2,
  readPublish,
  resume,
} from '../support/mqtt-exchanges.ts';
import {
  DISCONNECT,
  PINGREQ,
  packet,
  property,
  pubackPacket,
  publishPacket,
  subscribePacket,
  u16,
  u32,
  unsubscribePacket,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';
import { conform, subscribe, untilQuiet } from './conform.ts';

/* QoS 1 and 2 in both directions (4.3), flow control (4.9) and acknowledgements (3.4 to 3.7). */

/** Reason codes of PUBACK and PUBREC, of PUBREL and PUBCOMP. */
const received = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const released = new Set([0x00, 0x92]);

conform(
  'QoS 1 out',
  { 4: ['2.3.1-4', '4.3.2-1'], 5: ['2.2.1-4', '4.3.2-1', '4.3.2-2', '4.3.2-3'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'reader');
    assert.deepEqual(await subscribe(wire, version, [['q', 1]]), [1]);
    const sender = await edge.connect(version, 'sender');
    for (let i = 0; i < 4; i++) sender.send(publishPacket({ version, topic: 'q', id: 7 + i, payload: `${i}` }));
    const seen = [];
    for (let i = 0; i < 4; i++) seen.push(await nextPublish(wire, version));
    assert.deepEqual(
      seen.map(({ payload, qos, isDup }) => [payload, qos, isDup]),
      [0, 1, 2, 3].map((i) => [`${i}`, 1, false]),
    );
    const ids = seen.map(({ id }) => id);
    assert.ok(new Set(ids).size === 4 && !ids.includes(0), `identifiers ${ids}`);
    // Unacknowledged they stay in use, and are not sent again while the connection lasts.
    assert.deepEqual(await untilQuiet(wire), []);
    assert.equal(edge.status.clients.find(({ clientId }) => clientId === 'reader')?.dropped, 0);
    wire.send(...ids.map((id) => pubackPacket(id)));
    assert.deepEqual(await untilQuiet(wire), []);
  },
);

conform('the smaller QoS', { 4: ['3.8.4-6'], 5: ['3.8.4-8'] }, async (t, version) => {
  const edge = await startEdge(t);
  const sender = await edge.connect(version, 'sender');
  for (const granted of [0, 1, 2]) {
    const wire = await edge.connect(version, `reader ${granted}`);
    assert.deepEqual(await subscribe(wire, version, [[`s/${granted}`, granted]]), [granted]);
    for (const qos of [0, 1, 2]) {
      const fields = qos === 0 ? {} : { id: 10 + qos, flags: qos === 2 ? QOS_2 : 0 };
      sender.send(publishPacket({ version, topic: `s/${granted}`, payload: `${qos}`, ...fields }));
      const seen = await nextPublish(wire, version);
      assert.deepEqual([seen.payload, seen.qos], [`${qos}`, Math.min(qos, granted)]);
      await sender.next('its answer').catch((error: Error) => assert.equal(qos, 0, error.message));
      if (qos === 0) continue;
      sender.send(pubrel(10 + qos));
      await untilQuiet(sender);
    }
  }
});

conform('QoS 2 in', { 4: ['4.3.3-2'], 5: ['4.3.3-8', '4.3.3-10', '4.3.3-11', '4.3.3-12'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('t');
  const wire = await edge.connect(version, 'c');
  const publish = (flags: number) => publishPacket({ version, topic: 't', id: 500, flags: QOS_2 | flags });
  for (const round of [1, 2]) {
    for (const flags of [0, 0x08, 0x08]) {
      wire.send(publish(flags));
      await wire.expect(pubrec(500));
      assert.equal(heard.length, round, 'delivered once');
    }
    wire.send(pubrel(500));
    await wire.expect(pubcomp(500));
  }
});

conform('a refused QoS 2 message', { 5: ['4.3.3-9', '3.5.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('t');
  const wire = await edge.connect(version, 'c');
  wire.send(publishPacket({ version, topic: '$SYS/x', id: 5, flags: QOS_2 }));
  const refused = await wire.next('PUBREC');
  assert.deepEqual([refused[0], refused.readUInt16BE(2)], [0x50, 5]);
  assert.ok((refused[4] ?? 0) >= 0x80 && received.has(refused[4] ?? 0), `reason code 0x${refused[4]?.toString(16)}`);
  // The exchange is over: this is a new one.
  wire.send(publishPacket({ version, topic: 't', id: 5, flags: QOS_2 }));
  await wire.expect(pubrec(5));
  assert.equal(heard.length, 1);
  wire.send(pubrel(5));
  await wire.expect(pubcomp(5));
});

conform(
  'QoS 2 out',
  { 4: ['4.3.3-1'], 5: ['4.3.3-1', '4.3.3-2', '4.3.3-3', '4.3.3-4', '4.3.3-5', '4.3.3-6', '3.6.2-1'] },
  async (t, version) => {
    const edge = await new RestartingEdge(t).start();
    let { wire } = await resume(edge, version, 'reader');
    assert.deepEqual(await subscribe(wire, version, [['t', 2]]), [2]);
    const sender = await edge.connect(version, 'sender');
    for (const id of [1, 2]) sender.send(publishPacket({ version, topic: 't', id, flags: QOS_2, payload: `${id}` }));
    const first = await nextPublish(wire, version);
    const second = await nextPublish(wire, version);
    assert.deepEqual([first.qos, first.isDup, second.qos, second.isDup], [2, false, 2, false]);
    assert.ok(first.id > 0 && second.id > 0 && first.id !== second.id);
    wire.send(pubrec(first.id));
    await wire.expect(pubrel(first.id));
    await leave(edge, wire, false);
    // PUBREL again for the one, PUBLISH again for the other, both as they were.
    ({ wire } = await resume(edge, version, 'reader'));
    await wire.expect(pubrel(first.id));
    const again = await nextPublish(wire, version);
    assert.deepEqual(again, { ...second, isDup: true });
    wire.send(pubcomp(first.id), pubrec(second.id));
    await wire.expect(pubrel(second.id));
    // A late PUBREC gets its PUBREL, and never a PUBLISH.
    wire.send(pubrec(second.id));
    await wire.expect(pubrel(second.id));
    wire.send(pubcomp(second.id));
    assert.deepEqual(await untilQuiet(wire), []);
    await leave(edge, wire, false);
    ({ wire } = await resume(edge, version, 'reader'));
    assert.deepEqual(await untilQuiet(wire), []);
  },
);

conform(
  'PUBRECs and PUBRELs are in order',
  { 4: ['4.6.0-3', '4.6.0-4'], 5: ['4.6.0-3', '4.6.0-4'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c');
    const publish = (topic: string, id: number) => publishPacket({ version, topic, id, flags: QOS_2 });
    wire.send(publish('lane/x', 5), publish('live', 4), publish('lane/x', 3));
    await edge.journal.holds(2);
    await wire.expectQuiet();
    edge.journal.release();
    await wire.expect(pubrec(5), pubrec(4), pubrec(3));
    await subscribe(wire, version, [['out', 2]]);
    const sender = await edge.connect(version, 'sender');
    for (const id of [1, 2, 3]) sender.send(publishPacket({ version, topic: 'out', id, flags: QOS_2 }));
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await nextPublish(wire, version)).id);
    const [a = 0, b = 0, c = 0] = ids;
    wire.send(pubrec(b), pubrec(c), pubrec(a));
    await wire.expect(pubrel(b), pubrel(c), pubrel(a));
  },
);

conform(
  'answers of an exchange are no larger than the client takes, and have a listed reason code',
  { 5: ['3.5.2-2', '3.5.2-3', '3.6.2-2', '3.6.2-3', '3.7.2-1', '3.7.2-2', '3.7.2-3'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c', { properties: [property.maximumPacketSize, u32(60)] });
    wire.send(
      publishPacket({ version, topic: `$SYS/${'x'.repeat(200)}`, id: 5, flags: QOS_2 }),
      pubrec(77),
      pubrel(78),
    );
    const answers = [await wire.next('PUBREC'), await wire.next('PUBREL'), await wire.next('PUBCOMP')];
    const sorted = answers.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
    assert.deepEqual(
      sorted.map((bytes) => bytes[0]),
      [0x50, 0x62, 0x70],
    );
    for (const bytes of sorted) assert.ok(bytes.length <= 60, `${bytes.length} bytes`);
    assert.ok(received.has(sorted[0]?.[4] ?? 0));
    for (const bytes of sorted.slice(1)) assert.ok(released.has(bytes[4] ?? 0));
  },
);

conform(
  'the Receive Maximum of the client',
  { 5: ['3.3.4-9', '3.3.4-10', '4.9.0-1', '4.9.0-2', '4.9.0-3'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.connect(version, 'c', { properties: [property.receiveMaximum, u16(2)] });
    await subscribe(wire, version, [
      ['q/1', 1],
      ['q/2', 2],
      ['q/0', 0],
    ]);
    const sender = await edge.connect(version, 'sender');
    sender.send(publishPacket({ version, topic: 'q/2', id: 1, flags: QOS_2, payload: 'a' }));
    await sender.expect(pubrec(1));
    for (const payload of ['b', 'c', 'd']) edge.publish('q.1', payload);
    const a = await nextPublish(wire, version);
    const b = await nextPublish(wire, version);
    assert.deepEqual([a.payload, a.qos, b.payload, b.qos], ['a', 2, 'b', 1]);
    // Nothing else waits behind them.
    edge.publish('q.0', 'zero');
    wire.send(PINGREQ, subscribePacket(version, 8, [['other', 0]]), publishPacket({ version, topic: 'x', id: 3 }));
    const others = [];
    for (let i = 0; i < 4; i++) others.push((await wire.next('others')).readUInt8(0));
    assert.deepEqual(
      others.sort((x, y) => x - y),
      [0x30, 0x40, 0x90, 0xd0],
    );
    assert.deepEqual(await untilQuiet(wire), []);
    wire.send(pubackPacket(b.id));
    const c = await nextPublish(wire, version);
    assert.equal(c.payload, 'c');
    wire.send(pubrec(a.id));
    await wire.expect(pubrel(a.id));
    assert.deepEqual(await untilQuiet(wire), [], 'a PUBREC gives no room');
    wire.send(pubcomp(a.id));
    assert.equal((await nextPublish(wire, version)).payload, 'd');
  },
);

conform('a message that its reader refuses', { 5: ['4.4.0-2', '4.8.2-6'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  let { wire } = await resume(edge, version, 'one');
  await subscribe(wire, version, [['$share/g/t', 2]]);
  const sender = await edge.connect(version, 'sender');
  sender.send(publishPacket({ version, topic: 't', id: 1, payload: 'first' }));
  sender.send(publishPacket({ version, topic: 't', id: 2, flags: QOS_2, payload: 'second' }));
  const first = await nextPublish(wire, version);
  const second = await nextPublish(wire, version);
  const other = await edge.connect(version, 'other');
  await subscribe(other, version, [['$share/g/t', 2]]);
  wire.send(pubackOf(first.id, 0x80), pubrec(second.id, 0x97));
  assert.deepEqual(await untilQuiet(wire), [], 'no PUBREL');
  assert.deepEqual(await untilQuiet(other), [], 'nobody else gets it');
  await leave(edge, wire, false);
  ({ wire } = await resume(edge, version, 'one'));
  assert.deepEqual(await untilQuiet(wire), [], 'nor does it again');
  assert.deepEqual(await untilQuiet(other), []);
});

conform('an exchange goes on after UNSUBSCRIBE', { 4: ['3.10.4-3'], 5: ['3.10.4-3'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  await subscribe(wire, version, [['t', 2]]);
  const sender = await edge.connect(version, 'sender');
  sender.send(publishPacket({ version, topic: 't', id: 1, flags: QOS_2, payload: 'begun' }));
  const { id } = await nextPublish(wire, version);
  wire.send(unsubscribePacket(version, 9, 't'));
  assert.equal((await wire.next('UNSUBACK'))[0], 0xb0);
  wire.send(pubrec(id));
  await wire.expect(pubrel(id));
  wire.send(pubcomp(id));
  edge.publish('t', 'too late');
  assert.deepEqual(await untilQuiet(wire), []);
});

conform('expiry does not break an exchange', { 5: ['4.3.3-7', '4.3.3-13'] }, async (t, version) => {
  let nowMs = Date.now();
  const edge = await new RestartingEdge(t).start({}, { clock: () => nowMs });
  let { wire } = await resume(edge, version, 'reader');
  await subscribe(wire, version, [['t', 2]]);
  const sender = await edge.connect(version, 'sender');
  const expiring = [property.messageExpiry, u32(10)];
  sender.send(publishPacket({ version, topic: 't', id: 4, flags: QOS_2, payload: 'x', properties: expiring }));
  await sender.expect(pubrec(4));
  const sent = await nextPublish(wire, version);
  nowMs += 60_000;
  // In: the sender ends what it began.
  sender.send(pubrel(4));
  await sender.expect(pubcomp(4));
  // Out: what was sent is sent again.
  await leave(edge, wire, false);
  ({ wire } = await resume(edge, version, 'reader'));
  const again = await nextPublish(wire, version);
  assert.deepEqual([again.id, again.payload, again.isDup], [sent.id, 'x', true]);
  wire.send(pubrec(again.id));
  await wire.expect(pubrel(again.id));
});

conform('a QoS 2 message stays with its member of a share', { 5: ['4.8.2-4', '4.8.2-5'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  let { wire } = await resume(edge, version, 'one');
  await subscribe(wire, version, [['$share/g/t', 2]]);
  const sender = await edge.connect(version, 'sender');
  sender.send(publishPacket({ version, topic: 't', id: 1, flags: QOS_2, payload: 'mine' }));
  const mine = await nextPublish(wire, version);
  const other = await edge.connect(version, 'other');
  await subscribe(other, version, [['$share/g/t', 2]]);
  await leave(edge, wire, false);
  assert.deepEqual(await untilQuiet(other), []);
  ({ wire } = await resume(edge, version, 'one'));
  assert.deepEqual(await nextPublish(wire, version), { ...mine, isDup: true });
  // The session ends, and the message with it.
  await leave(edge, wire, false);
  const clean = await edge.connect(version, 'one');
  assert.deepEqual(await untilQuiet(clean), []);
  assert.deepEqual(await untilQuiet(other), []);
});

conform('every QoS is supported', { 5: ['3.2.2-9'] }, async (t) => {
  const edge = await startEdge(t);
  const wire = await edge.open();
  wire.send(packet(0x10, 'MQTT', 5, 0x16, u16(0), 0, 'c', 0, 'wills/c', 'gone'));
  const { reasonCode, properties: told } = await wire.connAck();
  assert.equal(reasonCode, 0, 'a will of QoS 2 as well');
  assert.equal(told.has(property.maximumQos), false);
  const wills = edge.listen('wills.>');
  wire.reset();
  await waitFor('the will', () => wills.length === 1);
});

conform('topic aliases of the server', { 5: ['3.1.2-26', '3.1.2-27', '3.3.2-11'] }, async (t, version) => {
  const edge = await startEdge(t);
  for (const max of [0, 1, 3]) {
    const fields = max === 0 ? {} : { properties: [property.topicAliasMaximum, u16(max)] };
    const wire = await edge.connect(version, `c${max}`, fields);
    await subscribe(wire, version, [['alias/#', 0]]);
    for (let round = 0; round < 3; round++)
      for (const name of ['a', 'b', 'c', 'd', 'e']) edge.publish(`alias.${name}`, name);
    const names = new Map<number, string>();
    const seen = (await untilQuiet(wire)).map((bytes) => readPublish(bytes, version));
    assert.equal(seen.length, 15);
    for (const { topic, alias, payload } of seen) {
      assert.ok(alias <= max, `alias ${alias}, and at most ${max}`);
      if (topic !== '' && alias > 0) names.set(alias, topic);
      assert.equal(topic === '' ? names.get(alias) : topic, `alias/${payload}`);
    }
    if (max > 0) assert.ok(seen.some(({ alias }) => alias > 0));
    wire.send(DISCONNECT);
    await wire.expectClosed();
  }
});
