import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Node itself is larger, and has what keys look like for its own tests of them. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** What a credential looks like: a seed of an NKey, a private key, a JWT, a password written out. */
const CREDENTIALS: readonly RegExp[] = [
  /\bS[UAONC][A-Z2-7]{56}\b/,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{20}/,
  /\beyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}/,
  /\bnpm_[A-Za-z0-9]{36}\b/,
  /^\s*(?:password|token|nkey_seed)\s*[:=]\s*"?(?!in plain sight|…|\$)[\w+/]{12,}"?\s*$/m,
];

/** The form of a credential that the text has; undefined for none. */
export function credentialIn(text: string): RegExp | undefined {
  return CREDENTIALS.find((form) => form.test(text));
}

/** Files below a folder that have one, of those that an artefact is made of. */
export function filesWithCredential(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => statSync(path).size < FILE_BYTES_MAX && credentialIn(readFileSync(path, 'latin1')) !== undefined);
}
