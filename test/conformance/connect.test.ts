import assert from 'node:assert/strict';
import { startEdge, startRetainingEdge } from '../support/mqtt-edge.ts';
import {
  binary,
  connectPacket,
  type Field,
  packet,
  properties,
  property,
  publishPacket,
  raw,
  subscribePacket,
  u16,
  u32,
  type Version,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';
import { conform, ends, expectRefused, subscribe } from './conform.ts';

/* CONNECT and CONNACK (3.1 and 3.2), but for sessions, which have a file of their own. */

/** A CONNECT from its flags on; in 5.0 without properties. */
function connectOf(version: Version, flags: number, ...payload: Field[]): Buffer {
  const none = version === 5 ? [properties()] : [];
  return packet(0x10, 'MQTT', version, flags, u16(0), ...none, ...payload);
}

/** The property block of a will, where the version has one. */
function willProperties(version: Version): Field[] {
  return version === 5 ? [properties()] : [];
}

conform('the protocol name is MQTT', { 4: ['3.1.2-1'], 5: ['3.1.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  for (const name of ['mqtt', 'MQTTX', 'MQT', '', 'MQTT\0']) {
    const wire = await edge.open(name);
    const none = version === 5 ? [properties()] : [];
    wire.send(packet(0x10, name, version, 0x02, u16(0), ...none, 'c'), publishPacket({ version }));
    await wire.expectClosed();
  }
  assert.deepEqual(edge.status.clients, []);
});

conform('an unknown protocol level', { 4: ['3.1.2-2', '3.2.2-4', '3.2.2-5'], 5: ['3.1.2-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const levels = version === 4 ? [0, 1, 2, 3, 0x84] : [6, 7, 0x7f];
  const packets = levels.map((level) => [`level ${level}`, packet(0x10, 'MQTT', level, 0x02, u16(0), 'c')] as const);
  await expectRefused(edge, version, { 4: 1, 5: 0x84 }, Object.fromEntries(packets));
});

conform(
  'the reserved connect flag',
  { 4: ['3.1.2-3', '3.1.4-1', '3.2.2-6'], 5: ['3.1.2-3', '3.1.4-1'] },
  async (t, version) => {
    const edge = await startEdge(t);
    await expectRefused(edge, version, { 5: 0x81 }, { reserved: connectOf(version, 0x03, 'c') });
  },
);

conform(
  'flags of a will that is not there, and QoS 3',
  { 4: ['3.1.2-11', '3.1.2-13', '3.1.2-14', '3.1.2-15'], 5: ['3.1.2-11', '3.1.2-12', '3.1.2-13'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const will = [...willProperties(version), 'w', 'gone'];
    await expectRefused(
      edge,
      version,
      { 5: 0x81 },
      {
        'will QoS 1': connectOf(version, 0x0a, 'c'),
        'will QoS 2': connectOf(version, 0x12, 'c'),
        'will retain': connectOf(version, 0x22, 'c'),
        'will retain with its fields': connectOf(version, 0x22, 'c', ...will),
        'QoS 3': connectOf(version, 0x1e, 'c', ...will),
      },
    );
    for (const [i, flags] of [0x06, 0x0e].entries()) {
      const wire = await edge.open();
      wire.send(connectOf(version, flags, `good ${i}`, ...will));
      assert.equal((await wire.next('CONNACK'))[3], 0);
    }
  },
);

conform(
  'fields are there when their flags say so, and in their order',
  {
    4: ['3.1.2-9', '3.1.2-18', '3.1.2-19', '3.1.2-20', '3.1.2-21', '3.1.3-1', '3.1.3-3'],
    5: ['3.1.2-9', '3.1.2-16', '3.1.2-17', '3.1.2-18', '3.1.2-19', '3.1.3-1', '3.1.3-3'],
  },
  async (t, version) => {
    const edge = await startEdge(t);
    const will = [...willProperties(version), 'wills/c', 'gone'];
    await expectRefused(
      edge,
      version,
      { 5: 0x81 },
      {
        'no payload': connectOf(version, 0x02),
        'a will without its topic': connectOf(version, 0x06, 'c', ...willProperties(version)),
        'a will without its message': connectOf(version, 0x06, 'c', ...willProperties(version), 'wills/c'),
        'no user name': connectOf(version, 0x82, 'c'),
        'no password': connectOf(version, 0xc2, 'c', 'user'),
        'a user name that no flag announces': connectOf(version, 0x02, 'c', 'user'),
        'a password that no flag announces': connectOf(version, 0x82, 'c', 'user', 'password'),
        'a will that no flag announces': connectOf(version, 0x02, 'c', ...will),
      },
    );
    const wills = edge.listen('wills.>');
    const wire = await edge.open();
    wire.send(connectOf(version, 0xc6, 'ordered', ...will, 'user', 'password'));
    assert.equal((await wire.next('CONNACK'))[3], 0);
    assert.deepEqual(
      edge.status.clients.map(({ clientId }) => clientId),
      ['ordered'],
    );
    wire.reset();
    await waitFor('the will', () => wills.length === 1);
    assert.equal(`${wills[0]?.payload}`, 'gone');
  },
);

conform('a password without a user name', { 4: ['3.1.2-22'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectRefused(edge, version, {}, { 'password alone': connectOf(version, 0x42, 'c', 'password') });
});

conform('client identifiers of 1 to 23 letters and digits', { 4: ['3.1.3-5'], 5: ['3.1.3-5'] }, async (t, version) => {
  const edge = await startEdge(t, { connectionsMax: 100 });
  const characters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const identifiers = new Set<string>();
  for (let length = 1; length <= 23; length++) {
    const start = (length * 7) % characters.length;
    identifiers.add((characters + characters).slice(start, start + length));
  }
  for (let at = 0; at < characters.length; at += 23) identifiers.add(characters.slice(at, at + 23));
  for (const clientId of identifiers) await edge.connect(version, clientId);
  assert.deepEqual(new Set(edge.status.clients.map(({ clientId }) => clientId)), identifiers);
});

conform(
  'an empty client identifier gets one of the server',
  { 4: ['3.1.3-6'], 5: ['3.1.3-6', '3.1.3-7', '3.2.2-16'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const named = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      const wire = await edge.open();
      wire.send(connectPacket({ version, clientId: '' }));
      if (version === 5) named.add((await wire.connAck()).properties.get(property.assignedClientIdentifier));
      else await wire.expect(Buffer.of(0x20, 2, 0, 0));
    }
    const known = new Set(edge.status.clients.map(({ clientId }) => clientId));
    assert.equal(known.size, 3);
    if (version === 5) assert.deepEqual(named, known);
  },
);

conform(
  'an empty client identifier asks for a session',
  { 4: ['3.1.3-7', '3.1.3-8', '3.1.3-9'] },
  async (t, version) => {
    const edge = await startEdge(t);
    await expectRefused(edge, version, { 4: 2 }, { empty: connectPacket({ version, clientId: '', clean: false }) });
  },
);

conform('a client identifier beyond the bound', { 4: ['3.1.3-9'], 5: ['3.1.3-8'] }, async (t, version) => {
  const edge = await startEdge(t);
  const clientId = 'c'.repeat(2000);
  await expectRefused(edge, version, { 4: 2, 5: 0x85 }, { long: connectPacket({ version, clientId }) });
});

conform(
  'the same client identifier again takes over',
  { 4: ['3.1.4-2', '3.1.3-2'], 5: ['3.1.4-3', '3.1.3-2'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const old = await edge.connect(version, 'same');
    const other = await edge.connect(version, 'other');
    const young = await edge.connect(version, 'same');
    await ends(old, version, 0x8e);
    await young.expectQuiet();
    await other.expectQuiet();
    assert.equal(edge.status.clients.length, 2);
  },
);

conform(
  'an accepted CONNECT is answered first, and once',
  {
    4: ['3.1.4-4', '3.2.0-1', '3.2.2-1', '7.0.0-2', '7.1.1-1'],
    5: ['3.1.4-5', '3.2.0-1', '3.2.0-2', '3.2.2-1', '3.2.2-2', '4.2-1'],
  },
  async (t, version) => {
    const edge = await startEdge(t);
    const wire = await edge.open();
    wire.send(
      connectPacket({ version, clientId: 'hasty' }),
      subscribePacket(version, 1, [['a', 0]]),
      publishPacket({ version, topic: 'a', id: 2 }),
    );
    const connack = await wire.next('CONNACK');
    assert.equal(connack[0], 0x20);
    assert.deepEqual([...connack.subarray(2, 4)], [0, 0], 'no session present, success');
    const types = [];
    for (let i = 0; i < 3; i++) types.push((await wire.next(`answer ${i}`)).readUInt8(0) >> 4);
    assert.deepEqual(types.sort(), [3, 4, 9]);
    await wire.expectQuiet();
  },
);

conform(
  'nothing behind a refused CONNECT is looked at',
  { 4: ['3.1.4-5'], 5: ['3.1.4-6', '3.14.0-1'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const heard = edge.listen('behind');
    const wire = await edge.open();
    const behind = publishPacket({ version, topic: 'behind' });
    wire.send(connectPacket({ version, clientId: 'c'.repeat(2000) }), behind, packet(0x36, 'a'));
    const connack = await wire.next('CONNACK');
    assert.equal(connack[0], 0x20);
    await wire.expectClosed(); // not even a DISCONNECT for the malformed packet
    assert.deepEqual(heard, []);
  },
);

conform(
  'a refusal has no session present and a listed reason code, and closes',
  { 4: ['3.2.2-4', '3.2.2-5', '4.8.0-2'], 5: ['3.2.2-6', '3.2.2-7', '3.2.2-8'] },
  async (t, version) => {
    const edge = await startEdge(t, { connectionsMax: 1 });
    await edge.connect(version, 'first');
    const wire = await edge.open();
    wire.send(connectPacket({ version, clientId: 'second' }));
    const connack = await wire.next('CONNACK');
    assert.equal(connack[2], 0, 'session present');
    assert.equal(connack[3], version === 5 ? 0x97 : 3);
    await wire.expectClosed();
  },
);

conform('wrong credentials close the connection', { 5: ['3.1.4-2'] }, async (t, version) => {
  const edge = await startEdge(t, { listeners: [{ host: '127.0.0.1', port: 0, anonymous: false }] });
  const wire = await edge.open();
  wire.send(connectPacket({ version }));
  const { reasonCode } = await wire.connAck();
  assert.ok([0x86, 0x87].includes(reasonCode), `reason code 0x${reasonCode.toString(16)}`);
  await wire.expectClosed();
});

conform(
  'a client that is silent for one and a half keep alives',
  { 4: ['3.1.2-24'], 5: ['3.1.2-22', '3.2.2-22'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wills = edge.listen('wills.>');
    const startedAtMs = performance.now();
    const silent = await edge.connect(version, 'silent', { keepAlive: 1, will: { topic: 'wills/silent' } });
    const busy = await edge.connect(version, 'busy', { keepAlive: 1 });
    const pinging = setInterval(() => busy.send(packet(0xc0)), 300);
    t.after(() => clearInterval(pinging));
    if (version === 5) await silent.expectDisconnect(0x8d, 20_000);
    else await silent.expectClosed(20_000);
    const tookMs = performance.now() - startedAtMs;
    assert.ok(tookMs >= 1_490, `closed after ${Math.round(tookMs)} ms`);
    await waitFor('the will, as after a failure of the network', () => wills.length === 1);
    assert.equal(busy.closed, false);
  },
);

conform(
  'no packet is larger than the client takes',
  { 5: ['3.1.2-24', '3.1.2-25', '3.4.2-2', '3.4.2-3', '3.9.2-1', '3.9.2-2', '3.11.2-1', '3.11.2-2', '3.14.2-3'] },
  async (t, version) => {
    const edge = await startEdge(t);
    // A CONNACK fits into 60 bytes; a reason string does not.
    const wire = await edge.connect(version, 'small', { properties: [property.maximumPacketSize, u32(60)] });
    await subscribe(wire, version, [['t/#', 0]]);
    edge.publish('t.big', 'x'.repeat(100));
    edge.publish('t.small', 'fits');
    await wire.expect(publishPacket({ version, topic: 't/small', payload: 'fits' }));
    wire.send(publishPacket({ version, topic: `$SYS/${'x'.repeat(200)}`, id: 3 }));
    const puback = await wire.next('PUBACK');
    assert.ok(puback.length <= 60, `a PUBACK of ${puback.length} bytes`);
    wire.send(subscribePacket(version, 4, [['$JS/x', 0]]), packet(0xa2, u16(5), properties(), 'nothing'));
    for (const what of ['SUBACK', 'UNSUBACK']) assert.ok((await wire.next(what)).length <= 60);
    await wire.expectQuiet();
    // A reason string would make the DISCONNECT too long: it comes short, or not at all.
    wire.send(publishPacket({ version, topic: 'a/+/b' }));
    await waitFor('the end', () => wire.closed);
    if (wire.waiting > 0) assert.ok((await wire.next('DISCONNECT')).length <= 60);
  },
);

conform('a CONNACK is no larger than the client takes', { 5: ['3.2.2-19', '3.2.2-20'] }, async (t, version) => {
  const edge = await startEdge(t, { listeners: [{ host: '127.0.0.1', port: 0, anonymous: false }] });
  for (const bytes of [8, 12, 20, 40, 60]) {
    const wire = await edge.open();
    wire.send(connectPacket({ version, properties: [property.maximumPacketSize, u32(bytes)] }));
    await waitFor('the end', () => wire.closed);
    if (wire.waiting === 0) continue;
    const connack = await wire.next('CONNACK');
    assert.ok(connack.length <= bytes, `a CONNACK of ${connack.length} bytes for a client of ${bytes}`);
  }
  const roomy = await edge.open();
  roomy.send(connectPacket({ version }));
  assert.ok((await roomy.connAck()).properties.has(property.reasonString), 'the others are told why');
});

conform('no problem information for a client that wants none', { 5: ['3.1.2-29'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c', { properties: [property.requestProblemInformation, 0] });
  wire.send(publishPacket({ version, topic: '$SYS/x', id: 3 }));
  const puback = await wire.next('PUBACK');
  assert.equal(puback[4], 0x87);
  assert.ok(puback.length <= 6, 'no reason string in the PUBACK');
  wire.send(subscribePacket(version, 4, [['$JS/x', 0]]), packet(0xa2, u16(5), properties(), 'nothing'));
  assert.equal((await wire.next('SUBACK'))[4], 0, 'no properties in the SUBACK');
  assert.equal((await wire.next('UNSUBACK'))[4], 0, 'no properties in the UNSUBACK');
});

conform('no response information for a client that wants none', { 5: ['3.1.2-28'] }, async (t, version) => {
  const edge = await startEdge(t);
  for (const asked of [[], [property.requestResponseInformation, 0]] as Field[][]) {
    const wire = await edge.open();
    wire.send(connectPacket({ version, properties: asked }));
    assert.equal((await wire.connAck()).properties.has(0x1a), false);
  }
});

conform('enhanced authentication is refused', { 5: ['4.12.0-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const method = [property.authenticationMethod, 'SCRAM-SHA-256'] as const;
  await expectRefused(
    edge,
    version,
    { 5: 0x8c },
    {
      method: connectPacket({ version, properties: [...method] }),
      'method and data': connectPacket({
        version,
        properties: [...method, property.authenticationData, binary(raw('client-first'))],
      }),
    },
  );
});

conform('no AUTH without a method', { 5: ['4.12.0-6', '4.12.0-7'] }, async (t, version) => {
  const edge = await startEdge(t);
  for (const auth of [packet(0xf0), packet(0xf0, 0x18, properties(property.authenticationMethod, 'PLAIN'))]) {
    const wire = await edge.open();
    wire.send(connectPacket({ version }));
    const { properties: told } = await wire.connAck();
    assert.equal(told.has(property.authenticationMethod), false);
    wire.send(auth);
    await wire.expectDisconnect(0x82);
  }
});

conform('a retained will where nothing is retained', { 5: ['3.2.2-13'] }, async (t, version) => {
  const edge = await startEdge(t);
  const bytes = connectPacket({ version, will: { topic: 'w', flags: 0x20 } });
  await expectRefused(edge, version, { 5: 0x9a }, { 'will retain': bytes });
});

conform(
  'the will is published as retained or not, as its flag says',
  { 4: ['3.1.2-16', '3.1.2-17'], 5: ['3.1.2-14', '3.1.2-15'] },
  async (t, version) => {
    const { edge } = await startRetainingEdge(t);
    const wills = edge.listen('wills.>');
    for (const flags of [0x00, 0x20]) {
      const wire = await edge.connect(version, `c${flags}`, { will: { topic: `wills/${flags}`, flags } });
      wire.reset();
    }
    await waitFor('both wills', () => wills.length === 2);
    const late = await edge.connect(version, 'late');
    await subscribe(late, version, [['wills/#', 0]]);
    await late.expect(publishPacket({ version, topic: 'wills/32', payload: 'gone', flags: 0x01 }));
    await late.expectQuiet();
  },
);
