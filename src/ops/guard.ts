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
  statusCode: 400 | 403 | 405 | 413 | 415 | 421;
  text: string;
}

/** An edited configuration, with its escapes; a message to publish is smaller. */
export const BODY_BYTES_MAX = 1024 * 1024;

/** Judges requests before anything is looked up. `host` is the address that is listened on. */
export class Guard {
  readonly #names: ReadonlySet<string> | null;

  constructor(host: string) {
    // Behind a public address any name may be right; signing in is what protects it there.
    this.#names = isLoopback(host) ? new Set(['localhost', '127.0.0.1', '[::1]', bracketed(host)]) : null;
  }

  /** null where the request may pass. */
  refusal(request: IncomingMessage): Refusal | null {
    const isApi = request.url?.startsWith('/api/') === true;
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (!isReading) {
      const refusal = isApi ? changeRefusal(request) : controlRefusal(request);
      if (refusal) return refusal;
    }
    if (isReading || !isApi) {
      const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
      if (length !== '0' || coding !== undefined) return { statusCode: 400, text: 'A request here carries no body.' };
    }
    if (this.#names !== null && !this.#names.has(hostOf(request))) {
      return { statusCode: 421, text: 'Unknown host name: on the box itself, open it as localhost or 127.0.0.1.' };
    }
    // The page itself may be reached by a link from anywhere; what it loads is for itself alone.
    const site = request.headers['sec-fetch-site'];
    if (request.url !== '/' && (site === 'cross-site' || site === 'same-site')) {
      return { statusCode: 403, text: 'Not for pages of another origin.' };
    }
    return null;
  }
}

/**
 * The name that the request was sent to, '' where there is none. DNS rebinding: a page of the open web has its own name
 * resolve to 127.0.0.1 and then reads us as its own origin. It can't choose this header, which still carries that name.
 */
export function hostOf(request: IncomingMessage): string {
  const match = /^(\[[^\]]*\]|[^:]*)(?::\d{1,5})?$/.exec(request.headers.host ?? '');
  return (match?.[1] ?? '').toLowerCase();
}

/** The address that a request comes from; IPv4 as such. */
export function remoteOf(request: IncomingMessage): string {
  return request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
}

/** Of the API: who may do what is asked later; here only what no page of another origin could send. */
function changeRefusal({ method, headers }: IncomingMessage): Refusal | null {
  if (method === 'DELETE') return null;
  if (method !== 'POST') return { statusCode: 405, text: 'Only GET, HEAD, POST and DELETE.' };
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX) {
    return { statusCode: 413, text: `A body has a Content-Length, and at most ${BODY_BYTES_MAX} bytes.` };
  }
  if (!/^application\/json\b/i.test(headers['content-type'] ?? '')) {
    return { statusCode: 415, text: 'Send JSON, with Content-Type: application/json.' };
  }
  return null;
}

/**
 * The one thing that may be changed without signing in, and only from the box itself. A page of the open web can't send
 * the header without asking first, which is never granted.
 */
function controlRefusal(request: IncomingMessage): Refusal | null {
  if (request.method !== 'POST' || !request.url?.startsWith('/drain/')) {
    return { statusCode: 405, text: 'Only GET and HEAD: this is for reading.' };
  }
  if (!isLoopback(remoteOf(request))) {
    return { statusCode: 403, text: 'Only from the box itself: log in there, or use NATS.' };
  }
  if (request.headers[CONTROL_HEADER] !== 'yes') {
    return { statusCode: 403, text: 'Send the header Petiole-Control: yes with it.' };
  }
  return null;
}

/** Of an address or a name, as they stand in a configuration or a Host header. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** As it stands in a URL or a Host header. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host.toLowerCase();
}
