import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { hashPassword } from '../../src/core/password.ts';
import type { UserRules } from '../../src/core/users.ts';
import { mosquittoPub, startLineSub } from '../support/mosquitto.ts';
import { startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import {
  type ConnectFields,
  connectPacket,
  DISCONNECT,
  pubackPacket,
  publishPacket,
  subackPacket,
  subscribePacket,
} from '../support/mqtt-packets.ts';
import { connectWire, type Wire } from '../support/mqtt-wire.ts';
import type { Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const users: UserRules[] = [];
before(async () => {
  const passwordHash = await hashPassword('secret');
  const user = { passwordHash, certificate: null };
  users.push(
    { ...user, name: 'line3', publish: ['line3.>'], subscribe: ['line3.cmd.>'] },
    { ...user, name: 'fleet', publish: ['dev.{clientid}.>'], subscribe: ['dev.{clientid}.cmd', 'all'] },
  );
});

const closed = [{ host: '127.0.0.1', port: 0, anonymous: false }];

function start(scope: Scope): Promise<TestEdge> {
  return startEdge(scope, { listeners: closed }, users);
}

const line3 = { username: 'line3', password: 'secret' };

for (const version of [4, 5] as const) {
  const mosquittoVersion = version === 4 ? 'mqttv311' : 'mqttv5';

  test(`mosquitto clients with a user publish and subscribe (version ${version})`, async (t) => {
    const edge = await start(t);
    const heard = edge.listen('line3.temp');
    const user = ['-V', mosquittoVersion, '-u', 'line3', '-P', 'secret'];
    const sub = await startLineSub(t, edge.port, ...user, '-t', 'line3/cmd/#', '-F', '%t=%p');
    const { code } = await mosquittoPub(edge.port, ...user, '-t', 'line3/temp', '-m', '21', '-q', '1');
    assert.equal(code, 0);
    assert.deepEqual(
      heard.map(({ subject }) => subject),
      ['line3.temp'],
    );
    edge.publish('line3.cmd.stop', 'now');
    await sub.line('the command', (line) => line === 'line3/cmd/stop=now', 5_000);
    for (const wrong of [['-u', 'line3', '-P', 'wrong'], ['-u', 'nobody', '-P', 'secret'], []]) {
      const refused = await mosquittoPub(edge.port, '-V', mosquittoVersion, ...wrong, '-t', 'line3/temp', '-m', 'x');
      assert.notEqual(refused.code, 0, wrong.join(' '));
    }
    assert.equal(heard.length, 1);
    assert.equal(edge.counter('loginsFailed'), 2);
    assert.equal(edge.counter('usersRefused'), 1);
  });

  test(`a refused login is told so and no more (version ${version})`, async (t) => {
    const edge = await start(t);
    const refusals: [fields: ConnectFields, five: number, three: number][] = [
      [{ ...line3, password: 'wrong' }, 0x86, 4],
      [{ ...line3, username: 'nobody' }, 0x86, 4],
      [{ username: 'line3' }, 0x86, 4],
      [{}, 0x87, 5],
    ];
    for (const [fields, five, three] of refusals) {
      const wire = await edge.open();
      wire.send(connectPacket({ ...fields, version, clientId: 'c' }));
      if (version === 4) await wire.expect(Buffer.of(0x20, 2, 0, three));
      else {
        const { reasonCode, properties } = await wire.connAck();
        assert.equal(reasonCode, five);
        if (five === 0x86) assert.deepEqual([...properties.values()], ['the user name or the password is wrong']);
      }
      await wire.expectClosed();
    }
    assert.deepEqual(edge.status.clients, []);
  });

  test(`packets that wait for the login are handled after it, none before (version ${version})`, async (t) => {
    const edge = await start(t);
    const heard = edge.listen('line3.>');
    for (const [password, expected] of [
      ['wrong', 0],
      ['secret', 1],
    ] as const) {
      const wire = await edge.open(password);
      wire.send(
        connectPacket({ version, clientId: password, username: 'line3', password }),
        publishPacket({ version, topic: 'line3/a', payload: 'x', id: 1 }),
      );
      await wire.next('CONNACK');
      if (expected === 1) await wire.expect(pubackPacket(1));
      else await wire.expectClosed();
      assert.equal(heard.length, expected);
    }
  });

  test(`a subscription beyond the rules is refused, the others stand (version ${version})`, async (t) => {
    const edge = await start(t);
    const wire = await connectWire(t, edge.port, { ...line3, version });
    const no = version === 5 ? 0x87 : 0x80;
    const filters = [
      'line3/cmd/+',
      '#',
      '+/cmd/a',
      'line3/cmd/#',
      '$share/g/line3/#',
      '$share/g/line3/cmd/x',
      'line3/cmd',
    ];
    wire.send(
      subscribePacket(
        version,
        1,
        filters.map((filter) => [filter, 0]),
      ),
    );
    await wire.expect(subackPacket(version, 1, 0, no, no, 0, no, 0, no));
    edge.publish('line3.temp', 'not for it');
    // `line3/cmd/#` matches `line3/cmd` as well, which the rule `line3.cmd.>` does not.
    edge.publish('line3.cmd', 'not for it');
    edge.publish('line3.cmd.y.z', 'for it');
    await wire.expect(publishPacket({ version, topic: 'line3/cmd/y/z', payload: 'for it' }));
    await wire.expectQuiet();
  });

  test(`a will beyond the rules refuses the CONNECT (version ${version})`, async (t) => {
    const edge = await start(t);
    const heard = edge.listen('>');
    const wire = await edge.open();
    wire.send(connectPacket({ ...line3, version, will: { topic: 'line4/state', payload: 'dead' } }));
    if (version === 4) await wire.expect(Buffer.of(0x20, 2, 0, 5));
    else assert.equal((await wire.connAck()).reasonCode, 0x87);
    await wire.expectClosed();
    const allowed = await connectWire(t, edge.port, {
      ...line3,
      version,
      will: { topic: 'line3/state', payload: 'dead' },
    });
    allowed.reset();
    await waitFor('the will', () => heard.length > 0);
    assert.deepEqual(
      heard.map(({ subject }) => subject),
      ['line3.state'],
    );
  });

  test(`a client identifier in use by another user is not taken over (version ${version})`, async (t) => {
    const edge = await start(t);
    const first = await connectWire(t, edge.port, { ...line3, version, clientId: 'one' });
    const thief = await edge.open('thief');
    thief.send(connectPacket({ version, clientId: 'one', username: 'fleet', password: 'secret' }));
    if (version === 4) await thief.expect(Buffer.of(0x20, 2, 0, 2));
    else assert.equal((await thief.connAck()).reasonCode, 0x85);
    await thief.expectClosed();
    await first.expectQuiet();
    await connectWire(t, edge.port, { ...line3, version, clientId: 'one' });
    if (version === 5) await first.expectDisconnect(0x8e);
    else await first.expectClosed();
  });
}

test('a publish beyond the rules: 0x87 in version 5, the end in 3.1.1, QoS 0 is dropped and counted', async (t) => {
  const edge = await start(t);
  const heard = edge.listen('>');
  const five = await connectWire(t, edge.port, { ...line3, version: 5 });
  five.send(publishPacket({ version: 5, topic: 'line4/a', payload: 'x', id: 7 }));
  const puback = await five.next('PUBACK');
  assert.deepEqual([puback[0], puback[4]], [0x40, 0x87]);
  five.send(publishPacket({ version: 5, topic: 'line4/a', payload: 'x' }));
  await five.expectQuiet();
  const three = await connectWire(t, edge.port, { ...line3, version: 4, clientId: 'c4' });
  three.send(publishPacket({ version: 4, topic: 'line3', payload: 'x' }));
  await three.expectQuiet();
  three.send(publishPacket({ version: 4, topic: 'line3', payload: 'x', id: 7 }));
  await three.expectClosed();
  assert.deepEqual(heard, []);
  assert.equal(edge.counter('topicsRefused'), 4);
});

test('hostile client identifiers: each comes to its own topics at most', async (t) => {
  const edge = await start(t);
  const heard = edge.listen('>');
  const targets = ['victim', '+', '#', '*', '>', '.', 'a.b', 'a/b', '%2A', '%2F'];
  for (const clientId of ['#', '+', '/', '.', '*', '>', 'a.b', 'a/b', 'victim/x', '%2A', '$JS', 'dev']) {
    const fields = { version: 5, clientId, username: 'fleet', password: 'secret' } as const;
    const wire = await connectWire(t, edge.port, fields);
    const isLevel = !/[/+#]/.test(clientId);
    wire.send(
      subscribePacket(5, 1, [
        ['dev/+/cmd', 0],
        ['dev/#', 0],
        ['dev/victim/cmd', 0],
      ]),
    );
    await wire.expect(subackPacket(5, 1, 0x87, 0x87, 0x87));
    for (const target of targets) {
      if (/[+#]/.test(target) || target === clientId) continue;
      wire.send(publishPacket({ version: 5, topic: `dev/${target}/t`, payload: 'x' }));
    }
    await wire.expectQuiet();
    assert.deepEqual(heard.splice(0), [], `${clientId} came to a topic of another`);
    if (isLevel) {
      wire.send(publishPacket({ version: 5, topic: `dev/${clientId}/t`, payload: 'x' }));
      await wire.expectQuiet();
      assert.equal(heard.splice(0).length, 1, `${clientId} may not publish to its own topic`);
    }
    wire.send(DISCONNECT);
    await wire.expectClosed();
  }
});

test('on loopback one may still come as nobody; a password that is given must be right', async (t) => {
  const edge = await startEdge(t, {}, users);
  const anonymous = await edge.connect(5, 'nobody');
  anonymous.send(publishPacket({ version: 5, topic: 'anywhere', payload: 'x', id: 1 }));
  await anonymous.expect(pubackPacket(1));
  const wrong = await edge.open();
  wrong.send(connectPacket({ version: 5, ...line3, password: 'wrong' }));
  assert.equal((await wrong.connAck()).reasonCode, 0x86);
});

test('a listener that is not anonymous, and no users: nobody comes in', async (t) => {
  const edge = await startEdge(t, { listeners: closed });
  const wire = await edge.open();
  wire.send(connectPacket({ version: 5, ...line3 }));
  assert.equal((await wire.connAck()).reasonCode, 0x87);
  await wire.expectClosed();
});

test('a wrong password is answered later and later, and others are served meanwhile', async (t) => {
  const edge = await start(t);
  const attempt = async (): Promise<number> => {
    const wire = await edge.open();
    const startedAt = performance.now();
    wire.send(connectPacket({ version: 4, ...line3, password: 'wrong' }));
    await wire.expect(Buffer.of(0x20, 2, 0, 4));
    return performance.now() - startedAt;
  };
  const good: Wire = await connectWire(t, edge.port, { ...line3, version: 4, clientId: 'good' });
  await attempt();
  const second = await attempt();
  assert.ok(second > 150, `the second answer came after ${second} ms`);
  const third = attempt();
  await good.expectQuiet();
  // What was right before is right at once.
  const startedAt = performance.now();
  await connectWire(t, edge.port, { ...line3, version: 4, clientId: 'better' });
  assert.ok(performance.now() - startedAt < (await third), 'a right password waited for the wrong one');
});
