import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Role } from './api.ts';

/** In the folder of the journal, for the box's user and root alone. */
export const SECRETS_FILE = 'sign-in.json';

/** Crockford's base 32: without I, L, O and U, so that what is read from a screen is typed right. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 100 bits: no guessing, and still typed on a phone. */
const SECRET_CHARACTERS = 20;
const GROUP_CHARACTERS = 5;
/** A secret with hyphens and spaces; more is not looked at. */
const TYPED_CHARACTERS_MAX = 100;

export type SignedIn = Exclude<Role, 'none'>;

interface SecretsText {
  operator: string;
  viewer: string;
  /** When somebody signed in for the first time; null: nobody yet. */
  firstSignInAtMs: number | null;
}

/**
 * The secrets of the status page: one that may change things and one that only reads, made at the first start. Who
 * deletes the file and restarts the box gets new ones, and every session ends.
 */
export class SignInSecrets {
  readonly #file: string;
  readonly #log: Log;
  #text: SecretsText;
  readonly #isNew: boolean;

  /** Reads the file or makes it. A file that cannot be read is kept as `.bad`; one that cannot be written is told of. */
  constructor(folder: string, log: Log) {
    this.#file = join(folder, SECRETS_FILE);
    this.#log = log;
    const found = readSecrets(this.#file);
    this.#isNew = found === null;
    this.#text = found ?? { operator: newSecret(), viewer: newSecret(), firstSignInAtMs: null };
    if (found === null) {
      this.#write();
      log.info({ file: this.#file }, 'secrets for signing in to the status page are made: `petiole status --secret`');
    }
  }

  /** Made by this start. */
  get isNew(): boolean {
    return this.#isNew;
  }

  get isUsed(): boolean {
    return this.#text.firstSignInAtMs !== null;
  }

  /** The operator's, in groups. */
  get operator(): string {
    return grouped(this.#text.operator);
  }

  /** For what has to end when the secrets change. */
  get key(): Buffer {
    return createHash('sha256').update(`${this.#text.operator} ${this.#text.viewer}`).digest();
  }

  /** Whose secret it is, however it is typed; none for a wrong one. Takes the same time for each. */
  roleOf(typed: string): Role {
    const given = plain(typed.slice(0, TYPED_CHARACTERS_MAX));
    const isOperator = isSame(given, this.#text.operator);
    const isViewer = isSame(given, this.#text.viewer);
    return isOperator ? 'operator' : isViewer ? 'viewer' : 'none';
  }

  /** From now on nobody is shown a secret for being on the box. */
  noteUse(nowMs: number): void {
    if (this.isUsed) return;
    this.#text = { ...this.#text, firstSignInAtMs: nowMs };
    this.#write();
  }

  #write(): void {
    try {
      mkdirSync(join(this.#file, '..'), { recursive: true });
      // Whole or not at all: a power cut must not leave half a secret.
      writeFileSync(`${this.#file}.new`, `${JSON.stringify(this.#text, null, 2)}\n`, { mode: 0o600, flush: true });
      chmodSync(`${this.#file}.new`, 0o600);
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.warn({ reason, hint: 'they hold until the box restarts' }, 'the sign-in secrets cannot be written');
    }
  }
}

/** The secrets of a box on this machine, in groups; null where there are none, or this user may not read them. */
export function secretsIn(folder: string): { operator: string; viewer: string; isUsed: boolean } | null {
  try {
    const text = parsed(readFileSync(join(folder, SECRETS_FILE), 'utf8'));
    if (text === null) return null;
    const isUsed = text.firstSignInAtMs !== null;
    return { operator: grouped(text.operator), viewer: grouped(text.viewer), isUsed };
  } catch {
    return null;
  }
}

function readSecrets(file: string): SecretsText | null {
  let json: string;
  try {
    json = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const text = parsed(json);
  if (text !== null) return text;
  try {
    renameSync(file, `${file}.bad`);
  } catch {
    // The new one takes its place.
  }
  return null;
}

function parsed(json: string): SecretsText | null {
  try {
    const { operator, viewer, firstSignInAtMs = null } = JSON.parse(json);
    const isSound = [operator, viewer].every((text) => typeof text === 'string' && plain(text).length >= 16);
    if (!isSound || operator === viewer) return null;
    return { operator: plain(operator), viewer: plain(viewer), firstSignInAtMs };
  } catch {
    return null;
  }
}

function newSecret(): string {
  return Array.from(randomBytes(SECRET_CHARACTERS), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

function grouped(secret: string): string {
  return secret.match(new RegExp(`.{1,${GROUP_CHARACTERS}}`, 'g'))?.join('-') ?? '';
}

/** As it is compared: letters that are easily mistaken count as the digits that they look like. */
function plain(typed: string): string {
  return typed
    .toUpperCase()
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1')
    .replace(/[^0-9A-Z]/g, '');
}

function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'petiole').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
