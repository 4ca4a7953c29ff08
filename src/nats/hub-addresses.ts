import { isIP } from 'node:net';
import { GatewayError } from '../core/errors.ts';

/** Where to connect. */
export interface HubAddress {
  readonly host: string;
  readonly port: number;
  /** TLS is demanded: a hub that does not offer it is refused, so that nobody in between can talk the box out of it. */
  readonly tls: boolean;
  /** Name the hub's certificate must bear; the host itself unless the hub announced a bare IP address. */
  readonly tlsName: string;
  /** Over a WebSocket: the path before `/leafnode`; null: the leafnode port itself. */
  readonly path: string | null;
  /** For people, without credentials. */
  readonly url: string;
}

const LEAF_PORT = 7422;
/** Scheme → what it means. A WebSocket uses the ports of the web, which is what firewalls let through. */
const SCHEMES: ReadonlyMap<string, { tls: boolean; websocket: boolean; port: number }> = new Map([
  ['nats:', { tls: false, websocket: false, port: LEAF_PORT }],
  ['nats-leaf:', { tls: false, websocket: false, port: LEAF_PORT }],
  ['tls:', { tls: true, websocket: false, port: LEAF_PORT }],
  ['ws:', { tls: false, websocket: true, port: 80 }],
  ['wss:', { tls: true, websocket: true, port: 443 }],
]);

/** Throws a GatewayError `config_invalid`. Credentials in the URL are returned apart. */
export function parseHubUrl(url: string): { address: HubAddress; user: string; password: string } {
  let parsed: URL;
  let user: string;
  let password: string;
  try {
    parsed = new URL(url.includes('://') ? url : `nats://${url}`);
    user = decodeURIComponent(parsed.username);
    password = decodeURIComponent(parsed.password);
  } catch {
    throw urlError();
  }
  const scheme = SCHEMES.get(parsed.protocol);
  if (parsed.hostname === '' || parsed.port === '0' || scheme === undefined) throw urlError();
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  // The parser leaves a scheme's own default port out.
  const port = parsed.port === '' ? scheme.port : Number(parsed.port);
  const path = scheme.websocket ? parsed.pathname.replace(/\/$/, '') : null;
  const shown = `${parsed.protocol}//${parsed.hostname}:${port}${path ?? ''}`;
  const address = { host, port, tls: scheme.tls, tlsName: host, path, url: shown };
  return { address, user, password };
}

interface Hubs {
  readonly urls: readonly string[];
  readonly user: string | null;
  readonly password: string | null;
}

/** Throws a GatewayError `config_invalid`. A user that is configured comes before one in a URL. */
export function hubsOf({ urls, user, password }: Hubs) {
  const hubs = urls.map(parseHubUrl);
  const named = hubs.find((hub) => hub.user !== '') ?? { user: null, password: null };
  const addresses = hubs.map(({ address }) => address);
  return { addresses, user: user ?? named.user, password: user === null ? named.password : password };
}

/** Without the text of the URL, which may hold a password. */
function urlError(): GatewayError {
  return new GatewayError('config_invalid', 'upstream.urls holds an address that is not a leafnode URL', {
    retriable: false,
    hint: 'Write tls://host:7422, nats://host:7422, wss://host:443 or ws://host:80.',
  });
}

/**
 * Where to try next: the configured addresses and those that the hub announced, in a new random order each round, so
 * that the boxes of a fleet spread over the members of a cluster.
 */
export class HubAddresses {
  readonly #configured: readonly HubAddress[];
  #announced: readonly HubAddress[] = [];
  #round: HubAddress[] = [];

  constructor(configured: readonly HubAddress[]) {
    this.#configured = configured;
  }

  get size(): number {
    return this.#configured.length + this.#announced.length;
  }

  /** Addresses of this round that have not been tried. */
  get left(): number {
    return this.#round.length;
  }

  next(): HubAddress {
    if (this.#round.length === 0) this.#round = shuffled([...this.#configured, ...this.#announced]);
    return this.#round.pop() as HubAddress;
  }

  /** This one is tried last: it is about to go. */
  postpone(address: HubAddress): void {
    const others = [...this.#configured, ...this.#announced].filter(
      ({ host, port }) => host !== address.host || port !== address.port,
    );
    this.#round = [address, ...shuffled(others)];
  }

  /** Replaces what was announced before; `via` is the address of the hub that says so. */
  announce(leafUrls: readonly string[], via: HubAddress): void {
    const known = new Set(this.#configured.map(({ host, port }) => `${host} ${port}`));
    const announced: HubAddress[] = [];
    for (const url of leafUrls) {
      const address = announcedAddress(url, via);
      if (address === null || known.has(`${address.host} ${address.port}`)) continue;
      known.add(`${address.host} ${address.port}`);
      announced.push(address);
    }
    this.#announced = announced;
  }
}

function announcedAddress(url: string, via: HubAddress): HubAddress | null {
  try {
    const { host, port } = parseHubUrl(url).address;
    const { tls, path } = via;
    const scheme = path === null ? (tls ? 'tls' : 'nats') : tls ? 'wss' : 'ws';
    const shown = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path ?? ''}`;
    return { host, port, tls, tlsName: isIP(host) === 0 ? host : via.tlsName, path, url: shown };
  } catch {
    return null; // An address the box can't use costs nothing but the chance to use it.
  }
}

function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}
