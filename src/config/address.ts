import { isIP, isIPv4 } from 'node:net';
import type { Reading } from './fields.ts';

/** Where a listener binds. */
export interface Address {
  readonly host: string;
  /** 0: the system picks a free one. */
  readonly port: number;
}

const LEAFNODE_PORT = 7422;
/** Scheme → default port. WebSockets use the ports of the web. */
const hubSchemes: ReadonlyMap<string, number> = new Map([
  ['nats', LEAFNODE_PORT],
  ['nats-leaf', LEAFNODE_PORT],
  ['tls', LEAFNODE_PORT],
  ['ws', 80],
  ['wss', 443],
]);
const HTTP_PROXY_PORT = 3128;
/** What stands before `/leafnode` in the path of a WebSocket. */
const URL_PATH = /^(?:\/[A-Za-z0-9._~-]{1,100}){1,8}$/;
/** Labels as in RFC 1123, and the underscore that container networks use. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*\.?$/i;

/** `host:port`, IPv6 in brackets. The host is always written, so that listening on every interface is a decision. */
export function readListen(input: unknown): Reading<Address> {
  const expected = 'host:port, for example 127.0.0.1:1883, "[::1]:1883" or 0.0.0.0:1883 for every IPv4 interface';
  const bare = typeof input === 'number' || (typeof input === 'string' && /^:?\d{1,5}$/.test(input));
  if (bare) {
    const port = String(input).replace(':', '');
    return { expected, hint: `write 127.0.0.1:${port} for this machine only, or 0.0.0.0:${port} for every interface` };
  }
  if (typeof input !== 'string') return { expected };
  if (isIP(input) === 6 || /^[0-9a-f]*:[0-9a-f:]*:\d+$/i.test(input)) {
    return { expected, hint: 'an IPv6 address stands in brackets and, in YAML, in quotes: "[::1]:1883"' };
  }
  const [, hostText = '', digits = ''] = /^(\[.*\]|[^:]*):(\d{1,5})$/.exec(input) ?? [];
  const host = readHost(hostText);
  if (host === null) return { expected };
  if (Number(digits) > 65_535) return { expected: 'a port from 0 to 65535' };
  return { value: { host, port: Number(digits) } };
}

/** `scheme://host[:port][/path]` of a hub's leafnode or websocket listener, given back with the port written out. */
export function readHubUrl(input: unknown): Reading<string> {
  const expected = 'tls://, nats:// or nats-leaf://host[:port], or wss:// or ws://host[:port][/path]';
  if (typeof input !== 'string') return { expected };
  const [, scheme, authority = ''] = /^([a-z-]{1,16}):\/\/(.*)$/is.exec(input) ?? [];
  if (scheme === undefined) {
    const host = /^[\w.-]+(?::\d{1,5})?$/.test(input) ? input : 'hub.example.com';
    return { expected, hint: `write tls://${host} (nats://${host} where the hub has no TLS)` };
  }
  const usualPort = hubSchemes.get(scheme.toLowerCase());
  if (usualPort === undefined) return { expected };
  if (authority.includes('@')) {
    return {
      expected: `${expected} without credentials`,
      hint: 'take them out of the address and use the keys user and password_file (or token_file)',
    };
  }
  const [, hostText = '', digits, path = ''] = /^(\[.*\]|[^:/]*)(?::(\d{1,5}))?(\/.+?)?\/?$/.exec(authority) ?? [];
  const host = readHost(hostText);
  const port = digits === undefined ? usualPort : Number(digits);
  if (host === null) return { expected };
  if (port < 1 || port > 65_535) return { expected: 'a port from 1 to 65535' };
  if (path !== '' && (!scheme.toLowerCase().startsWith('ws') || !URL_PATH.test(path))) return { expected };
  return { value: `${scheme.toLowerCase()}://${isIP(host) === 6 ? `[${host}]` : host}:${port}${path}` };
}

/** `http://host[:port]` of an HTTP proxy. */
export function readProxyUrl(input: unknown): Reading<Address> {
  const expected = 'http://host[:port] of an HTTP proxy';
  if (typeof input !== 'string') return { expected };
  const [, authority = ''] = /^http:\/\/([^/]*)\/?$/i.exec(input) ?? [];
  if (authority.includes('@')) {
    return { expected: `${expected} without credentials`, hint: 'use the keys user and password_file beside url' };
  }
  const [, hostText = '', digits] = /^(\[.*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const host = readHost(hostText);
  const port = digits === undefined ? HTTP_PROXY_PORT : Number(digits);
  if (host === null || port < 1 || port > 65_535) return { expected };
  return { value: { host, port } };
}

/** Only addresses that are loopback whatever the machine's name service says. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** True where the system would refuse to bind the second one. */
export function collide(a: Address, b: Address): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || takesIn(a.host, b.host) || takesIn(b.host, a.host);
}

function takesIn(wide: string, host: string): boolean {
  // An IPv6 socket on :: takes the IPv4 addresses of the same port too.
  return wide === '::' || (wide === '0.0.0.0' && isIP(host) !== 6);
}

/** An address or a name in its one spelling; null where it is neither. */
function readHost(text: string): string | null {
  if (text.startsWith('[')) {
    const inner = text.slice(1, -1).toLowerCase();
    if (isIP(inner) !== 6) return null;
    return inner.includes('%') ? inner : new URL(`http://[${inner}]`).hostname.slice(1, -1);
  }
  if (isIPv4(text)) return text;
  // A name that ends in a number would be taken for an (ill-formed) IPv4 address by every resolver.
  if (!HOST_NAME.test(text) || /(?:^|\.)\d+\.?$/.test(text)) return null;
  return text.toLowerCase();
}

/** Where somebody on this machine reaches what listens on `host`: a wildcard address is listened on, and can't be asked. */
export function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}

/** The same as it stands in a URL. */
export function reachableInUrl(host: string): string {
  const name = reachable(host);
  return name.includes(':') ? `[${name}]` : name;
}
