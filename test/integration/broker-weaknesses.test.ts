import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Authenticator } from '../../src/core/authenticator.ts';
import type { UserRules } from '../../src/core/users.ts';
import { type Box, startBox } from '../support/box.ts';
import { Authority } from '../support/certificates.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { RestartingEdge, startEdge } from '../support/mqtt-edge.ts';
import { leave, pubrec, QOS_2, resume } from '../support/mqtt-exchanges.ts';
import {
  connectPacket,
  packet,
  pubackPacket,
  publishPacket,
  raw,
  subackPacket,
  subscribePacket,
  u16,
  varint,
} from '../support/mqtt-packets.ts';
import { connectWire, openWire } from '../support/mqtt-wire.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';

/*
 * Classes of weakness that other brokers have had to publish advisories for, one test each, named after the class. The
 * details of each class are tested where its code is; here the class as a whole meets the box.
 */

function residentMiB(box: Box): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${box.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

async function expectServing(t: Parameters<typeof connectWire>[0], box: Box): Promise<void> {
  const wire = await connectWire(t, box.mqttPorts[0] ?? 0, {
    version: 5,
    clientId: `good-${randomBytes(4).toString('hex')}`,
  });
  wire.send(publishPacket({ version: 5, topic: 'good', id: 1 }));
  await wire.expect(pubackPacket(1));
  wire.reset();
}

test('pre-auth memory exhaustion: giant lengths, no CONNECT, and slow connections', async (t) => {
  const box = await startBox(t, { config: { mqtt: { listeners: [{ listen: '127.0.0.1:0' }], connections_max: 600 } } });
  const port = box.mqttPorts[0] ?? 0;
  await expectServing(t, box);
  const before = residentMiB(box);
  for (const first of [0x10, 0x30, 0x82, 0xf0]) {
    const wire = await openWire(t, port);
    wire.send(Buffer.concat([Buffer.of(first), Buffer.of(0xff, 0xff, 0xff, 0x7f)]));
    await wire.expectClosed();
  }
  // 500 that claim a large CONNECT and send a kilobyte of it each: what is held is what has come.
  const slow = await Promise.all(Array.from({ length: 500 }, () => openWire(t, port, 'slow')));
  for (const wire of slow) wire.send(Buffer.of(0x10), varint(16_000), Buffer.alloc(1024));
  await expectServing(t, box);
  const grown = residentMiB(box) - before;
  assert.ok(grown < 40, `${Math.round(grown)} MiB for 500 slow connections`);
  for (const wire of slow) wire.reset();
});

/** After the advisories named in the field notes. */
const killers: Readonly<Record<string, Buffer[]>> = {
  'topic of length 0 (as CVE-2021-34432)': [connectPacket({ version: 5 }), packet(0x30, '', 0, raw('x'))],
  'a CONNACK to the broker (as CVE-2021-28166)': [connectPacket({ version: 5 }), packet(0x20, 0, 0)],
  'a CONNACK as the first packet': [packet(0x20, 0, 0)],
  'an empty packet of every type': Array.from({ length: 16 }, (_, type) => Buffer.of(type << 4, 0)),
  'a SUBSCRIBE that ends in its filter': [connectPacket({}), packet(0x82, u16(1), u16(500), 0x61)],
  'an UNSUBSCRIBE of nothing': [connectPacket({}), packet(0xa2)],
  'a PUBLISH of one byte': [connectPacket({}), Buffer.of(0x32, 1, 0)],
  'a CONNECT of nothing': [packet(0x10)],
  'a property length beyond all': [packet(0x10, 'MQTT', 5, 2, u16(0), Buffer.of(0xff, 0xff, 0xff, 0x7f))],
};

test('malformed packet crash', async (t) => {
  const box = await startBox(t, {
    config: {
      mqtt: { listeners: [{ listen: '127.0.0.1:0' }, { listen: '127.0.0.1:0', websocket: { path: '/mqtt' } }] },
    },
  });
  for (const [what, packets] of Object.entries(killers)) {
    const wire = await openWire(t, box.mqttPorts[0] ?? 0, what);
    wire.send(...packets);
    await waitFor(`the end after ${what}`, () => wire.closed);
  }
  // Over WebSocket the length is said twice: by the frame and by the packet (as CVE-2026-25627).
  const socket = new WebSocket(`ws://127.0.0.1:${box.mqttPorts[1]}/mqtt`, ['mqtt']);
  await once(socket, 'open');
  socket.send(Buffer.concat([Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f), raw('MQTT')]));
  await once(socket, 'close');
  await expectServing(t, box);
  assert.ok(box.running);
});

