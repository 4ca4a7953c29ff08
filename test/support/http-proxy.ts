import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';

/** An HTTP proxy for CONNECT on loopback; asks for `user:password` where that is given. */
export class HttpProxyServer {
  port = 0;
  /** Targets of the tunnels opened so far. */
  readonly targets: string[] = [];
  /** Refuses every tunnel with this status; 0: none. */
  refuseWith = 0;
  readonly #login: string | null;
  readonly #sockets = new Set<Socket>();

  constructor(login: string | null) {
    this.#login = login;
  }

  async start(scope: Scope): Promise<void> {
    const server = createServer();
    server.on('connect', (request, near) => this.#tunnel(request, near as Socket));
    this.port = await freePort();
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    atEnd(scope, async () => {
      for (const socket of this.#sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  #tunnel(request: IncomingMessage, near: Socket): void {
    this.#keep(near);
    const proof = `Basic ${Buffer.from(this.#login ?? '').toString('base64')}`;
    if (this.refuseWith > 0) near.end(`HTTP/1.1 ${this.refuseWith} Not Today\r\n\r\n`);
    else if (this.#login !== null && request.headers['proxy-authorization'] !== proof) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n');
    } else {
      const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(request.url ?? '') ?? [];
      this.targets.push(request.url ?? '');
      const far = connect(Number(port), host);
      this.#keep(far);
      far.once('connect', () => {
        near.write('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
        near.pipe(far).pipe(near);
      });
      far.once('error', () => near.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

export async function startHttpProxy(scope: Scope, login: string | null = null): Promise<HttpProxyServer> {
  const proxy = new HttpProxyServer(login);
  await proxy.start(scope);
  return proxy;
}
