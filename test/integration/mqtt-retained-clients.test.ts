import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqtt, { type IPublishPacket } from 'mqtt';
import { startBox } from '../support/box.ts';
import { mosquittoPub, mosquittoSub, startMosquittoSub } from '../support/mosquitto.ts';
import { startRetainingEdge } from '../support/mqtt-edge.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

for (const version of ['mqttv311', 'mqttv5'] as const) {
  test(`mosquitto clients set, read and remove retained messages in ${version}`, async (t) => {
    const { edge, store } = await startRetainingEdge(t);
    const pub = async (...args: string[]) =>
      assert.equal((await mosquittoPub(edge.port, '-V', version, ...args)).code, 0);
    const sub = async (...args: string[]) =>
      (await mosquittoSub(edge.port, '-V', version, '-F', '%r %t=%p', '-W', '5', ...args)).lines;
    await pub('-t', 'plant/a', '-m', '1', '-r', '-q', '1');
    await pub('-t', 'plant/b', '-m', '2', '-r');
    await waitFor('both', () => store.retained?.status().count === 2);
    assert.deepEqual((await sub('-t', 'plant/+', '-C', '2')).toSorted(), ['1 plant/a=1', '1 plant/b=2']);
    const only = await sub('-t', 'plant/#', '--retained-only', '-C', '2');
    assert.deepEqual(only.toSorted(), ['1 plant/a=1', '1 plant/b=2']);
    // -R leaves out what is stale: by the flag in 3.1.1, by Retain Handling 2 in 5.
    await waitFor('the others to leave', () => edge.status.clients.length === 0);
    const fresh = sub('-t', 'plant/#', '-R', '-C', '1');
    await waitFor('its subscription', () => edge.status.clients[0]?.subscriptions === 1);
    await pub('-t', 'plant/a', '-m', 'now', '-q', '1');
    assert.deepEqual(await fresh, ['0 plant/a=now']);
    // It does not end by itself.
    await startMosquittoSub(t, edge.port, '-V', version, '-t', 'plant/#', '--remove-retained');
    await waitFor('none', () => store.retained?.status().count === 0);
  });
}

for (const protocolVersion of [4, 5] as const) {
  test(`mqtt.js with protocol ${protocolVersion} sets, gets and clears retained messages`, async (t) => {
    const { edge } = await startRetainingEdge(t);
    const connect = async (clientId: string) => {
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${edge.port}`, { protocolVersion, clientId });
      atEnd(t, () => client.endAsync(true));
      return client;
    };
    const sender = await connect('sender');
    await sender.publishAsync('home/lamp', 'on', { qos: 1, retain: true });
    const reader = await connect('reader');
    const packets: IPublishPacket[] = [];
    reader.on('message', (_topic, _payload, packet) => packets.push(packet));
    await reader.subscribeAsync('home/#', { qos: 1 });
    await waitFor('the state', () => packets.length === 1);
    await sender.publishAsync('home/lamp', '', { qos: 1, retain: true });
    await waitFor('the clearing', () => packets.length === 2);
    assert.deepEqual(
      packets.map(({ retain, payload }) => [retain, String(payload)]),
      [
        [true, 'on'],
        [false, ''],
      ],
    );
    assert.equal(edge.status.retained?.count, 0);
  });
}

test('kill -9 of the box: every acknowledged retained value is there after the start', async (t) => {
  // What no lane takes is live only; its retained value is on disk all the same.
  const box = await startBox(t, { config: { lanes: [{ name: 'lane', subjects: ['lane.>'] }] } });
  const client = await mqtt.connectAsync(box.mqttUrl, { protocolVersion: 5, reconnectPeriod: 0 });
  atEnd(t, () => client.endAsync(true));
  client.on('error', () => {});
  const acknowledged = new Map<string, number>();
  let isOver = false;
  // Each topic counts on; the last acknowledged value is the least that must be there.
  const publish = async (topic: string) => {
    for (let n = 1; !isOver; n++) {
      try {
        await client.publishAsync(topic, String(n), { qos: 1, retain: true });
      } catch {
        return;
      }
      acknowledged.set(topic, n);
    }
  };
  const publishing = Array.from({ length: 40 }, (_, i) => publish(`${i % 2 === 0 ? 'lane' : 'live'}/${i}`));
  await waitFor('some rounds', () => acknowledged.size === 40 && [...acknowledged.values()].every((n) => n >= 20));
  await box.kill9();
  isOver = true;
  await client.endAsync(true);
  await Promise.allSettled(publishing);
  const atLeast = new Map(acknowledged);
  await box.start();
  const { lines } = await mosquittoSub(box.mqttPort, '-t', '#', '-C', '40', '-W', '10', '-F', '%t %p');
  const found = new Map(lines.map((line) => line.split(' ') as [string, string]));
  for (const [topic, n] of atLeast) {
    const value = Number(found.get(topic));
    assert.ok(value === n || value === n + 1, `${topic}: ${n} was acknowledged, ${value} is there`);
  }
  const { retained } = (await box.status()).mqtt;
  assert.equal(retained.count, 40);
  assert.equal(retained.countMax, 10_000);
});

test('with mqtt.retained off, version 5 is refused and 3.1.1 is taken as live', async (t) => {
  const box = await startBox(t, { config: { mqtt: { listeners: [{ listen: '127.0.0.1:0' }], retained: 'off' } } });
  const pub = (...args: string[]) => mosquittoPub(box.mqttPort, '-t', 'a', '-m', 'x', '-r', '-q', '1', ...args);
  const five = await mqtt.connectAsync(`mqtt://127.0.0.1:${box.mqttPorts[0]}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
  });
  atEnd(t, () => five.endAsync(true));
  const disconnected = new Promise<number | undefined>((resolve) => {
    five.on('disconnect', ({ reasonCode }) => resolve(reasonCode));
  });
  five.publish('a', 'x', { qos: 0, retain: true });
  assert.equal(await disconnected, 0x9a); // [MQTT-3.2.2-14]
  assert.equal((await pub('-V', 'mqttv311')).code, 0);
  const { mqtt: facts } = await box.status();
  assert.equal(facts.retained, null);
  assert.equal(facts.counters.retainIgnored, 1);
});
