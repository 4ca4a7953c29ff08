import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { hashPassword } from '../../src/core/password.ts';
import { type Box, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { connectHub } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const TIMEOUT_MS = 20_000;

const text = (data: Uint8Array): string => Buffer.from(data).toString();

async function natsClient(scope: Scope, box: Box): Promise<NatsConnection> {
  const client = await connect({ servers: box.natsUrl, reconnect: false });
  atEnd(scope, () => client.close());
  return client;
}

async function device(scope: Scope, box: Box, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(box.mqttUrl, { protocolVersion: 5, ...options });
  atEnd(scope, () => client.endAsync(true));
  return client;
}

/** A device that answers each request on a topic in the manner of MQTT 5, with the payload behind `got `. */
async function answering(client: MqttClient, topic: string): Promise<IPublishPacket[]> {
  const seen: IPublishPacket[] = [];
  client.on('message', (_topic, payload, packet) => {
    seen.push(packet);
    const { responseTopic, correlationData } = packet.properties ?? {};
    if (responseTopic === undefined) return;
    client.publish(responseTopic, `got ${payload}`, {
      qos: 1,
      properties: { ...(correlationData && { correlationData }), userProperties: { by: 'device' } },
    });
  });
  await client.subscribeAsync(topic);
  return seen;
}

/** What arrives at a device on its response topic. */
async function responses(client: MqttClient, topic: string): Promise<IPublishPacket[]> {
  const seen: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => void seen.push(packet));
  await client.subscribeAsync(topic);
  return seen;
}

async function linkedBox(scope: Scope, cloudUrl: string, name: string): Promise<Box> {
  const box = await startBox(scope, { name, config: { upstream: { urls: [cloudUrl], ping_interval: '1s' } } });
  await box.logged('the link', ({ msg }) => msg === 'linked to the hub', TIMEOUT_MS);
  return box;
}

test('a NATS request is answered by an MQTT 5 device, here and from the cloud', async (t) => {
  const hub = await startNatsServer(t, { leafnodes: true });
  const cloud = await connectHub(t, hub.clientUrl);
  const box = await linkedBox(t, hub.leafUrl, 'box');
  const local = await natsClient(t, box);
  const seen = await answering(await device(t, box), 'line3/valve/set');

  const answer = await local.request('line3.valve.set', 'open', { timeout: TIMEOUT_MS });
  assert.equal(text(answer.data), 'got open');
  assert.equal(answer.headers?.get('by'), 'device');
  const { responseTopic = '', correlationData } = seen[0]?.properties ?? {};
  assert.match(responseTopic, /^_INBOX\/./);
  assert.ok(correlationData && correlationData.length > 0, 'Correlation Data, for devices that need it');

  await waitFor(
    'the interest at the hub',
    async () => (await cloud.request('line3.valve.set', 'x').catch(() => null)) !== null,
  );
  const [first, second] = await Promise.all([
    cloud.request('line3.valve.set', 'a', { timeout: TIMEOUT_MS }),
    cloud.request('line3.valve.set', 'b', { timeout: TIMEOUT_MS }),
  ]);
  assert.deepEqual([text(first.data), text(second.data)], ['got a', 'got b']);
  // Correlation Data of the requester goes there and back as it is.
  const own = headers();
  own.set('Mqtt-Correlation-Data', Buffer.from([0, 255, 1]).toString('base64'));
  const tagged = await cloud.request('line3.valve.set', 'c', { timeout: TIMEOUT_MS, headers: own });
  assert.equal(tagged.headers?.get('Mqtt-Correlation-Data'), 'AP8B');
  assert.deepEqual(seen.at(-1)?.properties?.correlationData, Buffer.from([0, 255, 1]));
});

