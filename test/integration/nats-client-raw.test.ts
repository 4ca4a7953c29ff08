import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Message, NO_HEADERS } from '../../src/core/message.ts';
import { KIB, startClientPort } from '../support/client-port.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait-for.ts';

const live = (subject: string, payload: Buffer, headers = NO_HEADERS): Message => ({
  subject,
  reply: '',
  headers,
  payload,
  receivedAtMs: Date.now(),
  origin: { kind: 'box', name: 'test' },
});

test('INFO comes first and says what the port can do', async (t) => {
  const { open, port } = await startClientPort(t);
  const client = await open();
  const line = await client.until('}\r\n');
  const info = JSON.parse(line.replace(/^INFO /, ''));
  assert.equal(info.port, port.addresses[0]?.port);
  assert.equal(info.proto, 1);
  assert.equal(info.headers, true);
  assert.equal(info.jetstream, false);
  assert.equal(info.max_payload, 64 * KIB);
  assert.equal(info.client_ip, '127.0.0.1');
  assert.match(info.version, /^2\.\d+\.\d+$/);
  assert.equal('ldm' in info, false);
});

test('verbose: each operation is confirmed; before CONNECT a client is taken as verbose', async (t) => {
  const { open } = await startClientPort(t);
  const client = await open();
  await client.until('}\r\n');
  assert.equal(await client.answers('SUB a 1'), '+OK\r\n');
  assert.equal(await client.answers('CONNECT {"verbose":true}'), '+OK\r\n');
  assert.equal(await client.answers('SUB b 2', 'UNSUB 2'), '+OK\r\n+OK\r\n');
  assert.equal(await client.answers('PUB a 2', 'hi'), '+OK\r\nMSG a 1 2\r\nhi\r\n');
  assert.equal(await client.answers('CONNECT {"verbose":false}', 'SUB c 3'), '');
});

test('MSG and HMSG as a server writes them; who takes no headers gets the payload', async (t) => {
  const { open } = await startClientPort(t);
  const client = await (await open()).connect();
  const old = await (await open()).connect({ headers: false, no_responders: false });
  for (const each of [client, old]) assert.equal(await each.answers('SUB a.> 7'), '');
  assert.equal(await client.answers('PUB a.b r.s 2', 'hi'), 'MSG a.b 7 r.s 2\r\nhi\r\n');
  const block = 'NATS/1.0\r\nA: b\r\n\r\n';
  const hmsg = `HMSG a.c 7 18 20\r\n${block}hi\r\n`;
  assert.equal(await client.answers('HPUB a.c 18 20', `${block}hi`), hmsg);
  assert.equal(await old.answers(), 'MSG a.b 7 r.s 2\r\nhi\r\nMSG a.c 7 2\r\nhi\r\n');
  old.send('HPUB a 18 18', block);
  assert.match(await old.end(), /-ERR 'message headers not supported'\r\n$/);
});

test('echo off, UNSUB with a count, a sid in use, and queue groups', async (t) => {
  const { open, router } = await startClientPort(t);
  const quiet = await (await open()).connect({ echo: false });
  assert.equal(await quiet.answers('SUB e 1', 'PUB e 1', 'x'), '');
  const client = await (await open()).connect();
  assert.equal(await client.answers('PUB e 1', 'y'), '');
  assert.equal(await quiet.answers(), 'MSG e 1 1\r\ny\r\n');
  // Counted from the SUB.
  assert.equal(await client.answers('SUB m 5', 'PUB m 1', '1', 'UNSUB 5 2'), 'MSG m 5 1\r\n1\r\n');
  assert.equal(await client.answers('PUB m 1', '2', 'PUB m 1', '3'), 'MSG m 5 1\r\n2\r\n');
  assert.equal(await client.answers('SUB m 6', 'PUB m 1', '4', 'UNSUB 6 1', 'PUB m 1', '5'), 'MSG m 6 1\r\n4\r\n');
  assert.equal(await client.answers('SUB d 9', 'SUB other 9', 'PUB other 1', 'x'), '');
  assert.equal(await quiet.answers('SUB q g 2'), '');
  assert.equal(await client.answers('SUB q g 3'), '');
  const before = router.subscriptions;
  for (let i = 0; i < 10; i++) router.publish(live('q', Buffer.from('z')));
  const got = [await quiet.answers(), await client.answers()].map((text) => text.split('MSG q').length - 1);
  assert.deepEqual(got, [5, 5]);
  client.socket.destroy();
  await waitFor('its subscriptions to go', () => router.subscriptions === before - 2);
});

