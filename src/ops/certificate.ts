import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';

/** Where the status page gets its certificate from. */
export type StatusTls =
  | { readonly kind: 'self-made'; readonly folder: string }
  | { readonly kind: 'files'; readonly cert: string; readonly key: string };

/** What the thread is asked to make. */
export interface CertificateOrder {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
}

/** PEM texts. */
export interface MadeCertificate {
  readonly cert: string;
  readonly key: string;
}

const CERT_FILE = 'status-cert.pem';
const KEY_FILE = 'status-key.pem';
/** More than a box has interfaces; a certificate is sent at every handshake. */
const ADDRESSES_MAX = 32;

/**
 * The certificate of the status page. A self-made one is made once and then stays, since those who trust it trust its
 * fingerprint. Rejects with tls_failed.
 */
export async function certificateFor(tls: StatusTls, log: Log): Promise<MadeCertificate> {
  if (tls.kind === 'files') return sound({ cert: read(tls.cert), key: read(tls.key) }, `${tls.cert} and ${tls.key}`);
  const [certFile, keyFile] = [join(tls.folder, CERT_FILE), join(tls.folder, KEY_FILE)];
  try {
    return sound({ cert: read(certFile), key: read(keyFile) }, certFile);
  } catch {
    // None yet, or none that is of use: a new one is made.
  }
  const made = await make(orderOf(networkInterfaces()));
  try {
    writeFileSync(`${keyFile}.new`, made.key, { mode: 0o600, flush: true });
    writeFileSync(`${certFile}.new`, made.cert, { mode: 0o600, flush: true });
    renameSync(`${keyFile}.new`, keyFile);
    renameSync(`${certFile}.new`, certFile);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({ reason, hint: 'it holds until the box restarts' }, 'the certificate that was made cannot be written');
  }
  log.info({ sha256: fingerprintOf(made.cert) }, 'a certificate for the status page was made');
  return made;
}

/** As browsers show it: `AB:CD:…`. */
export function fingerprintOf(cert: string): string {
  return new X509Certificate(cert).fingerprint256;
}

/** The fingerprint of a self-made certificate in this folder; '' where there is none. */
export function fingerprintIn(folder: string): string {
  try {
    return fingerprintOf(readFileSync(join(folder, CERT_FILE), 'utf8'));
  } catch {
    return '';
  }
}

async function make(order: CertificateOrder): Promise<MadeCertificate> {
  const file = import.meta.url.endsWith('.ts') ? './certificate-worker.ts' : './certificate-worker.js';
  const worker = new Worker(new URL(file, import.meta.url), { name: 'certificate', workerData: order });
  try {
    const [made] = await once(worker, 'message');
    return made as MadeCertificate;
  } catch (cause) {
    throw new GatewayError('tls_failed', 'No certificate for the status page could be made', {
      hint: 'Name one with status.tls.cert and status.tls.key, or write `tls: off`',
      retriable: false,
      cause,
    });
  } finally {
    await worker.terminate();
  }
}

/** Every name and address by which the box may be asked for. */
function orderOf(interfaces: NodeJS.Dict<{ address: string }[]>): CertificateOrder {
  const name = hostname().slice(0, 63) || 'petiole';
  const isHost = /^[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/.test(name);
  const hosts = ['localhost', ...(isHost ? [name, `${name.split('.')[0]}.local`] : [])];
  const addresses = Object.values(interfaces).flatMap((list = []) =>
    list.map(({ address }) => address.split('%')[0] ?? ''),
  );
  return { name, hosts: [...new Set(hosts)], addresses: [...new Set(addresses)].slice(0, ADDRESSES_MAX) };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new GatewayError('tls_failed', `TLS for the status page: cannot read ${path} (${code})`, {
      hint: 'Set status.tls.cert and status.tls.key to files that the account of the box may read',
      retriable: false,
      cause,
    });
  }
}

function sound(pem: MadeCertificate, where: string): MadeCertificate {
  try {
    if (new X509Certificate(pem.cert).checkPrivateKey(createPrivateKey(pem.key))) return pem;
  } catch (cause) {
    throw unsound(where, cause);
  }
  throw unsound(where, undefined);
}

function unsound(where: string, cause: unknown): GatewayError {
  return new GatewayError('tls_failed', `TLS for the status page: ${where} do not belong together`, {
    hint: 'Both must be in PEM form, without a passphrase, and the key that of the certificate',
    retriable: false,
    cause,
  });
}
