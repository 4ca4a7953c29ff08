import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Scope } from './scope.ts';
import { tempDir } from './temp.ts';

export interface Certificate {
  /** PEM files. */
  cert: string;
  key: string;
}

/** An authority of the test's own, made with the openssl command. */
export class Authority {
  readonly ca: string;
  readonly #key: string;
  readonly #dir: string;

  /** `signer`: it is one below another; `extensions` as in openssl's configuration. */
  constructor(scope: Scope, signer: Authority | null = null, extensions = 'basicConstraints=critical,CA:TRUE') {
    this.#dir = tempDir(scope, 'ca');
    this.ca = join(this.#dir, 'ca.pem');
    this.#key = join(this.#dir, 'ca.key');
    if (signer === null) {
      openssl(
        'req',
        '-x509',
        ...EC,
        '-keyout',
        this.#key,
        '-out',
        this.ca,
        '-days',
        '2',
        '-subj',
        '/CN=test authority',
      );
      return;
    }
    const csr = join(this.#dir, 'ca.csr');
    openssl('req', ...EC, '-keyout', this.#key, '-out', csr, '-subj', `/CN=${basename(this.#dir)}`);
    signer.#sign(csr, this.ca, extensions, 2);
  }

  #sign(csr: string, certificate: string, extensions: string, days: number): void {
    const file = `${csr}.ext`;
    writeFileSync(file, `${extensions}\n`);
    const authority = ['-CA', this.ca, '-CAkey', this.#key, '-CAcreateserial'];
    openssl('x509', '-req', '-in', csr, ...authority, '-days', String(days), '-extfile', file, '-out', certificate);
  }

  /** `names` as in a subjectAltName: `IP:127.0.0.1`, `DNS:localhost`. `days` may be negative: expired. */
  issue(name: string, names: string, days = 2): Certificate {
    const path = (suffix: string) => join(this.#dir, `${name}.${suffix}`);
    openssl('req', ...EC, '-keyout', path('key'), '-out', path('csr'), '-subj', `/CN=${name}`);
    this.#sign(path('csr'), path('pem'), `subjectAltName=${names}`, days);
    return { cert: path('pem'), key: path('key') };
  }
}

/** Elliptic curve keys are made in milliseconds. */
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