test('QoS 2 and session state leaks', async (t) => {
  const edge = await new RestartingEdge(t).start({ inflightMax: 5, sessionsMax: 4, connectionsMax: 50 });
  // Exchanges that are never released: no more than the Receive Maximum, then the end.
  const five = await edge.connect(5, 'five');
  for (let id = 1; id <= 5; id++) five.send(publishPacket({ version: 5, topic: 'q', id, flags: QOS_2 }));
  await five.expect(...[1, 2, 3, 4, 5].map((id) => pubrec(id)));
  five.send(publishPacket({ version: 5, topic: 'q', id: 6, flags: QOS_2 }));
  await five.expectDisconnect(0x93);
  // Sessions that nobody comes back for: no more than the bound, and those who keep none are served.
  let refused = 0;
  for (let i = 0; i < 8; i++) {
    const wire = await edge.open();
    wire.send(connectPacket({ version: 4, clientId: `leak ${i}`, clean: false }));
    const connack = await wire.next('CONNACK');
    if (connack[3] !== 0) refused++;
    wire.reset();
  }
  await waitFor('all to be gone', () => edge.status.clients.length === 0);
  assert.ok((edge.status.sessions?.count ?? 99) <= 4, `${edge.status.sessions?.count} sessions`);
  assert.ok(refused > 0 || edge.status.sessions?.count === 4);
  await edge.expectServing();
});

const passwordless = { passwordHash: null };
const press: UserRules = {
  ...passwordless,
  name: 'press',
  certificate: 'press',
  publish: ['press.>'],
  subscribe: ['press.>'],
};

