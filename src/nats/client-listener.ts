import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type ErrorCode, GatewayError } from '../core/errors.ts';

/** Finds clients that vanished without a word, beside our own PINGs. */
const TCP_KEEP_ALIVE_MS = 60_000;

const failures: Readonly<Record<string, { code: ErrorCode; what: string; hint: string }>> = {
  EADDRINUSE: {
    code: 'address_in_use',
    what: 'is in use by another program',
    hint: 'stop that program (often a nats-server), or set nats.listen to another port, or to off',
  },
  EACCES: {
    code: 'listen_denied',
    what: 'is not allowed to this user',
    hint: 'choose a port above 1023 for nats.listen, or give the service CAP_NET_BIND_SERVICE',
  },
  EADDRNOTAVAIL: {
    code: 'address_not_available',
    what: 'is not an address of this machine',
    hint: 'set nats.listen to an address of this machine, or to 0.0.0.0 for all',
  },
  ENOTFOUND: {
    code: 'name_not_found',
    what: 'is a name that leads to no address',
    hint: 'write an address into nats.listen',
  },
};

/** The address that takes NATS clients. */
export class ClientListener {
  readonly #host: string;
  readonly #port: number;
  readonly #accept: (socket: Socket) => void;
  readonly #server: Server;
  #bound: AddressInfo | null = null;

  constructor(host: string, port: number, accept: (socket: Socket) => void) {
    this.#host = host;
    this.#port = port;
    this.#accept = accept;
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS });
  }

  /** Where it listens: the port is known only now where it was given as 0. Null while it does not. */
  get address(): { host: string; port: number } | null {
    return this.#bound === null ? null : { host: this.#bound.address, port: this.#bound.port };
  }

  /** Rejects with address_in_use, listen_denied, address_not_available or name_not_found. */
  start(failed: (error: Error) => void): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException): void => reject(this.#explain(error));
      server.once('error', refused);
      server.on('connection', this.#accept);
      server.listen({ host: this.#host, port: this.#port }, () => {
        this.#bound = server.address() as AddressInfo;
        server.off('error', refused);
        // Out of file descriptors, for example: the listener lives on, and the next connection may succeed.
        server.on('error', failed);
        resolve();
      });
    });
  }

  /** Takes no more connections; those that it took live on. */
  stop(): void {
    this.#bound = null;
    this.#server.close();
  }

  #explain(error: NodeJS.ErrnoException): GatewayError {
    const where = this.#host.includes(':') ? `[${this.#host}]:${this.#port}` : `${this.#host}:${this.#port}`;
    const known = failures[error.code ?? ''];
    const code = known?.code ?? 'address_not_available';
    const message = `cannot listen for NATS clients: ${where} ${known?.what ?? error.message}`;
    return new GatewayError(code, message, { hint: known?.hint ?? 'change nats.listen', cause: error });
  }
}