test('no responders: 503 on the inbox of the client that asked for it, and for nobody else', async (t) => {
  const { open } = await startClientPort(t);
  const client = await (await open()).connect();
  const monitor = await (await open()).connect();
  const plain = await (await open()).connect({ no_responders: false });
  assert.equal(await monitor.answers('SUB _INBOX.> 1'), '');
  assert.equal(
    await client.answers('SUB _INBOX.x.* 4', 'PUB nobody _INBOX.x.1 0', ''),
    'HMSG _INBOX.x.1 4 16 16\r\nNATS/1.0 503\r\n\r\n\r\n',
  );
  assert.equal(await plain.answers('SUB _INBOX.y.* 4', 'PUB nobody _INBOX.y.1 0', ''), '');
  assert.equal(await monitor.answers(), '');
  const bad = await open();
  await bad.until('}\r\n');
  bad.send('CONNECT {"no_responders":true}');
  assert.match(await bad.end(), /^-ERR 'no responders requires headers support'\r\n$/);
});

test('$SYS.REQ.USER.INFO is answered by the box', async (t) => {
  const { open } = await startClientPort(t);
  const client = await (await open()).connect();
  const text = await client.answers('SUB _INBOX.x 1', 'PUB $SYS.REQ.USER.INFO _INBOX.x 0', '');
  const { data, server } = JSON.parse(text.split('\r\n')[1] ?? '');
  assert.deepEqual(data, { user: '', account: '$G' });
  assert.equal(server.name, 'box');
});

const kept: [what: string, lines: string[], error: string][] = [
  ['an empty token', ['PUB a..b 0', ''], 'Invalid Publish Subject'],
  ['a bad filter', ['SUB a.>.b 1'], 'Invalid Subject'],
  ['a reserved filter', ['SUB $LDS.x 1'], 'Permissions Violation for Subscription to "$LDS.x" (sid "1")'],
  [
    'the queue of the system',
    ['SUB a _sys_ 1'],
    'Permissions Violation for Subscription to "a" using queue "_sys_" (sid "1")',
  ],
  ['a reserved subject', ['PUB $GR.x 0', ''], 'Permissions Violation for Publish to "$GR.x"'],
  ['a reserved reply', ['PUB a $JS.ACK.x 0', ''], 'Permissions Violation for Publish with Reply of "$JS.ACK.x"'],
  ['a deep filter', [`SUB ${'a.'.repeat(40)}b 1`], 'subject has exceeded number of tokens limit'],
];

for (const [what, lines, error] of kept) {
  test(`refused and the connection stays: ${what}`, async (t) => {
    const { open } = await startClientPort(t);
    const client = await (await open()).connect();
    assert.equal(await client.answers(...lines), `-ERR '${error}'\r\n`);
    assert.equal(await client.answers('SUB ok 2', 'PUB ok 1', 'x'), 'MSG ok 2 1\r\nx\r\n');
  });
}

test('a subject with wildcards is published literally; a pedantic client is told', async (t) => {
  const { open } = await startClientPort(t);
  const client = await (await open()).connect();
  const pedantic = await (await open()).connect({ pedantic: true });
  assert.equal(await client.answers('SUB a.> 1', 'PUB a.*.> 1', 'x'), 'MSG a.*.> 1 1\r\nx\r\n');
  assert.equal(await pedantic.answers('PUB a.* 1', 'y'), `-ERR 'Invalid Publish Subject'\r\n`);
  assert.equal(await client.answers(), 'MSG a.* 1 1\r\ny\r\n');
});

