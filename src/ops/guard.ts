import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';

/** Sent with every answer. */
export const SECURITY_HEADERS: OutgoingHttpHeaders = {
  // Nothing but our own files, no inline script or style: a hostile name that got into the markup could still do nothing.
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

/** Says that a request means to change something; browsers send no such header across sites. */
export const CONTROL_HEADER = 'petiole-control';

/** Why a request is not answered. */
export interface Refusal {
  statusCode: 400 | 403 | 405 | 421;
  text: string;
}

/** Judges requests before anything is looked up. `host` is the address that is listened on. */
export class Guard {
  readonly #names: ReadonlySet<string> | null;

  constructor(host: string) {
    // Behind a public address any name may be right; sign-in is what will protect it there.
    this.#names = isLoopback(host) ? new Set(['localhost', '127.0.0.1', '[::1]', bracketed(host)]) : null;
  }

  /** null where the request may pass. */
  refusal(request: IncomingMessage): Refusal | null {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const refusal = controlRefusal(request);
      if (refusal) return refusal;
    }
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
    if (length !== '0' || coding !== undefined) return { statusCode: 400, text: 'A request here carries no body.' };
    if (!this.#knows(request.headers.host)) {
      return { statusCode: 421, text: 'Unknown host name: on the box itself, open it as localhost or 127.0.0.1.' };
    }
    // The page itself may be reached by a link from anywhere; what it loads is for itself alone.
    const site = request.headers['sec-fetch-site'];
    if (request.url !== '/' && (site === 'cross-site' || site === 'same-site')) {
      return { statusCode: 403, text: 'Not for pages of another origin.' };
    }
    return null;
  }

  /**
   * DNS rebinding: a page of the open web has its own name resolve to 127.0.0.1 and then reads us as its own origin. It
   * can't choose the Host header, which still carries that name.
   */
  #knows(host: string | undefined): boolean {
    if (this.#names === null) return true;
    const match = /^(\[[^\]]*\]|[^:]*)(?::\d{1,5})?$/.exec(host ?? '');
    return match !== null && this.#names.has((match[1] ?? '').toLowerCase());
  }
}

/**
 * The one thing that may be changed here, and only from the box itself. A page of the open web can't send the header
 * without asking first, which is never granted.
 */
function controlRefusal(request: IncomingMessage): Refusal | null {
  if (request.method !== 'POST' || !request.url?.startsWith('/drain/')) {
    return { statusCode: 405, text: 'Only GET and HEAD: this page is for reading.' };
  }
  const remote = request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  if (!isLoopback(remote)) return { statusCode: 403, text: 'Only from the box itself: log in there, or use NATS.' };
  if (request.headers[CONTROL_HEADER] !== 'yes') {
    return { statusCode: 403, text: 'Send the header Petiole-Control: yes with it.' };
  }
  return null;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** As it stands in a URL or a Host header. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host.toLowerCase();
}
