import { createServer } from 'node:net';

/**
 * Below the kernel's ephemeral range (32768 and up): a port of a server that is down for a moment can then neither be
 * taken by somebody's outgoing connection, nor connect to itself when a client keeps knocking.
 */
const PORT_MIN = 16_384;
const PORT_MAX = 32_767;
const ATTEMPTS_MAX = 50;
/** Every process draws from a stretch of its own: a server that is down for a moment keeps its port from the others. */
const STRETCH = 256;
const FIRST = PORT_MIN + (process.pid % ((PORT_MAX - PORT_MIN + 1) / STRETCH)) * STRETCH;

/** A free TCP port on loopback, drawn at random from the stretch of this process. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = FIRST + Math.floor(Math.random() * STRETCH);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port on ${host} after ${ATTEMPTS_MAX} attempts`);
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
