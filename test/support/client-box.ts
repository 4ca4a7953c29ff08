import { hashPassword } from '../../src/core/password.ts';
import { type Box, startBox } from './box.ts';
import { Authority, type Certificate } from './certificates.ts';
import type { Scope } from './scope.ts';

/** Ports of a box that listens in every way, and what a client needs to come in. */
export interface ClientBox {
  box: Box;
  tcp: number;
  tls: number;
  /** Asks for a certificate of the authority. */
  mutualTls: number;
  ws: number;
  wss: number;
  authority: Authority;
  /** Of the user `press`. */
  certificate: Certificate;
  /** Of a client that may also come as nobody. */
  username: string;
  password: string;
}

/** For the tests with real clients: on loopback one may come as nobody, as `line3` with its password, or by certificate. */
export async function startClientBox(scope: Scope, more: Record<string, unknown> = {}): Promise<ClientBox> {
  const authority = new Authority(scope);
  const server = authority.issue('localhost', 'IP:127.0.0.1,DNS:localhost');
  const tls = { cert: server.cert, key: server.key };
  const mutual = { ...tls, ca: authority.ca, client_certificates: 'required' };
  const all = { publish: ['>'], subscribe: ['>'] };
  const box = await startBox(scope, {
    config: {
      mqtt: {
        listeners: [
          { listen: '127.0.0.1:0' },
          { listen: '127.0.0.1:0', tls },
          { listen: '127.0.0.1:0', tls: mutual },
          { listen: '127.0.0.1:0', websocket: { path: '/mqtt' } },
          { listen: '127.0.0.1:0', websocket: { path: '/mqtt' }, tls },
        ],
        ...more,
      },
      users: [
        { name: 'line3', password_hash: await hashPassword('secret'), ...all },
        { name: 'press', certificate: 'press', ...all },
      ],
    },
  });
  const [tcp = 0, tlsPort = 0, mutualTls = 0, ws = 0, wss = 0] = box.mqttPorts;
  const certificate = authority.issue('press', 'DNS:press');
  return { box, tcp, tls: tlsPort, mutualTls, ws, wss, authority, certificate, username: 'line3', password: 'secret' };
}

/** What a client was made to do; printed by the test that drove it. */
export class ClientMatrix {
  readonly #rows = new Map<string, Set<string>>();

  /** `client`, version and transport name the row. */
  did(client: string, version: string, transport: string, what: string): void {
    const key = `${client} | ${version} | ${transport}`;
    const row = this.#rows.get(key) ?? new Set();
    this.#rows.set(key, row.add(what));
  }

  lines(): string[] {
    return [...this.#rows]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, did]) => `${key} | ${[...did].join(', ')}`);
  }
}