test("a device's request is answered by a NATS responder, here and in the cloud, and by a device of another box", async (t) => {
  const hub = await startNatsServer(t, { leafnodes: true });
  const cloud = await connectHub(t, hub.clientUrl);
  const box = await linkedBox(t, hub.leafUrl, 'box');
  const local = await natsClient(t, box);
  const asked: Msg[] = [];
  const respond = (by: string) => (_: unknown, message: Msg) => {
    asked.push(message);
    message.respond(`${by} ${text(message.data)}`);
  };
  local.subscribe('sum.local', { callback: respond('local') });
  cloud.subscribe('sum.cloud', { callback: respond('cloud') });
  await Promise.all([local.flush(), cloud.flush()]);
  const client = await device(t, box);
  const got = await responses(client, 'resp/dev1');

  // Until the interest has come down from the hub.
  await waitFor('an answer of the cloud', async () => {
    await client.publishAsync('sum/cloud', '1', { qos: 1, properties: { responseTopic: 'resp/dev1' } });
    return got.length > 0;
  });
  got.splice(0);
  const correlationData = Buffer.from([0, 13, 10, 255]);
  const properties = { responseTopic: 'resp/dev1', correlationData, contentType: 'text/plain' };
  await client.publishAsync('sum/cloud', '2', { qos: 1, properties });
  await client.publishAsync('sum/local', '3', {
    qos: 0,
    properties: { ...properties, correlationData: Buffer.from('x') },
  });
  await waitFor(
    'both answers',
    () =>
      got.some(({ payload }) => `${payload}` === 'local 3') && got.some(({ payload }) => `${payload}` === 'cloud 2'),
  );
  const cloudAnswer = got.find(({ payload }) => `${payload}` === 'cloud 2');
  assert.equal(cloudAnswer?.topic, 'resp/dev1');
  assert.deepEqual(cloudAnswer?.properties?.correlationData, correlationData);
  assert.deepEqual(
    got.find(({ payload }) => `${payload}` === 'local 3')?.properties?.correlationData,
    Buffer.from('x'),
  );
  const request = asked.find(({ subject, data }) => subject === 'sum.cloud' && text(data) === '2');
  assert.equal(request?.headers?.get('Content-Type'), 'text/plain');
  assert.equal(request?.headers?.get('Mqtt-Response-Topic'), 'resp/dev1');

  const other = await linkedBox(t, hub.leafUrl, 'other');
  await answering(await device(t, other), 'far/away');
  got.splice(0);
  await waitFor('an answer of the other box', async () => {
    await client.publishAsync('far/away', '4', { qos: 1, properties });
    return got.length > 0;
  });
  assert.equal(`${got[0]?.payload}`, 'got 4');
  assert.deepEqual(got[0]?.properties?.correlationData, correlationData);
});

test('a 3.1.1 device gets the plain payload, and answers behind $reply/', async (t) => {
  const box = await startBox(t);
  const local = await natsClient(t, box);
  const client = await device(t, box, { protocolVersion: 4 });
  const payloads: string[] = [];
  client.on('message', (topic, payload, packet) => {
    payloads.push(`${payload}`);
    assert.equal(packet.properties, undefined);
    client.publish(`$reply/${topic}`, `ok ${payload}`, { qos: 1 });
  });
  await client.subscribeAsync('relay/+');
  const own = headers();
  own.set('X', 'y');
  const answers = await Promise.all(
    ['1', '2', '3'].map((n) => local.request('relay.a', n, { timeout: TIMEOUT_MS, headers: own })),
  );
  assert.deepEqual(
    answers.map(({ data }) => text(data)),
    ['ok 1', 'ok 2', 'ok 3'],
  );
  assert.deepEqual(payloads, ['1', '2', '3']);
  // Too late, or never asked: acknowledged and counted, as a NATS reply would be, and the client stays.
  await client.publishAsync('$reply/relay/a', 'late', { qos: 1 });
  assert.equal((await box.status()).mqtt.counters.answersLate, 1);
  assert.equal(client.connected, true);
});

test('a user may answer what it was asked, ask where it may receive, and nothing more', async (t) => {
  const password_hash = await hashPassword('secret');
  const box = await startBox(t, {
    config: {
      users: [{ name: 'dev', password_hash, publish: ['sum.>'], subscribe: ['cmd.>', 'resp.{clientid}'] }],
      mqtt: { listeners: [{ listen: '127.0.0.1:0', anonymous: true }] },
    },
  });
  const local = await natsClient(t, box);
  const client = await device(t, box, {
    username: 'dev',
    password: 'secret',
    clientId: 'd1',
    properties: { requestResponseInformation: true },
  });
  await answering(client, 'cmd/x');
  assert.equal(text((await local.request('cmd.x', 'go', { timeout: TIMEOUT_MS })).data), 'got go');
  await assert.rejects(client.publishAsync('_INBOX/some/body', 'no', { qos: 1 }), /Not authorized/);

  // The answer to a request goes to the response topic of the one that asked, and cannot be aimed at others.
  local.subscribe('sum.x', { callback: (_, message) => void message.respond('sum') });
  await local.flush();
  const bystander = await responses(await device(t, box), '#');
  const got = await responses(client, 'resp/d1');
  for (const responseTopic of ['valve/open', 'cmd/y', 'resp/d1']) {
    await client.publishAsync('sum/x', '1', { qos: 1, properties: { responseTopic } });
  }
  await waitFor('the answer', () => got.some(({ topic }) => topic === 'resp/d1'));
  assert.deepEqual(
    bystander.map(({ topic }) => topic),
    ['sum/x', 'sum/x', 'sum/x'],
  );
});

