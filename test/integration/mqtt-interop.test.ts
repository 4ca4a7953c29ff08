import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqtt, { type IPublishPacket } from 'mqtt';
import { Child } from '../support/child.ts';
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts';
import { startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

for (const version of ['mqttv311', 'mqttv5'] as const) {
  test(`mosquitto clients speak ${version} with the edge`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 100 });
    const pub = (...args: string[]) => mosquittoPub(edge.port, '-V', version, ...args);
    const sub = await startSub(t, edge, '-V', version, '-t', 'm/#', '-q', '1', '-F', '%t=%p');
    const sees = (line: string) => sub.line(line, (seen) => seen === line, 5_000);

    assert.equal((await pub('-t', 'm/zero', '-m', 'hello')).code, 0);
    await sees('m/zero=hello');
    assert.equal((await pub('-t', 'm/one', '-m', 'hello', '-q', '1', '-i', 'named', '-k', '5')).code, 0);
    await sees('m/one=hello');
    assert.equal((await pub('-t', 'm/empty', '-n', '-q', '1')).code, 0);
    await sees('m/empty=');
    assert.equal((await pub('-t', 'm/rep', '-m', 'r', '-q', '1', '--repeat', '5')).code, 0);
    await waitFor('all repeats', () => sub.lines.filter((line) => line === 'm/rep=r').length === 5);
    assert.equal((await pub('-t', 'm/user', '-m', 'u', '-u', 'user', '-P', 'password', '-q', '1')).code, 0);
    await sees('m/user=u');

    const lines = new Child('mosquitto_pub', [
      ...['-h', '127.0.0.1', '-p', String(edge.port), '-V', version, '-t', 'm/lines', '-q', '1', '-l'],
    ]);
    t.after(async () => void (await lines.kill()));
    lines.process.stdin?.end(Array.from({ length: 200 }, (_, i) => `line ${i}\n`).join(''));
    assert.equal((await lines.exited).code, 0);
    await sees('m/lines=line 199');
    const seen = sub.lines.filter((line) => line.startsWith('m/lines='));
    assert.deepEqual(
      seen,
      Array.from({ length: 200 }, (_, i) => `m/lines=line ${i}`),
    );
  });

  test(`mosquitto_pub waits for the commit in ${version}`, async (t) => {
    const edge = await startEdge(t);
    const publishing = mosquittoPub(edge.port, '-V', version, '-t', 'lane/x', '-m', 'kept', '-q', '1');
    await edge.journal.holds(1);
    await edge.expectServing();
    assert.equal(edge.status.clients.length, 1, 'it still waits');
    edge.journal.release();
    assert.equal((await publishing).code, 0);
  });

  test(`mosquitto_sub gets as many as it asks for in ${version}, and unsubscribes`, async (t) => {
    const edge = await startEdge(t);
    const reading = mosquittoSub(edge.port, '-V', version, '-t', 'a/+', '-t', 'b', '-U', 'b', '-C', '2');
    await waitFor('its subscription', () => edge.status.clients[0]?.subscriptions === 1);
    edge.publish('b', 'no');
    edge.publish('a.x', 'one');
    edge.publish('a.y', 'two');
    const { code, lines } = await reading;
    assert.deepEqual({ code, lines }, { code: 0, lines: ['one', 'two'] });
  });

  test(`a mosquitto client’s will is published when it is killed (${version})`, async (t) => {
    const edge = await startEdge(t);
    const sub = await startSub(t, edge, '-V', version, '-t', 'will/#', '-F', '%t=%p');
    const doomed = await startSub(
      t,
      edge,
      ...['-V', version, '-t', 'x', '--will-topic', 'will/me', '--will-payload', 'died', '--will-qos', '1'],
    );
    await doomed.kill();
    await sub.line('the will', (line) => line === 'will/me=died', 5_000);
  });

  test(`mosquitto_pub and mosquitto_sub with QoS 2 in ${version}`, async (t) => {
    const edge = await startEdge(t);
    const sub = await startSub(t, edge, '-V', version, '-t', 'a', '-q', '2', '-F', '%q %p');
    const { code } = await mosquittoPub(edge.port, '-V', version, '-t', 'a', '-m', 'x', '-q', '2');
    assert.equal(code, 0);
    await sub.line('the message', (line) => line === '2 x', 5_000);
  });
}

