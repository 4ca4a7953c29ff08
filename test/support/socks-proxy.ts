import { connect, createServer, type Socket } from 'node:net';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';

export interface SocksProxy {
  port: number;
  /** Taken so far. */
  connections: number;
}

/** A SOCKS5 proxy without authentication (RFC 1928, CONNECT to an IPv4 address or a name), for clients that know one. */
export async function startSocksProxy(scope: Scope): Promise<SocksProxy> {
  const proxy: SocksProxy = { port: await freePort(), connections: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    proxy.connections++;
    sockets.add(near);
    near.on('error', () => near.destroy());
    near.on('close', () => sockets.delete(near));
    near.once('data', () => {
      near.write(Buffer.of(5, 0));
      near.once('data', (request: Buffer) => {
        const isName = request[3] === 3;
        const end = isName ? 5 + (request[4] ?? 0) : 8;
        const host = isName ? request.toString('latin1', 5, end) : request.subarray(4, 8).join('.');
        const far = connect(request.readUInt16BE(end), host, () => {
          near.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
          near.pipe(far).pipe(near);
        });
        far.on('error', () => near.destroy());
        near.on('close', () => far.destroy());
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(proxy.port, '127.0.0.1', resolve));
  atEnd(scope, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return proxy;
}
