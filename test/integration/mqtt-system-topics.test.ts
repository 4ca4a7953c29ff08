import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type EdgeOptions, startRetainingEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { hex, subackPacket, subscribePacket, unsubscribePacket } from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';

const facts = () => ({ version: '1.2.3', lanes: [{ name: 'alarms', depth: 7 }] });
const NAMES = [
  'version',
  'uptime',
  'clients/connected',
  'messages/received',
  'messages/sent',
  'bytes/received',
  'bytes/sent',
  'lanes/alarms/depth',
];

async function start(t: TestContext, options: Partial<EdgeOptions> = {}): Promise<TestEdge> {
  return (await startRetainingEdge(t, { options, parts: { facts } })).edge;
}

/** The next `count` values of version 3.1.1, by topic, all with this first byte. */
async function values(wire: Wire, count: number, first: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    const packet = await wire.next(`value ${i + 1} of ${count}`);
    assert.equal(packet[0], first, hex(packet));
    const end = 4 + packet.readUInt16BE(2);
    found.set(packet.toString('utf8', 4, end), packet.toString('utf8', end));
  }
  return found;
}

test('$SYS has the values of the moment for who names it, and every ten seconds again', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const edge = await start(t);
  const wire = await edge.connect(4, 'reader');
  wire.send(subscribePacket(4, 1, [['$SYS/#', 0]]));
  await wire.expect(subackPacket(4, 1, 0));
  const now = await values(wire, NAMES.length, 0x31);
  assert.deepEqual(
    [...now.keys()],
    NAMES.map((name) => `$SYS/broker/${name}`),
  );
  assert.equal(now.get('$SYS/broker/version'), 'petiole 1.2.3');
  assert.equal(now.get('$SYS/broker/clients/connected'), '1');
  assert.equal(now.get('$SYS/broker/lanes/alarms/depth'), '7');
  assert.ok(Number(now.get('$SYS/broker/bytes/received')) > 0);
  t.mock.timers.tick(10_000);
  const later = await values(wire, NAMES.length, 0x30);
  assert.equal(later.get('$SYS/broker/messages/sent'), String(NAMES.length));
  wire.send(unsubscribePacket(4, 2, '$SYS/#'));
  assert.equal((await wire.next('UNSUBACK'))[0], 0xb0);
  t.mock.timers.tick(10_000);
  await wire.expectQuiet();
});

test('a wildcard in front does not see $SYS [MQTT-4.7.2-1], and the rest of $ stays refused', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const edge = await start(t);
  const wire = await edge.connect(5, 'reader');
  wire.send(
    subscribePacket(5, 1, [
      ['#', 0],
      ['+/broker/version', 0],
      ['$SYS', 0],
      ['$SYSTEM/#', 0],
      ['$JS/#', 0],
      ['$share/g/$JS/#', 0],
    ]),
  );
  await wire.expect(subackPacket(5, 1, 0, 0, 0x87, 0x87, 0x87, 0x87));
  const other = await edge.connect(4, 'other');
  other.send(subscribePacket(4, 1, [['$SYS/broker/version', 0]]));
  await other.expect(subackPacket(4, 1, 0));
  await values(other, 1, 0x31);
  t.mock.timers.tick(10_000);
  await values(other, 1, 0x30);
  await wire.expectQuiet();
});

test('$SYS is no interest of the box: the hub never hears of it', async (t) => {
  const edge = await start(t);
  const wire = await edge.connect(4, 'reader');
  const told: string[] = [];
  const before = edge.router.subscriptions;
  edge.router.connect(edge.journal, {
    interest: (filter) => void told.push(filter),
    send: () => false,
  });
  wire.send(
    subscribePacket(4, 1, [
      ['$SYS/#', 0],
      ['$share/g/$SYS/broker/uptime', 0],
      ['plain', 0],
    ]),
  );
  await wire.expect(subackPacket(4, 1, 0, 0, 0));
  await values(wire, NAMES.length, 0x31);
  assert.deepEqual(told, ['plain']);
  assert.equal(edge.router.subscriptions, before + 1);
  edge.router.publish(
    {
      subject: '$SYS.broker.version',
      reply: '',
      headers: Buffer.alloc(0),
      payload: Buffer.from('forged'),
      receivedAtMs: 0,
      origin: { kind: 'hub', name: 'hub' },
    },
    { accepted: () => {}, refused: () => {} },
  );
  await wire.expectQuiet();
});
