import type { Socket } from 'node:net';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { HubAddress } from './hub-addresses.ts';
import { type StepOptions, takeStep } from './step.ts';

/** An HTTP proxy that opens tunnels (RFC 9110, 9.3.6). */
export interface HttpProxy {
  readonly host: string;
  readonly port: number;
  /** Basic authentication (RFC 7617); null: none. */
  readonly user: string | null;
  readonly password: string | null;
}

/** A proxy's answer is a status line and a handful of fields. */
const ANSWER_BYTES_MAX = 16 * 1024;
const END = '\r\n\r\n';

/**
 * Asks the proxy at the other end of `tcp` for a tunnel to the hub; the proxy looks up the hub's name. What follows the
 * answer is left in the socket. Rejects with a GatewayError: `proxy_refused`, or as `takeStep`.
 */
export async function tunnel(
  tcp: Socket,
  { host, port }: HubAddress,
  { user, password }: HttpProxy,
  step: Omit<StepOptions, 'during' | 'hint'>,
): Promise<void> {
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const basic = Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64');
  const proof = user === null ? '' : `Proxy-Authorization: Basic ${basic}\r\n`;
  tcp.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${proof}\r\n`);
  const during = 'waiting for the proxy to open the way';
  const hint = 'The proxy took the connection and says nothing: check that upstream.proxy.url is an HTTP proxy.';
  await takeStep<void>(tcp, { ...step, during, hint }, ({ done, fail }) => {
    let seen: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf(END);
      const isHttp = 'HTTP/'.startsWith(seen.toString('latin1', 0, 5));
      if (!isHttp || end === -1) {
        if (!isHttp || seen.length > ANSWER_BYTES_MAX) fail(refusal(0, '', step.url));
        return;
      }
      const [, status = '0', reason = ''] =
        /^HTTP\/1\.[01] (\d{3})(?: ([^\r\n]*))?\r\n/.exec(seen.toString('latin1')) ?? [];
      if (!status.startsWith('2')) {
        fail(refusal(Number(status), reason, step.url));
        return;
      }
      const rest = seen.subarray(end + END.length);
      done();
      if (rest.length > 0) tcp.unshift(rest);
    };
    tcp.on('data', read);
    return () => {
      tcp.pause();
      tcp.removeListener('data', read);
    };
  });
}

function refusal(status: number, reason: string, url: string): GatewayError {
  const [code, says, hint] = meaning(status, reason);
  return new GatewayError(code, `${url}: the proxy ${says}`, { hint });
}

function meaning(status: number, reason: string): readonly [code: ErrorCode, says: string, hint: string] {
  const said = `answers ${status} ${reason.slice(0, 100).replace(/[^\x20-\x7e]/g, '?')}`.trimEnd();
  if (status === 0) return ['proxy_refused', 'does not answer as HTTP does', 'Check upstream.proxy.url.'];
  if (status === 407) {
    return [
      'proxy_refused',
      `wants to know who asks (${said})`,
      'Check upstream.proxy.user and upstream.proxy.password_file.',
    ];
  }
  if (status === 403 || status === 405) {
    return [
      'proxy_refused',
      `forbids the way (${said})`,
      "Let the proxy open tunnels (CONNECT) to the hub's port, or use a wss:// address on port 443.",
    ];
  }
  if (status === 502 || status === 503 || status === 504) {
    return [
      'connection_refused',
      `can't reach the hub (${said})`,
      'Check the address in upstream.urls as the proxy sees it.',
    ];
  }
  return ['proxy_refused', said, "The proxy's log says more."];
}
