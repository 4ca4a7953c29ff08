import assert from 'node:assert/strict';
import { startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { packet, properties, publishPacket, type Version } from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';
import { conform, expectEnds, subscribe, untilQuiet } from './conform.ts';

/* Topic names, topic filters and shared subscriptions (4.7 and 4.8). */

/** The code of refusal of a topic filter. */
function invalid(version: Version): number {
  return version === 5 ? 0x8f : 0x80;
}

async function expectFilterRefused(edge: TestEdge, version: Version, filters: readonly string[]): Promise<void> {
  const wire = await edge.connect(version, 'refused');
  for (const filter of filters) {
    assert.deepEqual(await subscribe(wire, version, [[filter, 0]]), [invalid(version)], filter);
  }
  assert.equal(edge.status.clients.find(({ clientId }) => clientId === 'refused')?.subscriptions, 0);
}

/** The topic names, of those published, that a new client with this filter gets; the last one ends the list. */
async function received(edge: TestEdge, version: Version, sender: Wire, filter: string): Promise<string[]> {
  const wire = await edge.connect(version, `reader of ${filter}`.slice(0, 60));
  const codes = await subscribe(wire, version, [
    [filter, 0],
    ['the/end', 0],
  ]);
  assert.ok((codes[0] ?? 0x80) < 0x80, `${filter}: ${codes}`);
  sender.send(...names.map((topic) => publishPacket({ version, topic })), publishPacket({ version, topic: 'the/end' }));
  const seen = new Set<string>();
  for (;;) {
    const next = await wire.next(filter);
    const topic = next.toString('utf8', 4, 4 + next.readUInt16BE(2));
    if (topic === 'the/end') break;
    seen.add(topic);
  }
  wire.send(packet(0xe0));
  return [...seen];
}

const names = [
  ...['a', 'A', '/a', 'a/', '/', '//', 'a/b', 'a//b', 'a/b/c', 'a/b/', 'a b', ' a', 'a.b', 'a.b/c', 'a*', 'a>b'],
  ...['é', 'e\u0301', '\u212B', '\u00C5', 'Ａ', '%41', 'a%2Fb', 'sport', 'sport/', 'sport/tennis/player1'],
];

/** Chapter 4.7 in few lines, apart from the broker's own code. */
function matches(filter: string, name: string): boolean {
  const filterLevels = filter.split('/');
  const levels = name.split('/');
  for (const [i, level] of filterLevels.entries()) {
    if (level === '#') return levels.length >= i;
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false;
  }
  return filterLevels.length === levels.length;
}

conform(
  'a topic filter matches what it says, unnormalized',
  { 4: ['3.3.2-3', '4.7.3-4', '3.8.3-2'], 5: ['3.3.2-3', '4.7.3-4'] },
  async (t, version) => {
    const edge = await startEdge(t, { connectionsMax: 60 });
    const sender = await edge.connect(version, 'sender');
    const filters = [
      '#',
      '+',
      '+/+',
      '/+',
      '+/',
      'a/#',
      'a/+',
      'a/+/#',
      '+/b/#',
      '/#',
      'sport/#',
      'sport/+',
      '//',
      '+//+',
    ];
    for (const filter of [...filters, ...names]) {
      const expected = names.filter((name) => matches(filter, name));
      assert.deepEqual((await received(edge, version, sender, filter)).sort(), expected.sort(), `filter ${filter}`);
    }
  },
);

conform('where # may stand', { 4: ['4.7.1-2'], 5: ['4.7.1-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectFilterRefused(edge, version, ['a#', '#/a', 'a/#/b', 'a/b#', '##', '#+', 'a/#b']);
});

conform('where + may stand', { 4: ['4.7.1-3'], 5: ['4.7.1-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectFilterRefused(edge, version, ['a+', '+a', 'a/b+', 'a/+b/c', '++', '+/a+']);
  const wire = await edge.connect(version, 'c');
  for (const filter of ['+', '+/a', 'a/+', 'a/+/b', '+/+/+']) {
    assert.deepEqual(await subscribe(wire, version, [[filter, 0]]), [0], filter);
  }
});

conform('topics that begin with $', { 4: ['4.7.2-1'], 5: ['4.7.2-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const wire = await edge.connect(version, 'c');
  await subscribe(wire, version, [
    ['#', 0],
    ['+/x', 0],
    ['+/#', 0],
  ]);
  for (const subject of ['$SYS.x', '$x', '$.x']) edge.publish(subject, 'hidden');
  await wire.expectQuiet();
  edge.publish('x$', 'seen');
  await wire.expect(publishPacket({ version, topic: 'x$', payload: 'seen' }));
});

conform('an empty topic', { 4: ['4.7.3-1'], 5: ['4.7.3-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  const none = version === 5 ? [properties()] : [];
  await expectEnds(edge, version, [0x81, 0x82], { 'topic name': packet(0x30, '', ...none) });
  await expectFilterRefused(edge, version, ['']);
});

conform('a topic of 65,535 bytes', { 4: ['4.7.3-3'], 5: ['4.7.3-3'] }, async (t, version) => {
  // Two bytes of length cannot say more; this box takes less, and says so.
  const edge = await startEdge(t, { packetBytesMax: 200_000 });
  const wire = await edge.connect(version, 'c');
  const longest = 'x'.repeat(65_535);
  wire.send(publishPacket({ version, topic: longest, id: 1 }));
  if (version === 5) assert.equal((await wire.next('PUBACK'))[4], 0x90);
  else await wire.expectClosed();
  const reader = await edge.connect(version, 'reader');
  assert.deepEqual(await subscribe(reader, version, [[longest, 0]]), [invalid(version)]);
});

conform('what a shared subscription looks like', { 5: ['4.8.2-1', '4.8.2-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectFilterRefused(edge, version, [
    ...['$share/', '$share//a', '$share/g', '$share/g/', '$share/+/a', '$share/#/a', '$share/g+/a', '$share/g#/a'],
    ...['$share/g/a#', '$share/g/#/a'],
  ]);
  const wire = await edge.connect(version, 'c');
  assert.deepEqual(await subscribe(wire, version, [['$share/g.1 *>/s/+', 0]]), [0]);
  edge.publish('s.1', 'x');
  await wire.expect(publishPacket({ version, topic: 's/1' }));
});

conform('each message goes to one member of a share', { 5: ['4.8.2-3'] }, async (t, version) => {
  const edge = await startEdge(t, { inflightMax: 100 });
  const members = await Promise.all(['m1', 'm2', 'm3'].map((name) => edge.connect(version, name)));
  for (const member of members) await subscribe(member, version, [['$share/g/s', 0]]);
  const alone = await edge.connect(version, 'alone');
  await subscribe(alone, version, [['s', 0]]);
  const sender = await edge.connect(version, 'sender');
  for (let i = 0; i < 30; i++) sender.send(publishPacket({ version, topic: 's', id: i + 1, payload: `${i}` }));
  await alone.expect(...Array.from({ length: 30 }, (_, i) => publishPacket({ version, topic: 's', payload: `${i}` })));
  const seen: Buffer[] = [];
  for (const member of members) seen.push(...(await untilQuiet(member)));
  // QoS 0 was granted: QoS 1 messages come at QoS 0, each once.
  assert.ok(seen.every((bytes) => bytes[0] === 0x30));
  assert.equal(new Set(seen.map((bytes) => bytes.toString('latin1'))).size, 30);
  assert.equal(seen.length, 30);
});
