import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import mqtt, { type IPublishPacket } from 'mqtt';
import { Child } from '../support/child.ts';
import { type ClientBox, ClientMatrix, startClientBox } from '../support/client-box.ts';
import { atEnd, Lifetime, type Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/* MQTT.js, the paho client of Python and libmosquitto, each in both versions over every transport that it has. */

const CLIENTS = join(import.meta.dirname, '../clients');
const versions = ['3.1.1', '5.0'] as const;
const CLIENT_TIMEOUT_MS = 60_000;

const matrix = new ClientMatrix();
const life = new Lifetime();
let box: ClientBox;
before(async () => {
  box = await startClientBox(life);
});
after(() => {
  for (const line of matrix.lines()) console.log(line);
  return life.end();
});

/** Runs a client to its end: it says line by line what it did. */
async function drive(name: string, version: string, transport: string, command: string, args: string[]): Promise<void> {
  const child = new Child(command, args);
  const timer = setTimeout(() => child.signal('SIGKILL'), CLIENT_TIMEOUT_MS);
  const { code } = await child.exited;
  clearTimeout(timer);
  assert.equal(code, 0, child.lines.join('\n'));
  for (const line of child.lines) {
    const did = line.startsWith('{') ? (JSON.parse(line) as { did?: string }).did : line.replace(/^did /, '');
    matrix.did(name, version, transport, (did ?? '').replace(/ (reader|writer|late)-.*/, ''));
  }
  assert.match(child.lines.at(-1) ?? '', /done/);
}

for (const version of versions) {
  test(`paho of Python, ${version}`, async () => {
    const program = join(CLIENTS, 'paho-client.py');
    const ways = [
      ['TCP', box.tcp, 'tcp', '-'],
      ['TLS', box.tls, 'tcp', box.authority.ca],
      ['WebSocket', box.ws, 'websockets', '-'],
      ['WebSocket over TLS', box.wss, 'websockets', box.authority.ca],
    ] as const;
    for (const [transport, port, kind, authority] of ways) {
      const args = [program, 'localhost', String(port), version, kind, authority];
      // Not `localhost` where that is ::1 first: the box listens on 127.0.0.1 alone.
      args[1] = '127.0.0.1';
      await drive('paho (Python)', version, transport, '/usr/bin/python3', args);
    }
  });

  test(`a C program with libmosquitto, ${version}`, async (t) => {
    const program = join(tempDir(t, 'c'), 'client');
    const source = join(CLIENTS, 'mosquitto-client.c');
    execFileSync('gcc', ['-std=c11', '-Wall', '-Wextra', '-Werror', '-O1', '-o', program, source, '-lmosquitto']);
    await drive('libmosquitto (C)', version, 'TCP', program, ['127.0.0.1', String(box.tcp), version, '-']);
    await drive('libmosquitto (C)', version, 'TLS', program, ['127.0.0.1', String(box.tls), version, box.authority.ca]);
  });

  for (const transport of ['TCP', 'TLS', 'WebSocket', 'WebSocket over TLS'] as const) {
    test(`MQTT.js, ${version} over ${transport}`, async (t) => {
      const did = (what: string) => matrix.did('MQTT.js', version, transport, what);
      const is5 = version === '5.0';
      const prefix = `js/${version}/${transport.replaceAll(' ', '-')}`;
      const reader = await connect(t, version, transport, `reader-${prefix}`);
      const packets: IPublishPacket[] = [];
      reader.on('message', (_topic, _payload, packet) => packets.push(packet));
      const [granted] = await reader.subscribeAsync(`${prefix}/#`, {
        qos: 2,
        ...(is5 && {
          nl: true,
          rap: true,
          rh: 0,
          properties: { subscriptionIdentifier: 300, userProperties: { k: 'v' } },
        }),
      });
      assert.equal(granted?.qos, 2);
      did('connect, subscribe');

      const writer = await connect(t, version, transport, `writer-${prefix}`, {
        will: {
          topic: `${prefix}/will`,
          payload: Buffer.from('gone'),
          qos: 2,
          retain: false,
          ...(is5 && { properties: { contentType: 'text/will', userProperties: { why: 'power' } } }),
        },
        reconnectPeriod: 50,
      });
      const properties = {
        contentType: 'application/json',
        responseTopic: 'answers',
        correlationData: Buffer.of(0, 1, 255),
        messageExpiryInterval: 600,
        payloadFormatIndicator: true,
        userProperties: { list: ['1', '2'], one: 'x' },
      };
      for (const qos of [0, 1, 2] as const) {
        const options = { qos, ...(is5 && { properties }) };
        await Promise.all(
          Array.from({ length: 20 }, (_, i) => writer.publishAsync(`${prefix}/${qos}`, `${i}`, options)),
        );
        await waitFor('all of them', () => packets.length === 20);
        const seen = packets.splice(0);
        assert.deepEqual(
          seen.map(({ payload }) => Number(`${payload}`)),
          Array.from({ length: 20 }, (_, i) => i),
        );
        assert.ok(seen.every((packet) => packet.qos === qos));
        if (!is5) continue;
        const { subscriptionIdentifier, userProperties, ...rest } = seen[0]?.properties ?? {};
        const { userProperties: sentUser, ...sentRest } = properties;
        assert.equal(subscriptionIdentifier, 300);
        assert.deepEqual({ ...userProperties }, sentUser);
        assert.deepEqual({ ...rest }, sentRest);
      }
      did('QoS 0, 1 and 2 in order');
      if (is5) did('properties both ways');

      await writer.publishAsync(`${prefix}/kept`, 'kept', { qos: 2, retain: true });
      const late = await connect(t, version, transport, `late-${prefix}`);
      const kept = new Promise<IPublishPacket>((resolve) =>
        late.on('message', (_topic, _payload, packet) => resolve(packet)),
      );
      await late.subscribeAsync(`${prefix}/kept`, { qos: 1 });
      assert.equal((await kept).retain, true);
      await late.unsubscribeAsync(`${prefix}/kept`);
      await late.endAsync();
      await writer.publishAsync(`${prefix}/kept`, '', { qos: 1, retain: true });
      did('retain, unsubscribe, disconnect');

      await waitFor('both of it', () => packets.length === 2);
      packets.length = 0;
      writer.stream.destroy();
      await waitFor('the will', () => packets.length === 1);
      assert.equal(`${packets[0]?.payload}`, 'gone');
      if (is5) assert.deepEqual({ ...packets[0]?.properties?.userProperties }, { why: 'power' });
      await waitFor('its return', () => writer.connected);
      packets.length = 0;
      await writer.publishAsync(`${prefix}/back`, 'back', { qos: 2 });
      await waitFor('what it says then', () => packets.length === 1);
      did('will, reconnect');
    });
  }
}

async function connect(
  scope: Scope,
  version: (typeof versions)[number],
  transport: string,
  clientId: string,
  more: mqtt.IClientOptions = {},
): Promise<mqtt.MqttClient> {
  const urls: Record<string, string> = {
    TCP: `mqtt://127.0.0.1:${box.tcp}`,
    TLS: `mqtts://127.0.0.1:${box.tls}`,
    WebSocket: `ws://127.0.0.1:${box.ws}/mqtt`,
    'WebSocket over TLS': `wss://127.0.0.1:${box.wss}/mqtt`,
  };
  const ca = readFileSync(box.authority.ca);
  const client = await mqtt.connectAsync(urls[transport] ?? '', {
    protocolVersion: version === '5.0' ? 5 : 4,
    clientId,
    username: 'line3',
    password: 'secret',
    reconnectPeriod: 0,
    ca,
    wsOptions: { ca },
    ...more,
  });
  atEnd(scope, () => client.endAsync(true));
  return client;
}