const ending: [what: string, bytes: string, error: string][] = [
  ['another protocol', 'GET / HTTP/1.1\r\n', 'Unknown Protocol Operation'],
  ['a payload that is too large', `PUB a ${64 * KIB + 1}\r\n`, 'Maximum Payload Violation'],
  ['a long control line', 'x'.repeat(1024 * KIB), 'maximum control line exceeded'],
  ['headers that are none', 'HPUB a 4 4\r\nabcd\r\n', 'Unknown Protocol Operation'],
  ['CONNECT without JSON', 'CONNECT {\r\n', 'Parser Error'],
  ['an unknown protocol version', 'CONNECT {"protocol":2}\r\n', 'invalid client protocol'],
];

for (const [what, bytes, error] of ending) {
  test(`ends the connection, and no other: ${what}`, async (t) => {
    const { open, port } = await startClientPort(t);
    const other = await (await open()).connect();
    const client = await (await open()).connect();
    client.socket.write(bytes);
    assert.equal(await client.end(), `-ERR '${error}'\r\n`);
    assert.equal(await other.answers('SUB a 1', 'PUB a 1', 'x'), 'MSG a 1 1\r\nx\r\n');
    await waitFor('one connection', () => port.status().listeners[0]?.connections === 1);
  });
}

test('limits: connections, subscriptions, the time to CONNECT, and PINGs without an answer', async (t) => {
  const limits = { connectionsMax: 2, subscriptionsMax: 2, connectTimeoutMs: 150, pingIntervalMs: 100 };
  const { open, port } = await startClientPort(t, limits);
  const client = await (await open()).connect();
  const silent = await open();
  const surplus = await open();
  assert.match(await surplus.end(), /^INFO .*\r\n-ERR 'maximum connections exceeded'\r\n$/);
  assert.equal(await client.answers('SUB a 1', 'SUB b 2', 'SUB c 3'), `-ERR 'maximum subscriptions exceeded'\r\n`);
  assert.match(await silent.end(), /-ERR 'Authentication Timeout'\r\n$/);
  assert.equal(await client.end(), "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
  await waitFor('no connection', () => port.status().listeners[0]?.connections === 0);
  const { counters } = port.status();
  assert.deepEqual([counters.connectionsRefused, counters.connectTimeouts, counters.staleConnections], [1, 1, 1]);
});

test('a client that does not read is cut, and the others are served', async (t) => {
  const { open, port, router } = await startClientPort(t, { pendingBytesMax: 1024 * KIB });
  const slow = await (await open()).connect();
  assert.equal(await slow.answers('SUB flood 1'), '');
  slow.socket.pause();
  const good = await (await open()).connect();
  assert.equal(await good.answers('SUB flood 1 ', 'SUB other 2'), '');
  const payload = Buffer.alloc(32 * KIB, 'x');
  await waitFor('the slow one to be cut', async () => {
    router.publish(live('flood', payload));
    await good.answers();
    return port.status().counters.slowConsumers === 1;
  });
  assert.equal(await good.answers('PUB other 1', 'y'), 'MSG other 2 1\r\ny\r\n');
  assert.equal(port.status().clients.length, 1);
});

test('a publisher that is faster than its reader is read more slowly, and nothing is lost', async (t) => {
  const { open, port } = await startClientPort(t, { pendingBytesMax: 512 * KIB });
  const reader = await (await open()).connect();
  await reader.answers('SUB fast 1');
  const bytesEach = `MSG fast 1 ${8 * KIB}\r\n`.length + 8 * KIB + 2;
  let read = 0;
  reader.socket.removeAllListeners('data');
  reader.socket.on('data', (text: string) => {
    read += text.length;
    // So much at a time, and then it works on it.
    reader.socket.pause();
    setTimeout(() => reader.socket.resume(), 1);
  });
  const publisher = await (await open()).connect();
  const burst = Buffer.from(`PUB fast ${8 * KIB}\r\n${'x'.repeat(8 * KIB)}\r\n`.repeat(2_000));
  publisher.socket.write(burst);
  await waitFor('all of it', () => read === 2_000 * bytesEach, { timeoutMs: 60_000 });
  const { slowConsumers, publishersSlowed = 0 } = port.status().counters;
  assert.equal(slowConsumers, 0);
  assert.ok(publishersSlowed > 0);
  assert.equal(await publisher.answers(), '');
});

test('a reader that stands still holds its publisher up for a while only, and is cut', async (t) => {
  const { open, port } = await startClientPort(t, { pendingBytesMax: 512 * KIB });
  const stuck = await (await open()).connect();
  await stuck.answers('SUB fast 1');
  stuck.socket.pause();
  const good = await (await open()).connect();
  await good.answers('SUB fast 1');
  const publisher = await (await open()).connect();
  const payload = 'x'.repeat(8 * KIB);
  publisher.socket.write(Buffer.from(`PUB fast ${8 * KIB}\r\n${payload}\r\n`.repeat(2_000)));
  publisher.send('PUB fast 3', 'end');
  await good.until('end\r\n', { timeoutMs: 60_000 });
  assert.equal(port.status().counters.slowConsumers, 1);
  assert.equal(await publisher.answers(), '');
});

test('what waits for all clients together has a bound: the slowest is cut', async (t) => {
  const bounds = { pendingBytesMax: 64 * 1024 * KIB, pendingBytesTotalMax: 8 * 1024 * KIB };
  const { open, port, router } = await startClientPort(t, bounds);
  for (let i = 0; i < 3; i++) {
    const slow = await (await open()).connect();
    await slow.answers('SUB flood 1');
    slow.socket.pause();
  }
  const payload = Buffer.alloc(64 * KIB, 'x');
  const waits = () => port.status().clients.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0);
  await waitFor('all three to be cut', () => {
    for (let i = 0; i < 16; i++) router.publish(live('flood', payload));
    assert.ok(waits() <= bounds.pendingBytesTotalMax + 2 * payload.length, `${waits()} bytes`);
    return port.status().counters.slowConsumers === 3;
  });
});

