import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { certificateFor, type StatusTls } from './certificate.ts';
import { bracketed } from './guard.ts';

/** A request here is a line and a few headers; cookies of other services on the same host name may come along. */
const HEADER_BYTES_MAX = 8192;
/** Time for a whole request to arrive, and how often late ones are looked for. */
const REQUEST_TIMEOUT_MS = 5000;
const LATE_CHECK_MS = 1000;
/** An idle connection holds one of the few places. */
const KEEP_ALIVE_TIMEOUT_MS = 5000;

/** Speaks HTTP within bounds, by TLS where `tls` says so. `malformed` is called for what is no HTTP, and no TLS. */
export async function boundedServer(
  tls: StatusTls | null,
  log: Log,
  malformed: () => void,
): Promise<Server | SecureServer> {
  const server = await make(tls, log, malformed);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    malformed();
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy();
    const status = CLIENT_ERRORS[error.code ?? ''] ?? '400 Bad Request';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  return server;
}

async function make(tls: StatusTls | null, log: Log, malformed: () => void): Promise<Server | SecureServer> {
  const bounds = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: LATE_CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    noDelay: true,
  };
  // Not by import: that would evaluate every export of the module and load a whole HTTP client, 11 MB resident.
  if (tls === null) return process.getBuiltinModule('node:http').createServer(bounds);
  const pem = await certificateFor(tls, log);
  const handshakeTimeout = REQUEST_TIMEOUT_MS;
  const server = process
    .getBuiltinModule('node:https')
    .createServer({ ...bounds, ...pem, minVersion: 'TLSv1.2', handshakeTimeout });
  server.on('tlsClientError', malformed);
  return server;
}

const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

const LISTEN_FAILURES: Readonly<Record<string, { code: ErrorCode; what: string; hint: string }>> = {
  EADDRINUSE: {
    code: 'address_in_use',
    what: 'another program listens there',
    hint: 'Stop that program (`ss -ltnp` names it), or set status.listen to another port',
  },
  EACCES: {
    code: 'listen_denied',
    what: 'this user may not listen there',
    hint: 'Set status.listen to a port of 1024 or above, such as 8080',
  },
  EADDRNOTAVAIL: {
    code: 'address_not_available',
    what: 'this machine has no such address',
    hint: 'Set status.listen to an address of this machine, such as 127.0.0.1:8080',
  },
  ENOTFOUND: {
    code: 'name_not_found',
    what: 'the name is not known',
    hint: 'Set status.listen to an address of this machine, such as 127.0.0.1:8080',
  },
};

/** Why the address can't be had, and what to do. */
export function listenFailure(host: string, port: number, cause: NodeJS.ErrnoException): GatewayError {
  const known = LISTEN_FAILURES[cause.code ?? ''];
  const { code, what, hint } = known ?? {
    code: 'address_not_available',
    what: cause.message,
    hint: 'Check status.listen',
  };
  const where = `${bracketed(host)}:${port}`;
  return new GatewayError(code, `The status page cannot listen on ${where}: ${what}`, {
    retriable: false,
    hint,
    cause,
  });
}
