import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { GatewayError } from '../core/errors.ts';
import type { ListenerTls } from '../core/listen.ts';
import type { Log } from '../core/log.ts';

/** Loaded only for listeners with TLS: node:tls is 5 MB resident. */

const DAY_MS = 24 * 60 * 60 * 1000;
/** Time to renew, on the day somebody restarts the box or reads its log. */
const WARN_DAYS = 14;

/** Names of a client certificate that are compared with those of users; a device has one or two. */
const NAMES_MAX = 16;

export function tlsServer(options: TlsOptions): Server {
  return createServer(options);
}

/** Reads the files of a listener. `where`: its protocol and address. Rejects with tls_failed for what no client could connect to. */
export async function readTls(tls: ListenerTls, where: string, timeoutMs: number, log: Log): Promise<TlsOptions> {
  const [cert, key, ca] = await Promise.all([
    readPem(tls.cert, 'cert', where),
    readPem(tls.key, 'key', where),
    tls.ca === null ? null : readPem(tls.ca, 'ca', where),
  ]);
  const options: TlsOptions = {
    cert,
    key,
    ...(ca !== null && { ca }),
    minVersion: 'TLSv1.2',
    handshakeTimeout: timeoutMs,
    requestCert: tls.clientCertificates !== 'none',
    rejectUnauthorized: tls.clientCertificates === 'required',
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError('tls_failed', `TLS for ${where}: ${why}`, {
      retriable: false,
      hint: `the key (${tls.key}) must belong to the certificate (${tls.cert}), and both be in PEM form without a passphrase`,
      cause,
    });
  }
  warnOfExpiry(cert, tls.cert, where, log);
  return options;
}

async function readPem(path: string, key: string, where: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new GatewayError('tls_failed', `TLS for ${where}: cannot read ${path} (${code})`, {
      retriable: false,
      hint: `set tls.${key} of the listener to a file that the account of the box may read`,
      cause,
    });
  }
}

/**
 * A certificate that has expired is no reason to stay away: the clock of a box without a battery is wrong at boot, and
 * clients with a sound one refuse it themselves.
 */
function warnOfExpiry(pem: Buffer, path: string, where: string, log: Log): void {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const days = Math.floor((validToDate.getTime() - Date.now()) / DAY_MS);
  const fields = { listener: where, certificate: path, from: validFromDate, until: validToDate };
  if (days < 0) {
    log.warn({ ...fields, hint: 'renew it, then restart the box' }, 'the certificate of a listener has expired');
  } else if (validFromDate.getTime() > Date.now()) {
    log.warn({ ...fields, hint: 'check the clock of the box' }, 'the certificate of a listener is not valid yet');
  } else if (days < WARN_DAYS) {
    log.warn({ ...fields, hint: 'renew it, then restart the box' }, `a certificate expires in ${days} days`);
  }
}

/**
 * Common name and alternative names (DNS, e-mail, URI) of a client's certificate; none where it has none, or one that no
 * authority of the listener has signed.
 */
export function certificateNames(socket: TLSSocket): string[] {
  if (!socket.authorized) return [];
  const { subject, subjectaltname = '' } = socket.getPeerCertificate();
  // Declared as one text, and a list where a certificate has several.
  const common: unknown = subject?.CN;
  const names = [common].flat().filter((name) => typeof name === 'string');
  // Node quotes a name with a comma or a quote in it; whose names need that is nobody's device.
  if (!subjectaltname.includes('"')) {
    for (const part of subjectaltname.split(', ')) {
      const [, name] = /^(?:DNS|email|URI):(.+)$/s.exec(part) ?? [];
      if (name !== undefined) names.push(name);
    }
  }
  return names.slice(0, NAMES_MAX);
}
