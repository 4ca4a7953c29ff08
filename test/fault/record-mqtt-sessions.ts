/**
 * `node test/fault/record-mqtt-sessions.ts`: writes test/fixtures/mqtt-sessions.json anew, what real clients say to a
 * broker in ordinary sessions. The broker is mosquitto, so that the fuzzer does not begin with what this box understands.
 */
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { Child } from '../support/child.ts';
import { mosquittoPub, mosquittoSub, startMosquitto, startMosquittoSub } from '../support/mosquitto.ts';
import { readVarint } from '../support/mqtt-packets.ts';
import { freePort } from '../support/ports.ts';
import { Lifetime } from '../support/scope.ts';

const FILE = join(import.meta.dirname, '../fixtures/mqtt-sessions.json');

interface Session {
  client: string;
  version: 4 | 5;
  /** Packets in hexadecimal, in order. */
  packets: string[];
}

const sessions: Session[] = [];
let client = '';

/** Forwards both ways and keeps what the client said. */
function tap(near: Socket, brokerPort: number): void {
  const name = client;
  const far = connect(brokerPort, '127.0.0.1');
  const said: Buffer[] = [];
  near.on('data', (chunk: Buffer) => said.push(chunk));
  near.pipe(far).pipe(near);
  for (const socket of [near, far]) socket.on('error', () => socket.destroy());
  near.on('close', () => {
    const packets = split(Buffer.concat(said));
    const version = packets[0]?.[packets[0].length > 130 ? 9 : 8] === 5 ? 5 : 4;
    sessions.push({ client: name, version, packets: packets.map((packet) => packet.toString('hex')) });
    far.destroy();
  });
}

function split(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = readVarint(bytes, at + 1);
    if (length === null) break;
    packets.push(bytes.subarray(at, length.end + length.value));
    at = length.end + length.value;
  }
  return packets;
}

async function useMosquitto(scope: Lifetime, port: number): Promise<void> {
  for (const version of ['mqttv311', 'mqttv5']) {
    const is5 = version === 'mqttv5';
    const common = ['-V', version, '-i', `m-${version}`];
    for (const qos of ['0', '1', '2']) {
      client = `mosquitto_pub ${version} QoS ${qos}`;
      await mosquittoPub(port, ...common, '-t', `line3/temp/${qos}`, '-m', `21.${qos}`, '-q', qos);
    }
    client = `mosquitto_pub ${version}, retained with a will and a user`;
    const will = ['--will-topic', 'line3/gone', '--will-payload', 'gone', '--will-qos', '1', '--will-retain'];
    await mosquittoPub(
      port,
      ...common,
      ...will,
      '-u',
      'u',
      '-P',
      'p',
      '-r',
      '-t',
      'line3/state',
      '-m',
      'on',
      '-q',
      '1',
    );
    client = `mosquitto_sub ${version}`;
    const filters = ['-t', 'line3/#', '-t', '+/cmd/+', '-t', '$SYS/broker/uptime', '-U', 'nothing/here'];
    const options = is5 ? ['-x', '60', '-D', 'subscribe', 'user-property', 'k', 'v'] : [];
    const sub = await startMosquittoSub(
      scope,
      port,
      '-V',
      version,
      '-i',
      `s-${version}`,
      '-c',
      '-q',
      '2',
      ...filters,
      ...options,
    );
    const name = client;
    for (const qos of ['0', '1', '2']) {
      client = 'helper';
      await mosquittoPub(port, '-V', version, '-t', 'line3/cmd/valve', '-m', 'open', '-q', qos);
    }
    client = name;
    await sub.stop();
    client = `mosquitto_sub ${version}, retained`;
    await mosquittoSub(port, '-V', version, '-t', 'line3/state', '-C', '1', '-k', '10');
  }
  client = 'mosquitto_pub mqttv5 with properties';
  const properties = [
    ...['-D', 'connect', 'receive-maximum', '20', '-D', 'connect', 'maximum-packet-size', '100000'],
    ...['-D', 'connect', 'user-property', 'site', 'north', '-D', 'connect', 'request-problem-information', '1'],
    ...['-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'response-topic', 'answers/1'],
    ...['-D', 'publish', 'correlation-data', 'abc', '-D', 'publish', 'message-expiry-interval', '60'],
    ...['-D', 'publish', 'payload-format-indicator', '1', '-D', 'publish', 'user-property', 'unit', 'C'],
    ...['-D', 'publish', 'topic-alias', '3', '-D', 'disconnect', 'user-property', 'why', 'done'],
  ];
  await mosquittoPub(port, '-V', 'mqttv5', '-i', 'props', '-t', 'line3/p', '-m', '1', '-q', '1', ...properties);
  client = 'mosquitto_rr mqttv5';
  const request = ['-t', 'line3/ask', '-e', 'answers/rr', '-m', 'ping', '-W', '2', '-q', '1'];
  const asking = new Child('mosquitto_rr', ['-h', '127.0.0.1', '-p', String(port), ...request]);
  await asking.exited;
}

async function useMqttJs(port: number): Promise<void> {
  for (const protocolVersion of [4, 5] as const) {
    const is5 = protocolVersion === 5;
    client = `mqtt.js ${protocolVersion}`;
    const js = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      protocolVersion,
      clientId: `js-${protocolVersion}`,
      clean: false,
      username: 'u',
      password: 'p',
      keepalive: 30,
      will: {
        topic: 'js/gone',
        payload: Buffer.from('gone'),
        qos: 2,
        retain: false,
        ...(is5 && { properties: { willDelayInterval: 5, contentType: 'text/plain', userProperties: { a: 'b' } } }),
      },
      ...(is5 && {
        properties: { sessionExpiryInterval: 100, topicAliasMaximum: 5, requestResponseInformation: true },
      }),
    });
    const user = { userProperties: { x: ['1', '2'] } };
    const properties = is5 ? { properties: { subscriptionIdentifier: 300, ...user } } : {};
    await js.subscribeAsync({ 'js/#': { qos: 2, ...(is5 && { nl: false, rap: true, rh: 1 }) } }, properties as object);
    await js.subscribeAsync('$share/group/js/+', { qos: 1 });
    for (const qos of [0, 1, 2] as const) await js.publishAsync(`js/${qos}`, 'x'.repeat(20 * qos), { qos });
    await js.publishAsync('js/big', 'y'.repeat(500), { qos: 1, retain: true });
    await js.publishAsync('js/big', '', { qos: 2, retain: true });
    await js.unsubscribeAsync(['js/#', '$share/group/js/+'], (is5 ? { properties: user } : {}) as object);
    await js.endAsync(false, is5 ? { reasonCode: 4, properties: { sessionExpiryInterval: 1 } } : {});
  }
}

await using life = new Lifetime();
const broker = await startMosquitto(life);
const port = await freePort();
const server = createServer((near) => tap(near, broker.port));
await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
await useMosquitto(life, port);
await useMqttJs(port);
server.close();
sessions.sort((a, b) => a.client.localeCompare(b.client));
const kept = sessions.filter(({ client: name, packets }) => name !== 'helper' && packets.length > 1);
writeFileSync(FILE, `${JSON.stringify(kept, null, 2)}\n`);
console.log(
  kept.map(({ client: name, version, packets }) => `${name}: version ${version}, ${packets.length} packets`).join('\n'),
);
