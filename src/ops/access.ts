import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { hostname } from 'node:os';
import { LoginDelays } from '../core/login-delays.ts';
import { CSRF_HEADER, type Role } from './api.ts';
import { hostOf, isLoopback, remoteOf } from './guard.ts';
import { type Session, Sessions } from './sessions.ts';
import type { SignedIn, SignInSecrets } from './sign-in-secrets.ts';

/** Who reads without signing in: nobody, programs and people on the box itself, its network, or everybody. */
export type ViewerRule = 'signed-in' | 'loopback' | 'local-network' | 'anyone';

/** Who a request comes from. */
export interface Visitor {
  readonly role: Role;
  /** Null where the role comes from the address, or from a secret that was sent along. */
  readonly session: Session | null;
  /** A secret was sent with it, and was right. */
  readonly isBearer: boolean;
}

/** Private, link-local and loopback networks: RFC 1918, 3927, 4193, 4291. */
const LOCAL_NETWORKS = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
] as const) {
  LOCAL_NETWORKS.addSubnet(network, prefix, 'ipv4');
}
LOCAL_NETWORKS.addSubnet('fc00::', 7, 'ipv6');
LOCAL_NETWORKS.addSubnet('fe80::', 10, 'ipv6');
LOCAL_NETWORKS.addAddress('::1', 'ipv6');

/** Headers of proxies: behind one, an address says nothing about who asks. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'] as const;

/** Says who a request comes from, and lets nobody guess secrets quickly. */
export class Access {
  readonly #viewer: ViewerRule;
  readonly #secrets: SignInSecrets | null;
  readonly #delays = new LoginDelays();
  readonly #sessions: Sessions | null;
  readonly #clock: () => number;

  /** Without secrets nobody can sign in. */
  constructor(viewer: ViewerRule, secrets: SignInSecrets | null, clock: () => number = Date.now) {
    this.#viewer = viewer;
    this.#secrets = secrets;
    this.#sessions = secrets && new Sessions(secrets.key);
    this.#clock = clock;
  }

  visitor(request: IncomingMessage, cookie: string): Visitor {
    const session = this.#sessions?.session(cookieOf(request, cookie), this.#clock()) ?? null;
    if (session !== null) return { role: session.role, session, isBearer: false };
    const secret = bearerOf(request);
    if (secret !== null && this.waitMs(request) === 0) {
      const role = this.#check(secret, request);
      if (role !== 'none') return { role, session: null, isBearer: true };
    }
    return { role: this.#byAddress(request), session: null, isBearer: false };
  }

  /** Milliseconds that a sign-in from there has to wait. */
  waitMs(request: IncomingMessage): number {
    return this.#delays.delayMs(remoteOf(request));
  }

  /** The token of a new session, null for a wrong secret. */
  signIn(secret: string, request: IncomingMessage): string | null {
    const role = this.#check(secret, request);
    if (role === 'none') return null;
    this.#secrets?.noteUse(this.#clock());
    return this.#sessions?.token(role, this.#clock()) ?? null;
  }

  signOut(session: Session): void {
    this.#sessions?.end(session);
  }

  /** The same session for a whole span again. */
  renewed({ role, nonce }: Session): string {
    return this.#sessions?.token(role, this.#clock(), nonce) ?? '';
  }

  session(token: string): Session | null {
    return this.#sessions?.session(token, this.#clock()) ?? null;
  }

  /** A page of another origin can send the cookie along, but does not know this. */
  hasCsrf({ session }: Visitor, request: IncomingMessage): boolean {
    if (session === null) return true;
    return this.#sessions?.isCsrf(session, String(request.headers[CSRF_HEADER] ?? '')) === true;
  }

  /** The operator's secret for somebody on the box itself, until it has been used once; null otherwise. */
  firstSecret(request: IncomingMessage): string | null {
    if (this.#secrets === null || this.#secrets.isUsed || !isOnTheBox(request)) return null;
    return this.#secrets.operator;
  }

  #check(secret: string, request: IncomingMessage): SignedIn | 'none' {
    const role = this.#secrets?.roleOf(secret) ?? 'none';
    if (role === 'none') this.#delays.failed(remoteOf(request));
    return role;
  }

  #byAddress(request: IncomingMessage): Role {
    switch (this.#viewer) {
      case 'anyone':
        return 'viewer';
      case 'local-network':
        return isOnTheNetwork(request) ? 'viewer' : 'none';
      case 'loopback':
        return isOnTheBox(request) ? 'viewer' : 'none';
      case 'signed-in':
        return 'none';
    }
  }
}

/** From this machine, by no proxy, and under a name of this machine: a rebound name of the web is none. */
export function isOnTheBox(request: IncomingMessage): boolean {
  return isLoopback(remoteOf(request)) && !isForwarded(request) && isLoopback(hostOf(request));
}

function isOnTheNetwork(request: IncomingMessage): boolean {
  const remote = remoteOf(request);
  const family = isIP(remote) === 6 ? 'ipv6' : 'ipv4';
  return LOCAL_NETWORKS.check(remote, family) && !isForwarded(request) && isLocalName(hostOf(request));
}

/** Names that nobody on the web can own, see DNS rebinding in guard.ts. */
function isLocalName(host: string): boolean {
  if (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || !host.includes('.')) return true;
  return host === hostname().toLowerCase() || /\.(?:local|lan|internal|home\.arpa)$/.test(host);
}

function isForwarded(request: IncomingMessage): boolean {
  return FORWARDED.some((name) => request.headers[name] !== undefined);
}

function cookieOf(request: IncomingMessage, name: string): string {
  for (const part of (request.headers.cookie ?? '').split(';')) {
    const at = part.indexOf('=');
    if (part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return '';
}

/** `Bearer <secret>`, and for tools that know only passwords the password of `Basic`. */
function bearerOf(request: IncomingMessage): string | null {
  const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(' ', 2);
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return null;
  const text = Buffer.from(value, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}
