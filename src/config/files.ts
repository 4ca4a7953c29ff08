import { closeSync, openSync, readSync } from 'node:fs';
import { NKEY_SEED } from './fields.ts';
import type { Path, Report } from './problems.ts';
import { quote } from './problems.ts';
import type { Draft } from './validate.ts';

/** The files that a configuration names: read or tried while it is loaded, so that a wrong path shows at once. */

/** A password or a token is one line. */
const SECRET_BYTES_MAX = 4096;
/** A system's whole bundle of certificate authorities has some 250 KiB. */
const PEM_BYTES_MAX = 1024 * 1024;

export type FileText =
  | { readonly text: string; readonly failure: null }
  | { readonly text: null; readonly failure: string; readonly missing: boolean };

/** Reads a UTF-8 text of at most `bytesMax`; whatever the file is (a folder, a device), memory stays bounded. */
export function readText(path: string, bytesMax: number): FileText {
  const failed = (failure: string, missing = false): FileText => ({ text: null, failure, missing });
  const buffer = Buffer.allocUnsafe(bytesMax + 1);
  let length = 0;
  try {
    const file = openSync(path, 'r');
    try {
      let read = -1;
      // A pipe gives its text in pieces.
      while (read !== 0 && length < buffer.length) {
        read = readSync(file, buffer, length, buffer.length - length, null);
        length += read;
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return failed(failures.get(code) ?? `can't be read (${code})`, code === 'ENOENT' || code === 'ENOTDIR');
  }
  if (length > bytesMax) return failed(`is longer than ${bytesMax / 1024} KiB`);
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length)), failure: null };
  } catch {
    return failed('is no UTF-8 text');
  }
}

const failures = new Map([
  ['ENOENT', 'does not exist'],
  ['ENOTDIR', 'does not exist'],
  ['EACCES', 'may not be read by this user'],
  ['EPERM', 'may not be read by this user'],
  ['EISDIR', 'is a folder'],
  ['ELOOP', 'is a circle of links'],
  ['ENAMETOOLONG', 'has too long a name'],
]);

export interface Secrets {
  readonly password: string | null;
  readonly token: string | null;
  readonly nkeySeed: string | null;
  readonly proxyPassword: string | null;
}

/** Reads the secrets that stand in files and tries the TLS files. */
export function readFiles(
  { upstream, mqtt, status }: Draft,
  absolute: (path: string) => string,
  report: Report,
): Secrets {
  const secretOf = (inline: string | undefined, path: Path, file: string | undefined): string | null => {
    if (file === undefined) return inline ?? null;
    return readSecret(path, absolute(file), report);
  };
  const proxy = upstream?.proxy;
  tryTls(upstream?.tls ?? {}, ['upstream', 'tls'], absolute, report);
  tryTls(status?.tls ?? {}, ['status', 'tls'], absolute, report);
  if (upstream?.credentials !== undefined) tryCredentials(absolute(upstream.credentials), report);
  mqtt?.listeners?.forEach((listener, index) => {
    tryTls(listener?.tls ?? {}, ['mqtt', 'listeners', index, 'tls'], absolute, report);
  });
  return {
    password: secretOf(upstream?.password, ['upstream', 'password_file'], upstream?.password_file),
    token: secretOf(upstream?.token, ['upstream', 'token_file'], upstream?.token_file),
    nkeySeed: nkeySeedOf(secretOf(upstream?.nkey_seed, NKEY_FILE, upstream?.nkey_seed_file), report),
    proxyPassword: secretOf(proxy?.password, ['upstream', 'proxy', 'password_file'], proxy?.password_file),
  };
}

const NKEY_FILE: Path = ['upstream', 'nkey_seed_file'];

function nkeySeedOf(seed: string | null, report: Report): string | null {
  if (seed !== null && seed !== '' && !NKEY_SEED.test(seed)) {
    report(
      NKEY_FILE,
      'the file does not hold the seed of an NKey user',
      'it must hold one line: SU and 56 more characters',
    );
  }
  return seed;
}

function tryCredentials(file: string, report: Report): void {
  const path: Path = ['upstream', 'credentials'];
  const read = readText(file, PEM_BYTES_MAX);
  const { text, failure } = read;
  if (failure !== null) {
    // A box that is not enrolled yet takes data all the same, and the link says what is missing.
    if (!read.missing) report(path, `${quote(file)} ${failure}`, 'write the path of a readable credentials file');
  } else if (!text.includes('BEGIN NATS USER JWT')) {
    report(
      path,
      `${quote(file)} holds no "-----BEGIN NATS USER JWT-----"`,
      'it must be the credentials file of a user, as nsc or the hub issued it',
    );
  }
}

interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

function tryTls({ ca, cert, key }: TlsFiles, path: Path, absolute: (path: string) => string, report: Report): void {
  for (const [name, file, marker] of [
    ['ca', ca, 'CERTIFICATE-----'],
    ['cert', cert, 'CERTIFICATE-----'],
    ['key', key, 'PRIVATE KEY-----'],
  ] as const) {
    if (file !== undefined) tryPem([...path, name], absolute(file), marker, report);
  }
}

function readSecret(path: Path, file: string, report: Report): string | null {
  const { text, failure } = readText(file, SECRET_BYTES_MAX);
  const secret = text?.trim() ?? '';
  if (failure !== null) {
    report(path, `${quote(file)} ${failure}`, 'write the path of a readable file that holds the secret');
  } else if (secret === '' || /[\r\n\0]/.test(secret)) {
    report(path, `${quote(file)} does not hold one line of text`, 'the file must hold the secret and nothing else');
  }
  return secret;
}

function tryPem(path: Path, file: string, marker: string, report: Report): void {
  const { text, failure } = readText(file, PEM_BYTES_MAX);
  if (failure !== null) {
    report(path, `${quote(file)} ${failure}`, 'write the path of a readable file in PEM form');
  } else if (!text.includes('-----BEGIN ') || !text.includes(marker)) {
    const block = marker.slice(0, -5);
    report(
      path,
      `${quote(file)} holds no "-----BEGIN ${block}-----"`,
      'the file must be in PEM form (openssl can convert)',
    );
  }
}
