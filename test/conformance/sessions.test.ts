import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { RestartingEdge } from '../support/mqtt-edge.ts';
import { leave, nextPublish, pubrec, QOS_2, resume } from '../support/mqtt-exchanges.ts';
import { property, pubackPacket, publishPacket, u32 } from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';
import { conform, subscribe, untilQuiet } from './conform.ts';

/* Sessions (3.1.2.4, 4.1), messages for a client that is away, and what is sent again when it returns (4.4). */

conform(
  'a new session, the same one again, and a clean one',
  {
    4: ['3.1.2-4', '3.1.2-6', '3.1.4-3', '3.2.2-1', '3.2.2-2', '3.2.2-3', '4.1.0-1'],
    5: ['3.1.2-4', '3.1.2-5', '3.1.2-6', '3.1.2-23', '3.1.4-4', '3.2.2-2', '3.2.2-3'],
  },
  async (t, version) => {
    const box = new RestartingEdge(t);
    let edge = await box.start();
    const first = await resume(edge, version, 'c');
    assert.equal(first.isPresent, false);
    await subscribe(first.wire, version, [['s', 1]]);
    await leave(edge, first.wire);
    // The session is there without another SUBSCRIBE, also after a restart of the box.
    for (const isRestarted of [false, true]) {
      if (isRestarted) edge = await box.restart();
      const again = await resume(edge, version, 'c');
      assert.equal(again.isPresent, true);
      edge.publish('s', 'known');
      const { payload, id } = await nextPublish(again.wire, version);
      assert.equal(payload, 'known');
      again.wire.send(pubackPacket(id));
      await untilQuiet(again.wire);
      await leave(edge, again.wire);
    }
    // edge.connect() expects session present 0 of 3.1.1, byte for byte.
    const clean = await edge.connect(version, 'c');
    edge.publish('s', 'unknown');
    assert.deepEqual(await untilQuiet(clean), []);
    await leave(edge, clean);
    const after = await resume(edge, version, 'c');
    assert.equal(after.isPresent, false, 'what was discarded does not come back');
    edge.publish('s', 'unknown');
    assert.deepEqual(await untilQuiet(after.wire), []);
  },
);

conform('messages for a client that is away', { 4: ['3.1.2-5', '4.5.0-1'], 5: ['4.5.0-1'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  const sessions = ['one', 'two'];
  for (const name of sessions) {
    const { wire } = await resume(edge, version, name);
    await subscribe(wire, version, [['away/#', 2]]);
    await leave(edge, wire, name === 'one');
  }
  const sender = await edge.connect(version, 'sender');
  sender.send(publishPacket({ version, topic: 'away/1', id: 1, payload: 'first' }));
  await sender.expect(pubackPacket(1));
  sender.send(publishPacket({ version, topic: 'away/2', id: 2, flags: QOS_2, payload: 'second' }));
  await sender.expect(pubrec(2));
  for (const name of sessions) {
    const { wire } = await resume(edge, version, name);
    const first = await nextPublish(wire, version);
    const second = await nextPublish(wire, version);
    assert.deepEqual([first.payload, first.qos, first.isDup], ['first', 1, false]);
    assert.deepEqual([second.payload, second.qos, second.isDup], ['second', 2, false]);
  }
});

conform(
  'what was not acknowledged is sent again, in order',
  { 4: ['2.3.1-3', '3.3.1-1', '4.4.0-1', '4.6.0-1'], 5: ['3.3.1-1', '4.4.0-1', '4.6.0-1'] },
  async (t, version) => {
    const box = new RestartingEdge(t);
    let edge = await box.start();
    let { wire } = await resume(edge, version, 'c');
    await subscribe(wire, version, [['r/+', 2]]);
    const sender = await edge.connect(version, 'sender');
    for (let i = 1; i <= 6; i++) {
      sender.send(publishPacket({ version, topic: `r/${i}`, id: i, payload: `${i}`, flags: i % 2 === 0 ? QOS_2 : 0 }));
    }
    const sent = [];
    for (let i = 0; i < 6; i++) sent.push(await nextPublish(wire, version));
    assert.ok(sent.every(({ isDup }) => !isDup));
    const [, , third] = sent;
    wire.send(pubackPacket(third?.id ?? 0));
    await untilQuiet(wire);
    const expected = sent.filter((one) => one !== third).map((one) => ({ ...one, isDup: true }));
    for (const isRestarted of [false, true]) {
      await leave(edge, wire, false);
      if (isRestarted) edge = await box.restart();
      ({ wire } = await resume(edge, version, 'c'));
      for (const one of expected) assert.deepEqual(await nextPublish(wire, version), one);
      // At no other time.
      assert.deepEqual(await untilQuiet(wire), []);
    }
  },
);

conform('a session ends when its expiry has passed, not before', { 5: ['4.1.0-1', '4.1.0-2'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  const { wire } = await resume(edge, version, 'short', {}, 1);
  await subscribe(wire, version, [['e', 1]]);
  // Longer than the expiry: it counts from the end of the connection.
  await sleep(1_500);
  edge.publish('e', 'still');
  const { id } = await nextPublish(wire, version);
  wire.send(pubackPacket(id));
  await leave(edge, wire, false);
  await waitFor('the end of the session', () => edge.status.sessions?.count === 0, { timeoutMs: 20_000 });
  const after = await resume(edge, version, 'short');
  assert.equal(after.isPresent, false);
});

conform('a session lasts as long as its connection', { 4: ['4.1.0-2'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  for (const clean of [true, false]) {
    const { wire } = await resume(edge, version, 'c', { clean });
    await subscribe(wire, version, [['l', 1]]);
    for (let i = 0; i < 3; i++) {
      edge.publish('l', `${i}`);
      const { id, payload } = await nextPublish(wire, version);
      assert.equal(payload, `${i}`);
      wire.send(pubackPacket(id));
    }
    await leave(edge, wire);
  }
});

conform('a client that returns in time has no will', { 5: ['3.1.3-9'] }, async (t, version) => {
  const edge = await new RestartingEdge(t).start();
  const wills = edge.listen('wills.>');
  const delay = [property.willDelay, u32(1)];
  const first = await resume(edge, version, 'back', { will: { topic: 'wills/back', properties: delay } });
  await leave(edge, first.wire, false);
  const back = await resume(edge, version, 'back');
  const gone = await resume(edge, version, 'gone', { will: { topic: 'wills/gone', properties: delay } });
  await leave(edge, gone.wire, false);
  // Its delay began later, so the other one would have been first.
  await waitFor('the will of the other', () => wills.length > 0, { timeoutMs: 20_000 });
  assert.deepEqual(
    wills.map(({ subject }) => subject),
    ['wills.gone'],
  );
  await untilQuiet(back.wire);
});