test('1,000 subscriptions of one client: each gets its own, and all go with it', async (t) => {
  const { open, router, port } = await startClientPort(t);
  const client = await (await open()).connect();
  assert.equal(await client.answers(...Array.from({ length: 1000 }, (_, i) => `SUB s.${i} ${i}`)), '');
  assert.equal(router.subscriptions, 1000);
  const text = await client.answers(...Array.from({ length: 1000 }, (_, i) => [`PUB s.${i} 1`, 'x']).flat());
  assert.equal(text, Array.from({ length: 1000 }, (_, i) => `MSG s.${i} ${i} 1\r\nx\r\n`).join(''));
  assert.equal(port.status().clients[0]?.subscriptions, 1000);
  client.socket.destroy();
  await waitFor('none', () => router.subscriptions === 0);
});

test('large and small messages come in order and whole', async (t) => {
  const { open } = await startClientPort(t);
  const sender = await (await open()).connect();
  const reader = await (await open()).connect();
  await reader.answers('SUB big 1');
  let expected = '';
  for (let i = 0; i < 60; i++) {
    const payload = String.fromCharCode(65 + (i % 26)).repeat(i % 3 === 0 ? 40 * KIB : i * 7);
    sender.send(`PUB big ${payload.length}`, payload);
    expected += `MSG big 1 ${payload.length}\r\n${payload}\r\n`;
  }
  await sender.answers();
  assert.equal(await reader.answers(), expected);
});

test('a stop tells the clients and lets go of the port', async (t) => {
  const { open, port } = await startClientPort(t);
  const client = await (await open()).connect();
  await port.stop();
  assert.match(await client.end(), /^INFO \{.*"ldm":true\}\r\n$/);
  assert.deepEqual(port.status().listeners, []);
});

test('a default address in use is done without; a written one is an error with its cure', async (t) => {
  const taken = await freePort();
  await startClientPort(t, { listener: { port: taken } });
  const { port } = await startClientPort(t, { listener: { port: taken }, isDefault: true });
  assert.deepEqual(port.addresses, []);
  assert.match(port.status().note, new RegExp(`127.0.0.1:${taken} is in use`));
  await assert.rejects(startClientPort(t, { listener: { port: taken } }), {
    code: 'address_in_use',
    hint: /nats\.listen.*off/,
  });
});
