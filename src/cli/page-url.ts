import { GatewayError } from '../core/errors.ts';
import { printable } from '../ops/words.ts';

/** Where the status page of a running box is, and what it means when nobody answers there. */

export const DEFAULT_URL = 'http://127.0.0.1:8080';

/** Throws config_invalid where it is no http address. */
export function parsedUrl(text: string): URL {
  const hint = `Give it as ${DEFAULT_URL}`;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new GatewayError('config_invalid', `--url ${printable(text)} is not an http address`, {
      hint,
      retriable: false,
    });
  }
  return url;
}

/** No answer at all, or none in time. */
export function unreachable(base: URL, cause: unknown): GatewayError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  if (inner instanceof Error && inner.name === 'TimeoutError') {
    const hint = 'The box is overloaded or stopping, or a firewall drops the request: try again, and read its log';
    return new GatewayError('connection_timeout', `No answer from ${base.origin} within 5 s`, { hint, cause });
  }
  if (code === 'ECONNREFUSED') {
    const hint = 'Start it with `petiole run`, or give the address of its status page with --url';
    return new GatewayError('connection_refused', `No box runs at ${base.origin}`, { hint, cause });
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const hint = 'Check the name, or use its address';
    return new GatewayError('name_not_found', `The name ${base.hostname} is not known`, { hint, cause });
  }
  const why = inner instanceof Error ? inner.message : String(inner);
  const hint = 'Check the address given with --url';
  return new GatewayError('connection_closed', `${base.origin} did not answer: ${printable(why)}`, { hint, cause });
}
