import { createServer, type Server } from 'node:net';

/**
 * Below the kernel's ephemeral range (32768 and up): a port of a server that is down for a moment can then neither be
 * taken by somebody's outgoing connection, nor connect to itself when a client keeps knocking.
 */
const PORT_MIN = 16_384;
const PORT_MAX = 32_767;
/** Every process has a stretch of its own: a server that is down for a moment keeps its port from the other processes. */
const STRETCH = 128;
const STRETCHES = (PORT_MAX - PORT_MIN + 1) / STRETCH;

/** The stretch is ours while we listen on its first port; the kernel gives it back, however this process ends. */
let stretch: Promise<number> | undefined;
let handedOut = 0;

/**
 * A TCP port on loopback that nobody listens on. Ports go round the stretch, so that one which was handed out but is not
 * listened on yet, or not for a moment, does not come again for a long time.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  stretch ??= claim();
  const first = await stretch;
  for (let attempt = 1; attempt < STRETCH; attempt++) {
    const port = first + 1 + (handedOut++ % (STRETCH - 1));
    const probe = await listen(host, port);
    if (probe === undefined) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
  throw new Error(`no free port on ${host} from ${first} on`);
}

async function claim(): Promise<number> {
  for (let turn = 0; turn < STRETCHES; turn++) {
    const first = PORT_MIN + ((process.pid + turn) % STRETCHES) * STRETCH;
    const held = await listen('127.0.0.1', first);
    held?.unref();
    if (held !== undefined) return first;
  }
  throw new Error(`all ${STRETCHES} stretches of ports are in use`);
}

function listen(host: string, port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
