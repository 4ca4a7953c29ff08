import { readFile } from 'node:fs/promises';
import { connect, isIP, type Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { GatewayError } from '../core/errors.ts';
import type { HubAddress } from './hub-addresses.ts';
import { closedError, silentError, socketError, stoppingError } from './hub-error.ts';
import { type LeafInfo, readInfo } from './hub-info.ts';
import type { LeafTls } from './leaf-types.ts';
import { infoBytesMax } from './parser.ts';

export interface DialOptions {
  readonly tls: LeafTls;
  /** Bound of each step: TCP, INFO, TLS. */
  readonly connectTimeoutMs: number;
}

/** An open line to a leafnode port that has introduced itself. */
export interface Line {
  readonly socket: Socket;
  /** The first INFO. Where TLS followed it, nobody has vouched for it. */
  readonly info: LeafInfo;
  /** What came behind the INFO in the same chunk; always empty with TLS. */
  readonly rest: Buffer;
}

// A second address is tried beside the first after this time. Node's own 250 ms is less than one round trip over a
// satellite or a weak mobile line, where every attempt would be given up in turn.
const NEXT_ADDRESS_AFTER_MS = 2_000;

/**
 * DNS (anew each time), TCP, the hub's INFO, TLS where the hub or the URL wants it. Rejects with a GatewayError and
 * leaves nothing open; so does an abort of the signal.
 */
export async function dial(address: HubAddress, options: DialOptions, signal: AbortSignal): Promise<Line> {
  const tcp = connect({
    host: address.host,
    port: address.port,
    noDelay: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
  });
  // An error that comes late, when somebody else already knows that the socket is lost.
  tcp.on('error', () => {});
  try {
    await opened(tcp, 'connect', address, options, signal, 'connecting');
    const { info, rest } = await firstInfo(tcp, address, options, signal);
    checkPort(info, address, options);
    if (!address.tls && !info.tlsRequired) return { socket: tcp, info, rest };
    if (rest.length > 0) {
      // Bytes that would be taken for the hub's although they came before the encryption.
      throw new GatewayError('protocol_violation', `${address.url}: plain text before the TLS handshake`);
    }
    return { socket: await secured(tcp, address, options, signal), info, rest };
  } catch (error) {
    tcp.destroy();
    throw error;
  }
}

/** Waits for the socket's event of success, and no longer than one step may last. */
function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  address: HubAddress,
  { connectTimeoutMs }: DialOptions,
  signal: AbortSignal,
  during: string,
): Promise<void> {
  const hint = 'Check the address, and any firewall on the way to the hub.';
  return new Promise((resolve, reject) => {
    const settle = (reason: GatewayError | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.removeListener(event, succeed).removeListener('error', fail).removeListener('close', close);
      if (reason === null) resolve();
      else reject(reason);
    };
    const succeed = (): void => settle(null);
    const stop = (): void => settle(stoppingError());
    const fail = (error: Error): void => settle(socketError(error, address.url, during));
    const close = (): void => settle(closedError(address.url, during));
    const timer = setTimeout(() => settle(silentError(address.url, connectTimeoutMs, during, hint)), connectTimeoutMs);
    signal.addEventListener('abort', stop);
    socket.once(event, succeed).once('error', fail).once('close', close);
    if (signal.aborted) stop();
  });
}

