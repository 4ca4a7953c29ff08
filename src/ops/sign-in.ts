import type { networkInterfaces } from 'node:os';
import type { Access } from './access.ts';
import type { FirstVisit, SessionState } from './api.ts';
import type { Handler } from './api-server.ts';
import { ApiFault, answerJson, bodyOf, type Exchange, textIn } from './exchange.ts';
import { bracketed, isLoopback } from './guard.ts';
import { SESSION_MS, type Session } from './sessions.ts';

/** A secret with hyphens and spaces. */
const SECRET_CHARACTERS_MAX = 100;

export interface SignInParts {
  readonly access: Access;
  readonly cookie: string;
  readonly isSecure: boolean;
  readonly address: () => { host: string; port: number };
  readonly gateway: string;
  readonly version: string;
  readonly interfaces: typeof networkInterfaces;
}

/** `/api/session`: who one is, signing in and signing out. */
export class SignIn {
  readonly #parts: SignInParts;

  constructor(parts: SignInParts) {
    this.#parts = parts;
  }

  get handlers(): Record<string, Handler> {
    return {
      'GET /api/session': (exchange) => this.#show(exchange),
      'POST /api/session': (exchange) => this.#signIn(exchange),
      'DELETE /api/session': (exchange) => this.#signOut(exchange),
    };
  }

  async #show(exchange: Exchange): Promise<void> {
    const { access } = this.#parts;
    const { response, visitor } = exchange;
    if (visitor.session !== null) {
      const token = access.renewed(visitor.session);
      answerJson(response, this.#state(exchange, access.session(token), null), 200, this.#cookie(token));
      return;
    }
    answerJson(response, this.#state(exchange, null, await this.#firstVisit(exchange)));
  }

  async #signIn(exchange: Exchange): Promise<void> {
    const { access } = this.#parts;
    const { request, response } = exchange;
    const secret = textIn(await bodyOf(request), 'secret', null, SECRET_CHARACTERS_MAX);
    const waitMs = access.waitMs(request);
    if (waitMs > 0) {
      const headers = { 'Retry-After': String(Math.ceil(waitMs / 1000)) };
      throw new ApiFault(429, 'sign_in_too_fast', 'Wait a moment after a wrong secret', '', { headers });
    }
    const token = access.signIn(secret, request);
    if (token === null) {
      const hint = 'On the box, `sudo petiole status --secret` shows it';
      throw new ApiFault(401, 'sign_in_failed', 'This is not the secret of this box', hint);
    }
    answerJson(response, this.#state(exchange, access.session(token), null), 200, this.#cookie(token));
  }

  #signOut(exchange: Exchange): void {
    const { session } = exchange.visitor;
    if (session !== null) this.#parts.access.signOut(session);
    answerJson(exchange.response, this.#state({ ...exchange, visitor: this.#stranger(exchange) }, null, null), 200, {
      'Set-Cookie': this.#cookieText('', 0),
    });
  }

  /** Who the same request would be without its session. */
  #stranger({ request }: Exchange) {
    return this.#parts.access.visitor(request, '');
  }

  #state({ request, visitor }: Exchange, session: Session | null, firstVisit: FirstVisit | null): SessionState {
    const { access, gateway, version } = this.#parts;
    return {
      role: session?.role ?? visitor.role,
      isSignedIn: session !== null || visitor.isBearer,
      csrf: session?.csrf ?? '',
      expiresAtMs: session?.expiresAtMs ?? null,
      gateway,
      version,
      retryInS: Math.ceil(access.waitMs(request) / 1000),
      firstVisit,
    };
  }

  async #firstVisit({ request }: Exchange): Promise<FirstVisit | null> {
    const secret = this.#parts.access.firstSecret(request);
    if (secret === null) return null;
    const address = this.#reachableAddress();
    const url = address === '' ? '' : `${address}#sign-in=${secret.replaceAll('-', '')}`;
    const { qrPath } = await import('./qr.ts');
    return { secret, url, qr: qrPath(url === '' ? secret : url) };
  }

  /** Where others on the network find this page; '' where they can't. */
  #reachableAddress(): string {
    const { address, isSecure, interfaces } = this.#parts;
    const { host, port } = address();
    if (isLoopback(host)) return '';
    const isWildcard = host === '0.0.0.0' || host === '::';
    const outside = Object.values(interfaces()).flatMap((list = []) => list.filter(({ internal }) => !internal));
    const found = outside.find(({ family }) => family === 'IPv4') ?? outside[0];
    if (isWildcard && found === undefined) return '';
    const name = isWildcard ? (found?.address ?? '') : host;
    return `${isSecure ? 'https' : 'http'}://${bracketed(name)}:${port}/`;
  }

  #cookie(token: string): { 'Set-Cookie': string } {
    return { 'Set-Cookie': this.#cookieText(token, SESSION_MS / 1000) };
  }

  #cookieText(token: string, ageS: number): string {
    const { cookie, isSecure } = this.#parts;
    return `${cookie}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${ageS}${isSecure ? '; Secure' : ''}`;
  }
}
