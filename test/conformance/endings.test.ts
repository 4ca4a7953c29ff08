import assert from 'node:assert/strict';
import { startEdge } from '../support/mqtt-edge.ts';
import {
  DISCONNECT,
  packet,
  properties,
  property,
  publishPacket,
  readProperties,
  u32,
} from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';
import { conform, expectEnds, subscribe } from './conform.ts';

/* Wills (3.1.2.5) and DISCONNECT (3.14). */

const will = { topic: 'wills/c', payload: 'gone' };

conform(
  'the will is published when the connection breaks, and once',
  { 4: ['3.1.2-8', '3.1.2-10'], 5: ['3.1.2-7', '3.1.2-8', '3.1.2-10'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wills = edge.listen('wills.>');
    const breaks = [
      (bad: Awaited<ReturnType<typeof edge.connect>>) => bad.reset(),
      (bad: Awaited<ReturnType<typeof edge.connect>>) => bad.end(),
      (bad: Awaited<ReturnType<typeof edge.connect>>) => bad.send(packet(0x36, 'a')),
    ];
    for (const [i, breakOff] of breaks.entries()) {
      const wire = await edge.connect(version, 'c', { will });
      await wire.expectQuiet();
      assert.equal(wills.length, i, 'not while it is connected');
      breakOff(wire);
      await waitFor('the will', () => wills.length === i + 1);
    }
    await edge.connect(version, 'c', { will });
    await edge.connect(version, 'c');
    await waitFor('the will of one that is taken over', () => wills.length === breaks.length + 1);
    await edge.expectServing();
    assert.deepEqual(
      wills.map(({ subject, payload }) => `${subject} ${payload}`),
      Array.from({ length: breaks.length + 1 }, () => 'wills.c gone'),
    );
  },
);

conform(
  'DISCONNECT takes the will away',
  { 4: ['3.1.2-10', '3.14.4-3'], 5: ['3.1.2-10', '3.14.4-3'] },
  async (t, version) => {
    const edge = await startEdge(t);
    const wills = edge.listen('wills.>');
    const byes = version === 5 ? [DISCONNECT, packet(0xe0, 0), packet(0xe0, 0, properties())] : [DISCONNECT];
    for (const bye of byes) {
      const wire = await edge.connect(version, 'c', { will });
      // What comes behind it is not looked at.
      wire.send(bye, publishPacket({ version, topic: 'wills/late' }));
      await wire.expectClosed();
    }
    await waitFor('all to be gone', () => edge.status.clients.length === 0);
    await edge.expectServing();
    assert.deepEqual(wills, []);
  },
);

conform('no will flag, no will', { 4: ['3.1.2-12'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('>');
  const wire = await edge.connect(version, 'c');
  wire.reset();
  await waitFor('it to be gone', () => edge.status.clients.length === 0);
  assert.deepEqual(heard, []);
});

conform('user properties of a will keep their order', { 5: ['3.1.3-10'] }, async (t, version) => {
  const edge = await startEdge(t);
  const watcher = await edge.connect(version, 'watcher');
  await subscribe(watcher, version, [['wills/#', 0]]);
  const user = [property.userProperty, 'b', '1', property.userProperty, 'a', '2', property.userProperty, 'b', '0'];
  const wire = await edge.connect(version, 'c', { will: { ...will, properties: user } });
  wire.reset();
  await watcher.expect(publishPacket({ version, topic: 'wills/c', payload: 'gone', properties: user }));
});

/** Reason codes that a server may put into a DISCONNECT (table 3-10 of MQTT 5.0). */
const serverCodes = new Set([
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97],
  ...[0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
]);

conform(
  'the DISCONNECT of the server',
  { 5: ['3.14.2-1', '3.14.2-2', '3.14.2-4', '3.14.4-1', '3.14.4-2'] },
  async (t, version) => {
    const edge = await startEdge(t, { packetBytesMax: 4096 });
    const offences = [
      packet(0x36, 'a'),
      packet(0xc1),
      packet(0x30, 'a/#', properties()),
      packet(0x30, 'a', properties(property.topicAlias, 0, 0)),
      packet(0x30, Buffer.alloc(5000)),
      packet(0xf0),
    ];
    for (const bytes of offences) {
      const wire = await edge.connect(version, 'c');
      await subscribe(wire, version, [['late', 0]]);
      wire.send(bytes, publishPacket({ version, topic: 'late', id: 1 }));
      const bye = await wire.next('DISCONNECT');
      assert.equal(bye[0], 0xe0);
      assert.ok(serverCodes.has(bye[2] ?? 0), `reason code 0x${bye[2]?.toString(16)}`);
      const { entries } = readProperties(bye, 3);
      assert.ok(
        entries.every(([id]) => id === property.reasonString),
        'no Session Expiry Interval',
      );
      await wire.expectClosed(); // and nothing behind it
    }
  },
);

conform('a reason code that is not for a client', { 5: ['4.13.1-1'] }, async (t, version) => {
  const edge = await startEdge(t);
  await expectEnds(edge, version, [0x81, 0x82], {
    'session taken over': packet(0xe0, 0x8e),
    'no such code': packet(0xe0, 0x05),
    'an expiry that the CONNECT did not have': packet(0xe0, 0, properties(property.sessionExpiry, u32(10))),
    'bytes behind it': packet(0xe0, 0, properties(), 1),
  });
});

conform('the server closes after a DISCONNECT', { 4: ['3.14.4-1', '3.14.4-2'] }, async (t, version) => {
  const edge = await startEdge(t);
  const heard = edge.listen('late');
  const wire = await edge.connect(version, 'c');
  wire.send(DISCONNECT, publishPacket({ version, topic: 'late', id: 1 }));
  await wire.expectClosed();
  assert.deepEqual(heard, []);
});