test('mosquitto’s version 5 properties arrive', async (t) => {
  const edge = await startEdge(t);
  const format = '%t|%p|%C|%R|%D|%E|%P';
  const sub = await startSub(t, edge, '-V', 'mqttv5', '-t', 'p', '-F', format);
  const properties = [
    ...['-D', 'PUBLISH', 'user-property', 'unit', 'celsius'],
    ...['-D', 'PUBLISH', 'user-property', 'place', 'line 3'],
    ...['-D', 'PUBLISH', 'content-type', 'text/plain'],
    ...['-D', 'PUBLISH', 'response-topic', 'answers/1'],
    ...['-D', 'PUBLISH', 'correlation-data', 'abc'],
  ];
  const { code } = await mosquittoPub(edge.port, '-V', 'mqttv5', '-t', 'p', '-m', '21', '-q', '1', ...properties);
  assert.equal(code, 0);
  await sub.line(
    'the properties',
    (line) => line.startsWith('p|21|text/plain|answers/1|abc|') && /unit:celsius.*place:line 3/.test(line),
    5_000,
  );
});

test('mosquitto’s shared subscription and version 3.1', async (t) => {
  const edge = await startEdge(t);
  const sub = await startSub(t, edge, '-V', 'mqttv5', '-t', '$share/g/s/#', '-F', '%p');
  edge.publish('s.1', 'shared');
  await sub.line('the message', (line) => line === 'shared', 5_000);
  const { code } = await mosquittoPub(edge.port, '-V', 'mqttv31', '-t', 'a', '-m', 'x');
  assert.equal(code, 1, 'return code 1: unacceptable protocol version');
});

for (const protocolVersion of [4, 5] as const) {
  test(`mqtt.js with protocol ${protocolVersion}: 1000 QoS 1 publishes arrive in order`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 50 });
    const reader = await client(t, edge, protocolVersion, 'reader');
    const seen: number[] = [];
    reader.on('message', (_topic, payload) => seen.push(Number(payload)));
    const [granted] = await reader.subscribeAsync('n/#', { qos: 1 });
    assert.equal(granted?.qos, 1);
    const sender = await client(t, edge, protocolVersion, 'sender');
    await Promise.all(Array.from({ length: 1000 }, (_, i) => sender.publishAsync(`n/${i % 7}`, `${i}`, { qos: 1 })));
    await waitFor('all messages', () => seen.length >= 1000);
    assert.deepEqual(
      seen,
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });

  test(`mqtt.js with protocol ${protocolVersion} reconnects, and sends again what was not acknowledged`, async (t) => {
    const edge = await startEdge(t);
    const sender = await client(t, edge, protocolVersion, 'sender');
    const publishing = sender.publishAsync('lane/x', 'once more', { qos: 1 });
    await edge.journal.holds(1);
    sender.stream.destroy();
    await edge.journal.holds(2);
    edge.journal.release();
    // Only the second connection is there to be told.
    await publishing;
    assert.equal(edge.status.clients.length, 1);
    assert.equal(edge.counter('connections'), 2);
  });
}

test('mqtt.js with protocol 5: properties and user properties both ways', async (t) => {
  const edge = await startEdge(t);
  const reader = await client(t, edge, 5, 'reader');
  const packets: IPublishPacket[] = [];
  reader.on('message', (_topic, _payload, packet) => packets.push(packet));
  await reader.subscribeAsync('p', { qos: 0, properties: { subscriptionIdentifier: 300 } });
  const sender = await client(t, edge, 5, 'sender');
  const properties = {
    contentType: 'application/json',
    responseTopic: 'answers',
    correlationData: Buffer.of(0, 1, 255),
    messageExpiryInterval: 60,
    payloadFormatIndicator: true,
    userProperties: { list: ['1', '2'], one: 'x' },
  };
  await sender.publishAsync('p', '{}', { qos: 1, properties });
  const [packet] = await waitFor('the message', () => (packets.length > 0 ? packets : null));
  const { subscriptionIdentifier, userProperties, ...rest } = packet?.properties ?? {};
  const { userProperties: sentUser, ...sentRest } = properties;
  assert.deepEqual({ ...rest }, sentRest);
  assert.deepEqual({ ...userProperties }, sentUser);
  assert.equal(subscriptionIdentifier, 300);
});

async function client(
  scope: Scope,
  edge: TestEdge,
  protocolVersion: 4 | 5,
  clientId: string,
): Promise<mqtt.MqttClient> {
  const options = { protocolVersion, clientId, reconnectPeriod: 20 };
  const connected = await mqtt.connectAsync(`mqtt://127.0.0.1:${edge.port}`, options);
  atEnd(scope, () => connected.endAsync(true));
  return connected;
}

/** A `mosquitto_sub` in the background that has its SUBACK. Its stdout is a pipe: without stdbuf it keeps its lines back. */
async function startSub(scope: Scope, edge: TestEdge, ...args: string[]): Promise<Child> {
  const sub = new Child('stdbuf', ['-oL', 'mosquitto_sub', '-d', '-h', '127.0.0.1', '-p', String(edge.port), ...args]);
  atEnd(scope, async () => {
    await sub.kill();
  });
  await sub.line('SUBACK', (line) => line.includes('Subscribed (mid'), 5_000);
  return sub;
}
