import { GatewayError } from '../core/errors.ts';

/** A one-time ticket: one line, `petiole-ticket.` and base64url of JSON, as the fleet tool of deploy/hub prints it. */
export interface Ticket {
  /** The name of the box, `gateway.name`. */
  readonly name: string;
  readonly code: string;
  /** Where the boxes find the hub: URLs as in `upstream.urls`. */
  readonly urls: readonly string[];
  /** Of a bearer who may ask the enrolment service, and nothing else. */
  readonly jwt: string;
}

const FORM = /^petiole-ticket\.([A-Za-z0-9_-]{1,16384})$/;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const URLS_MAX = 16;

/** Throws a GatewayError `credentials_invalid` where the text is no ticket. */
export function readTicket(text: string): Ticket {
  const body = FORM.exec(text.trim())?.[1];
  if (body === undefined) throw noTicket('it is not one line that begins with petiole-ticket.');
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
  } catch {
    throw noTicket('it was cut');
  }
  const { name, code, urls, jwt } = (typeof parts === 'object' && parts !== null ? parts : {}) as Record<
    string,
    unknown
  >;
  if (typeof name !== 'string' || !NAME.test(name)) throw noTicket('it names no box');
  if (typeof code !== 'string' || typeof jwt !== 'string') throw noTicket('it has no code');
  if (!Array.isArray(urls) || urls.length === 0 || urls.length > URLS_MAX) throw noTicket('it names no hub');
  return { name, code, urls: urls.map(String), jwt };
}

function noTicket(why: string): GatewayError {
  return new GatewayError('credentials_invalid', `this is no ticket: ${why}`, {
    retriable: false,
    hint: 'copy it again, whole, or have a new one made',
  });
}