test('a device answers a device by the way of the request, and is no means to publish elsewhere', async (t) => {
  const password_hash = await hashPassword('secret');
  const users = [
    { name: 'asks', password_hash, publish: ['sum.>'], subscribe: ['resp.>', 'valve.>'] },
    { name: 'answers', password_hash, publish: [], subscribe: ['sum.>'] },
  ];
  const box = await startBox(t, { config: { users } });
  const responder = await device(t, box, { username: 'answers', password: 'secret' });
  await answering(responder, 'sum/x');
  const client = await device(t, box, { username: 'asks', password: 'secret' });
  const got = await responses(client, 'resp/+');
  const bystander = await responses(await device(t, box), '#');
  let refused = 0;
  responder.on('packetreceive', (packet) => {
    if (packet.cmd === 'puback' && packet.reasonCode === 0x87) refused++;
  });
  for (const [responseTopic, id] of [
    ['resp/1', 'a'],
    ['resp/1', 'b'],
    ['other/open', 'c'],
    ['valve/open', 'd'],
  ]) {
    const properties = { ...(responseTopic && { responseTopic }), correlationData: Buffer.from(id ?? '') };
    await client.publishAsync('sum/x', id ?? '', { qos: 1, properties });
  }
  await waitFor('the refusal', () => refused > 0);
  await waitFor('both answers', () => got.length === 2);
  assert.deepEqual(
    got.map(({ payload, properties }) => `${payload} ${properties?.correlationData}`),
    ['got a a', 'got b b'],
  );
  assert.deepEqual(
    bystander.map(({ topic }) => topic).filter((topic) => topic !== 'sum/x'),
    [],
  );
});

test('Response Information leads a client to topics of its own', async (t) => {
  const password_hash = await hashPassword('secret');
  const box = await startBox(t, {
    config: { users: [{ name: 'dev', password_hash, publish: ['sum.>'], subscribe: [] }] },
  });
  const local = await natsClient(t, box);
  local.subscribe('sum.x', { callback: (_, message) => void message.respond('sum') });
  await local.flush();
  const asking = { username: 'dev', password: 'secret', properties: { requestResponseInformation: true } };
  const client = mqtt.connect(box.mqttUrl, { protocolVersion: 5, clientId: 'd1', ...asking });
  atEnd(t, () => client.endAsync(true));
  const prefix = await new Promise<string>((resolve) => {
    client.once('connect', ({ properties }) => resolve(properties?.responseInformation ?? ''));
  });
  assert.match(prefix, /^_INBOX\/box\/client-[0-9a-f]{16}\/$/);
  const got = await responses(client, `${prefix}#`);
  await client.publishAsync('sum/x', '1', { qos: 1, properties: { responseTopic: `${prefix}a` } });
  await waitFor('the answer', () => got.length === 1);
  assert.equal(got[0]?.topic, `${prefix}a`);
  const other = await device(t, box, { clientId: 'd2', ...asking });
  await assert.rejects(other.subscribeAsync(`${prefix}#`), /Not authorized|Subscribe error/);
  // Not asked for, not told.
  const quiet = mqtt.connect(box.mqttUrl, { protocolVersion: 5, username: 'dev', password: 'secret' });
  atEnd(t, () => quiet.endAsync(true));
  await new Promise<void>((resolve) => {
    quiet.once('connect', ({ properties }) => {
      assert.equal(properties?.responseInformation, undefined);
      resolve();
    });
  });
});