test('ACL bypass: $-topics, wildcards, a will without a check, retained and queued after a right is revoked', async (t) => {
  const { hashPassword } = await import('../../src/core/password.ts');
  const passwordHash = await hashPassword('secret');
  const line3: UserRules = {
    name: 'line3',
    passwordHash,
    certificate: null,
    publish: ['line3.>'],
    subscribe: ['line3.>'],
  };
  const admin: UserRules = { ...line3, name: 'admin', publish: ['>'], subscribe: ['>'] };
  const listeners = [{ host: '127.0.0.1', port: 0, anonymous: false }];
  const box = new RestartingEdge(t);
  const as = (username: string) => ({ username, password: 'secret' });
  const start = (rules: UserRules[]) => ({ authenticator: new Authenticator(rules) });
  let edge = await box.start({ listeners }, start([line3, admin]));
  const heard = edge.listen('>');
  const wire = await edge.connect(5, 'c', as('line3'));
  // Topics that might become a wildcard or a system subject on their way to a NATS subject.
  const random = new SeededRandom(7);
  const parts = [
    'line3',
    'line3.',
    '*',
    '>',
    '.',
    '..',
    '$SYS',
    '$JS',
    '_INBOX',
    ' ',
    '%2A',
    'a',
    '',
    'LINE3',
    'line4',
  ];
  const any = () => parts[Math.floor(random.between(0, parts.length))] ?? '';
  for (let i = 0; i < 400; i++) {
    const topic = Array.from({ length: 1 + Math.floor(random.between(0, 4)) }, any).join('/');
    if (topic !== '') wire.send(publishPacket({ version: 5, topic }));
  }
  await wire.expectQuiet();
  assert.ok(heard.length > 10, 'some are its own');
  assert.deepEqual(
    heard.filter(({ subject }) => !subject.startsWith('line3.')),
    [],
  );
  for (const filter of ['#', '+/x', '$share/g/#', '$SYS/#', '$JS/#', 'line4/#', '+/#', 'line3+/#']) {
    wire.send(subscribePacket(5, 9, [[filter, 0]]));
    assert.ok(((await wire.next(filter))[5] ?? 0) >= 0x80 || filter === '$SYS/#', filter);
  }
  const doomed = await edge.open();
  doomed.send(connectPacket({ version: 5, clientId: 'w', ...as('line3'), will: { topic: 'line4/will' } }));
  assert.equal((await doomed.connAck()).reasonCode, 0x87);
  // A session with a subscription, a retained message; then the right is taken away.
  const { wire: keeper } = await resume(edge, 5, 'keeper', as('line3'));
  keeper.send(subscribePacket(5, 1, [['line3/secret', 1]]));
  await keeper.expect(subackPacket(5, 1, 1));
  await leave(edge, keeper);
  const boss = await edge.connect(5, 'boss', as('admin'));
  boss.send(publishPacket({ version: 5, topic: 'line3/secret', id: 1, flags: 0x01, payload: 'secret' }));
  await boss.expect(pubackPacket(1));
  edge = await box.restart({ listeners }, start([{ ...line3, subscribe: ['line3.public'] }, admin]));
  const { wire: back } = await resume(edge, 5, 'keeper', as('line3'));
  const boss2 = await edge.connect(5, 'boss', as('admin'));
  boss2.send(publishPacket({ version: 5, topic: 'line3/secret', id: 1, payload: 'newer' }));
  await boss2.expect(pubackPacket(1));
  back.send(subscribePacket(5, 2, [['line3/secret', 1]]));
  await back.expect(subackPacket(5, 2, 0x87));
  await back.expectQuiet();
});

