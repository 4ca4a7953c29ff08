import { readFile } from 'node:fs/promises';
import { isIP, type Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import { GatewayError } from '../core/errors.ts';
import type { ClockFloor } from './hub-certificate.ts';
import type { LeafTls } from './leaf-types.ts';
import { type StepOptions, stepUntil } from './step.ts';

/** TLS 1.2 or newer over the open socket; `tlsName` is what the hub's certificate must bear. Rejects as `takeStep`. */
export async function secured(
  tcp: Socket,
  tlsName: string,
  { tls: files, clockFloor }: { readonly tls: LeafTls; readonly clockFloor?: ClockFloor },
  step: Omit<StepOptions, 'during' | 'hint'>,
): Promise<TLSSocket> {
  // Loaded only for links that use it: 5 MB resident.
  const tls = await import('node:tls');
  const secureContext = await readTls(tls.createSecureContext, files);
  const floorMs = clockFloor?.ms() ?? null;
  const socket = tls.connect({
    socket: tcp,
    secureContext,
    minVersion: 'TLSv1.2',
    host: tlsName,
    // By the wall clock nothing is valid: it is looked at below, before anything is sent.
    rejectUnauthorized: floorMs === null,
    // An IP address is checked against the certificate as well, but must not be sent as a server name (RFC 6066, 3).
    ...(isIP(tlsName) === 0 ? { servername: tlsName } : {}),
  });
  socket.on('error', () => {});
  try {
    const during = 'the TLS handshake';
    const hint = 'The far end does not answer as TLS does: check that the port speaks TLS first, or the line.';
    await stepUntil(socket, 'secureConnect', { ...step, during, hint });
    if (floorMs !== null && !socket.authorized) {
      await mustBeSound(socket, tlsName, files, floorMs, step.url);
      clockFloor?.used(step.url, floorMs);
    }
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Rejects where more than the wall clock speaks against the certificate. */
async function mustBeSound(
  socket: TLSSocket,
  tlsName: string,
  { ca }: LeafTls,
  floorMs: number,
  url: string,
): Promise<void> {
  const { checkServerIdentity, rootCertificates } = await import('node:tls');
  const { authoritiesOf, chainOf, objectionOf } = await import('./hub-certificate.ts');
  const code = String(socket.authorizationError ?? '');
  const caPem = await readPem('upstream.tls.ca', ca);
  const anchors = authoritiesOf(caPem === null ? rootCertificates : [caPem.toString('latin1')]);
  const name = checkServerIdentity(tlsName, socket.getPeerCertificate());
  const objection =
    code === 'CERT_NOT_YET_VALID' ? (name?.message ?? objectionOf(chainOf(socket), anchors, floorMs)) : code;
  if (objection === '') return;
  throw new GatewayError('tls_failed', `${url}: the certificate is not accepted: ${objection}`, {
    hint: 'The clock of the box is behind: let it reach a time server, and check upstream.tls.ca and the certificate.',
  });
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