/** Reads up to the end of the first line, which must be an INFO. */
function firstInfo(
  socket: Socket,
  address: HubAddress,
  { connectTimeoutMs }: DialOptions,
  signal: AbortSignal,
): Promise<{ info: LeafInfo; rest: Buffer }> {
  const during = 'waiting for INFO';
  const hint =
    'Something accepts the connection and says nothing: check that the port is the leafnode port of a hub, ' +
    'and that the hub does not demand TLS first (handshake_first).';
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const settle = (reason: GatewayError | null): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.removeListener('data', read).removeListener('error', fail).removeListener('close', close);
      socket.pause();
      if (reason !== null) reject(reason);
    };
    const read = (chunk: Buffer): void => {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const end = seen.indexOf(10);
      const isInfo = /^INFO[ \t]/i.test(seen.toString('latin1', 0, 5)) || seen.length < 5;
      if (!isInfo || seen.length > infoBytesMax) {
        settle(notNats(address));
        return;
      }
      if (end === -1) return;
      try {
        const info = readInfo(seen.toString('utf8', 5, end));
        settle(null);
        resolve({ info, rest: seen.subarray(end + 1) });
      } catch (error) {
        settle(error as GatewayError);
      }
    };
    const stop = (): void => settle(stoppingError());
    const fail = (error: Error): void => settle(socketError(error, address.url, during));
    const close = (): void => settle(closedError(address.url, during));
    const timer = setTimeout(() => settle(silentError(address.url, connectTimeoutMs, during, hint)), connectTimeoutMs);
    signal.addEventListener('abort', stop);
    socket.on('data', read).once('error', fail).once('close', close);
    if (signal.aborted) stop();
  });
}

function checkPort(info: LeafInfo, address: HubAddress, { tls }: DialOptions): void {
  if (!info.isLeafPort) {
    throw new GatewayError('wrong_port', `${address.url} is a port of a NATS server, but not its leafnode port`, {
      hint: "Use the port of the hub's leafnodes block (usually 7422, not 4222) in upstream.urls.",
    });
  }
  if (address.tls && !info.tlsRequired && !info.tlsAvailable) {
    throw new GatewayError('tls_failed', `${address.url}: the hub does not speak TLS`, {
      hint: "Switch TLS on in the hub's leafnodes block; nats:// in upstream.urls would send everything in the clear.",
    });
  }
  if (info.tlsVerify && tls.cert === null) {
    throw new GatewayError('tls_failed', `${address.url}: the hub requires a client certificate`, {
      hint: "Set upstream.tls.cert and upstream.tls.key to a certificate that the hub's CA signed.",
    });
  }
}

/** TLS over the open socket. */
async function secured(tcp: Socket, address: HubAddress, options: DialOptions, signal: AbortSignal): Promise<Socket> {
  // Loaded only for links that use it: 5 MB resident.
  const tls = await import('node:tls');
  const secureContext = await readTls(tls.createSecureContext, options.tls);
  const socket = tls.connect({
    socket: tcp,
    secureContext,
    minVersion: 'TLSv1.2',
    host: address.tlsName,
    // An IP address is checked against the certificate as well, but must not be sent as a server name (RFC 6066, 3).
    ...(isIP(address.tlsName) === 0 ? { servername: address.tlsName } : {}),
  });
  socket.on('error', () => {});
  try {
    await opened(socket, 'secureConnect', address, options, signal, 'the TLS handshake');
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function readTls(
  create: typeof import('node:tls').createSecureContext,
  { ca, cert, key }: LeafTls,
): Promise<SecureContext> {
  const [caPem, certPem, keyPem] = await Promise.all([
    readPem('upstream.tls.ca', ca),
    readPem('upstream.tls.cert', cert),
    readPem('upstream.tls.key', key),
  ]);
  try {
    return create({
      ...(caPem === null ? {} : { ca: caPem }),
      ...(certPem === null ? {} : { cert: certPem }),
      ...(keyPem === null ? {} : { key: keyPem }),
    });
  } catch (cause) {
    throw new GatewayError('tls_failed', `upstream.tls: ${(cause as Error).message}`, {
      hint: 'The files must be PEM, and the key must belong to the certificate.',
      cause,
    });
  }
}

async function readPem(key: string, path: string | null): Promise<Buffer | null> {
  if (path === null) return null;
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new GatewayError('tls_failed', `${key}: cannot read ${path} (${code})`, {
      hint: 'Check the path, and that the account that runs Petiole may read the file.',
      cause,
    });
  }
}

function notNats(address: HubAddress): GatewayError {
  return new GatewayError('wrong_port', `${address.url} does not speak NATS`, {
    hint: "Use the address and port of the hub's leafnodes block in upstream.urls.",
  });
}