test('compression bomb and handshake panic', async (t) => {
  const listeners = [{ host: '127.0.0.1', port: 0, anonymous: true, websocket: { path: '/mqtt' } }];
  const edge = await startEdge(t, { listeners });
  const offering = new WebSocket(`ws://127.0.0.1:${edge.port}/mqtt`, ['mqtt'], { perMessageDeflate: true });
  await once(offering, 'open');
  assert.equal(offering.extensions, '', 'compression is not agreed on, so there is nothing to expand');
  offering.terminate();
  const upgrade = [
    'GET /mqtt HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
  ].join('');
  const frames = {
    'a compressed frame': Buffer.of(0xc2, 0x84, 0, 0, 0, 0, 1, 2, 3, 4),
    'a frame of 2^63 bytes': Buffer.of(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
    'a frame without a mask': Buffer.of(0x82, 0x04, 1, 2, 3, 4),
    'a reserved opcode': Buffer.of(0x83, 0x80, 0, 0, 0, 0),
    'a continuation of nothing': Buffer.of(0x80, 0x80, 0, 0, 0, 0),
    'a ping of 200 bytes': Buffer.concat([Buffer.of(0x89, 0xfe, 0, 200, 0, 0, 0, 0), Buffer.alloc(200)]),
  };
  for (const [what, frame] of Object.entries(frames)) {
    const socket = connect(edge.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(Buffer.concat([raw(upgrade), frame]));
    await Promise.race([once(socket, 'close'), once(socket, 'end')]).catch(() => assert.fail(what));
    socket.destroy();
  }
  const good = new WebSocket(`ws://127.0.0.1:${edge.port}/mqtt`, ['mqtt']);
  await once(good, 'open');
  good.send(connectPacket({ version: 4 }));
  const [connack] = (await once(good, 'message')) as [Buffer];
  assert.equal(connack[0], 0x20);
  good.terminate();
});

test('auth fast-path bypass: no listener lets anybody in without a login', async (t) => {
  const authority = new Authority(t);
  const stranger = new Authority(t).issue('press', 'DNS:press');
  const { cert, key } = authority.issue('localhost', 'IP:127.0.0.1,DNS:localhost');
  const tls = { cert, key, ca: authority.ca, clientCertificates: 'optional' as const };
  const base = { host: '127.0.0.1', port: 0, anonymous: false };
  const edge = await startEdge(
    t,
    {
      listeners: [
        base,
        { ...base, tls },
        { ...base, websocket: { path: '/mqtt' } },
        { ...base, websocket: { path: '/mqtt' }, tls },
      ],
    },
    [press],
  );
  const ports = edge.status.listeners.map(({ port }) => port);
  for (const fields of [
    {},
    { username: 'press' },
    { username: 'press', password: '' },
    { username: '', password: '' },
  ]) {
    const wire = await openWire(t, ports[0] ?? 0);
    wire.send(connectPacket({ version: 5, clientId: 'c', ...fields }), publishPacket({ version: 5, topic: 'press/x' }));
    assert.ok([0x86, 0x87].includes((await wire.connAck()).reasonCode), JSON.stringify(fields));
    await wire.expectClosed();
  }
  const heard = edge.listen('press.>');
  const over = (...args: string[]) =>
    mosquittoPub(ports[1] ?? 0, '-V', 'mqttv5', '--cafile', authority.ca, '-t', 'press/x', '-m', 'x', ...args);
  assert.notEqual((await over()).code, 0, 'TLS alone is no login');
  assert.notEqual(
    (await over('--cert', stranger.cert, '--key', stranger.key)).code,
    0,
    'the same name of another authority',
  );
  for (const [port, scheme] of [
    [ports[2], 'ws'],
    [ports[3], 'wss'],
  ] as const) {
    const socket = new WebSocket(`${scheme}://127.0.0.1:${port}/mqtt`, ['mqtt'], { ca: readFileSync(authority.ca) });
    await once(socket, 'open');
    socket.send(connectPacket({ version: 4, clientId: 'c' }));
    const [connack] = (await once(socket, 'message')) as [Buffer];
    assert.equal(connack[3], 5, scheme);
    socket.terminate();
  }
  assert.deepEqual(heard, []);
});

test('web page: no default login, no request of another site, no script in a name', async (t) => {
  const box = await startBox(t);
  const hostile = '"></script><script>alert(1)</script><img src=x onerror=alert(2)>';
  const wire = await connectWire(t, box.mqttPort, { version: 5, clientId: hostile });
  wire.send(publishPacket({ version: 5, topic: hostile.replaceAll('+', ''), id: 1 }));
  await wire.next('PUBACK');
  const page = await fetch(`${box.statusUrl}/`);
  const policy = page.headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'none'/);
  assert.ok(!policy.includes('unsafe-inline') && !policy.includes('unsafe-eval'), policy);
  assert.ok(!(await page.text()).includes('<script>alert'), 'a name is text');
  const status = await fetch(`${box.statusUrl}/status.json`);
  assert.match(status.headers.get('content-type') ?? '', /^application\/json/);
  assert.equal(status.headers.get('x-content-type-options'), 'nosniff');
  const crossSite = { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://evil.example' };
  for (const path of ['/status.json', '/api/events']) {
    assert.ok((await fetch(`${box.statusUrl}${path}`, { headers: crossSite })).status >= 400, path);
  }
  for (const authorization of ['admin:admin', 'admin:public', 'admin:hivemq', 'admin:', 'petiole:petiole']) {
    const headers = {
      Authorization: `Basic ${Buffer.from(authorization).toString('base64')}`,
      'Content-Type': 'application/json',
    };
    for (const path of ['/', '/control', '/api/v1/pause', '/status.json']) {
      const answer = await fetch(`${box.statusUrl}${path}`, { method: 'POST', headers, body: '{}' });
      assert.ok(answer.status >= 400, `${authorization} ${path}: ${answer.status}`);
    }
  }
});
