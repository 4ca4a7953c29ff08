import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

interface Line {
  proxy: TcpProxy;
  /** What the echo server has read. */
  arrived: () => string;
  open: () => Promise<Socket & { echoed: string }>;
}

async function startLine(t: TestContext): Promise<Line> {
  let arrived = '';
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      arrived += chunk;
      socket.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const proxy = await startTcpProxy(t, (server.address() as AddressInfo).port);
  const open = async () => {
    const socket = Object.assign(connect(proxy.port, '127.0.0.1'), { echoed: '' });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      socket.echoed += chunk;
    });
    await once(socket, 'connect');
    return socket;
  };
  return { proxy, arrived: () => arrived, open };
}

test('bytes pass both ways, cut() ends the connection and the next one is welcome', async (t) => {
  const { proxy, open } = await startLine(t);
  const first = await open();
  first.write('one');
  await waitFor('the echo', () => first.echoed === 'one');
  assert.deepEqual(proxy.bytes, { up: 3, down: 3 });
  const closed = once(first, 'close');
  proxy.cut();
  await closed;
  const second = await open();
  second.write('two');
  await waitFor('the echo', () => second.echoed === 'two');
  assert.equal(proxy.connections, 2);
});

test('refuse() refuses until restore(), on the same port', async (t) => {
  const { proxy, open } = await startLine(t);
  const { port } = proxy;
  await proxy.refuse();
  await assert.rejects(open(), { code: 'ECONNREFUSED' });
  await proxy.restore();
  assert.equal(proxy.port, port);
  await open();
});

test('blackhole() keeps the connection and its bytes until restore()', async (t) => {
  const { proxy, arrived, open } = await startLine(t);
  const socket = await open();
  socket.write('a');
  await waitFor('the echo', () => socket.echoed === 'a');
  proxy.blackhole('down');
  socket.write('b');
  await waitFor('the byte at the server', () => arrived() === 'ab');
  assert.equal(socket.echoed, 'a');
  assert.equal(socket.destroyed, false);
  await proxy.restore();
  await waitFor('the late echo', () => socket.echoed === 'ab');
});

test('swallow() loses the bytes for good', async (t) => {
  const { proxy, arrived, open } = await startLine(t);
  const socket = await open();
  socket.write('a');
  await waitFor('the echo', () => socket.echoed === 'a');
  proxy.swallow('down');
  socket.write('b');
  await waitFor('the echo to be thrown away', () => proxy.lost.down === 1);
  assert.equal(arrived(), 'ab');
  await proxy.restore();
  socket.write('d');
  await waitFor('the echo after restore', () => socket.echoed.endsWith('d'));
  assert.equal(socket.echoed, 'ad');
});

test('delay() holds each chunk back and keeps the order', async (t) => {
  const { proxy, open } = await startLine(t);
  const socket = await open();
  proxy.delay(40);
  const startedAtMs = performance.now();
  socket.write('a');
  await waitFor('the echo', () => socket.echoed === 'a');
  assert.ok(performance.now() - startedAtMs >= 79, 'two delays of 40 ms');
  socket.write('b');
  proxy.delay(0);
  socket.write('c');
  await waitFor('both echoes', () => socket.echoed.length === 3);
  assert.equal(socket.echoed, 'abc');
});