test('retained values answer NATS requests, here and from the cloud', async (t) => {
  const hub = await startNatsServer(t, { leafnodes: true });
  const cloud = await connectHub(t, hub.clientUrl);
  const box = await linkedBox(t, hub.leafUrl, 'box');
  const local = await natsClient(t, box);
  const sensor = await device(t, box);
  const userProperties = { unit: 'C' };
  for (const n of [1, 2, 3]) {
    await sensor.publishAsync(`line3/temp/${n}`, `${n}`, { qos: 1, retain: true, properties: { userProperties } });
  }
  const one = await local.request('petiole.box.retained.get.line3.temp.2', '', { timeout: TIMEOUT_MS });
  assert.deepEqual(
    [text(one.data), one.headers?.get('Petiole-Subject'), one.headers?.get('unit')],
    ['2', 'line3.temp.2', 'C'],
  );
  assert.equal(text((await local.request('petiole.box.retained.get', 'line3/temp/3')).data), '3');
  assert.equal(text((await local.request('petiole.box.retained.get', 'line3.temp.1')).data), '1');
  assert.equal((await local.request('petiole.box.retained.get.line3.none')).headers?.code, 404);
  assert.equal((await local.request('petiole.box.retained.get', 'a..b')).headers?.code, 400);

  const walk = async (client: NatsConnection, subject: string, payload: string): Promise<string[]> => {
    const values: string[] = [];
    for await (const message of await client.requestMany(subject, payload, {
      strategy: 'sentinel',
      maxWait: TIMEOUT_MS,
    })) {
      values.push(
        message.headers?.code === 204 ? 'end' : `${message.headers?.get('Petiole-Subject')}=${text(message.data)}`,
      );
    }
    return values.sort();
  };
  const all = ['end', 'line3.temp.1=1', 'line3.temp.2=2', 'line3.temp.3=3'];
  assert.deepEqual(await walk(local, 'petiole.box.retained.get.line3.>', ''), all);
  assert.deepEqual(await walk(cloud, 'petiole.box.retained.get', 'line3/#'), all);
});

test('user properties and headers go both ways in order, duplicates kept', async (t) => {
  const box = await startBox(t);
  const local = await natsClient(t, box);
  const client = await device(t, box);
  const heard: Msg[] = [];
  local.subscribe('up.x', { callback: (_, message) => void heard.push(message) });
  await local.flush();
  const properties = { contentType: 'text/csv', payloadFormatIndicator: true, messageExpiryInterval: 60 };
  await client.publishAsync('up/x', '1', { properties: { ...properties, userProperties: { b: ['1', '2'], a: '3' } } });
  await waitFor('the message', () => heard.length === 1);
  const block = heard[0]?.headers;
  assert.deepEqual(block?.values('b'), ['1', '2']);
  assert.deepEqual(block?.values('a'), ['3']);
  assert.deepEqual(
    ['Content-Type', 'Mqtt-Payload-Format', 'Mqtt-Message-Expiry'].map((key) => block?.get(key)),
    ['text/csv', '1', '60'],
  );
  const got = await responses(client, 'down/x');
  const sent = headers();
  sent.set('Content-Type', 'application/json');
  sent.append('k', 'one');
  sent.append('k', 'two');
  local.publish('down.x', '{}', { headers: sent });
  await waitFor('the message', () => got.length === 1);
  assert.equal(got[0]?.properties?.contentType, 'application/json');
  assert.deepEqual({ ...got[0]?.properties?.userProperties }, { k: ['one', 'two'] });
});

test('mosquitto_rr is answered by a NATS program', async (t) => {
  const box = await startBox(t);
  const local = await natsClient(t, box);
  local.subscribe('sum.rr', { callback: (_, message) => void message.respond(`sum of ${text(message.data)}`) });
  await local.flush();
  const asking = new Child('mosquitto_rr', [
    ...['-h', '127.0.0.1', '-p', String(box.mqttPort), '-V', '5', '-W', '20'],
    ...['-t', 'sum/rr', '-e', 'resp/rr', '-m', '1+1', '-q', '1', '-D', 'publish', 'correlation-data', 'c1'],
  ]);
  atEnd(t, async () => void (await asking.kill()));
  assert.deepEqual(await asking.exited, { code: 0, signal: null });
  assert.deepEqual(asking.lines, ['sum of 1+1']);
});
