import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { SignedIn } from './sign-in-secrets.ts';

/** A shift; every visit within it makes it longer. */
export const SESSION_MS = 12 * 3_600_000;
/** Sessions that were ended before their time and are remembered; the oldest is forgotten with more. */
const ENDED_MAX = 1_000;
/** `o.<seconds since 1970>.<nonce>.<seal>`. */
const TOKEN = /^([ov])\.(\d{1,12})\.([\w-]{22})\.([\w-]{43})$/;

export interface Session {
  readonly role: SignedIn;
  readonly expiresAtMs: number;
  /** For the header Petiole-CSRF. */
  readonly csrf: string;
  readonly nonce: string;
}

/**
 * Sessions of the status page, without a list of them: a token says who it is for and until when, and is sealed with a
 * key made from the secrets. So a session outlives a restart of the box, and ends with the secret that it came from.
 */
export class Sessions {
  readonly #key: Buffer;
  readonly #ended = new Set<string>();

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** A token for a new session; `nonce` of an old one makes it longer. */
  token(role: SignedIn, nowMs: number, nonce: string = randomBytes(16).toString('base64url')): string {
    const text = `${role[0]}.${Math.floor((nowMs + SESSION_MS) / 1000)}.${nonce}`;
    return `${text}.${this.#seal(text)}`;
  }

  /** Null for one that is not ours, has ended or has been ended. */
  session(token: string, nowMs: number): Session | null {
    const [, role, seconds, nonce = '', seal = ''] = TOKEN.exec(token) ?? [];
    if (role === undefined) return null;
    const expected = this.#seal(`${role}.${seconds}.${nonce}`);
    if (!timingSafeEqual(Buffer.from(seal), Buffer.from(expected))) return null;
    const expiresAtMs = Number(seconds) * 1000;
    if (expiresAtMs <= nowMs || this.#ended.has(nonce)) return null;
    return { role: role === 'o' ? 'operator' : 'viewer', expiresAtMs, csrf: this.#seal(`csrf ${nonce}`), nonce };
  }

  end({ nonce }: Session): void {
    if (this.#ended.size >= ENDED_MAX) for (const oldest of this.#ended) if (this.#ended.delete(oldest)) break;
    this.#ended.add(nonce);
  }

  isCsrf(session: Session, given: string): boolean {
    const expected = Buffer.from(session.csrf);
    const buffer = Buffer.from(given);
    return buffer.length === expected.length && timingSafeEqual(buffer, expected);
  }

  #seal(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}
