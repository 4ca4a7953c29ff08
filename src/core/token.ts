import { createHash, randomBytes } from 'node:crypto';

/*
 * Tokens of users, `$sha256$digest` (base64 without padding). The box makes them itself, of random bytes, so that a fast
 * hash is as safe as a slow one and a token is looked up instead of tried for one user after the other.
 */

/** Nobody guesses 192 bits. */
const TOKEN_BYTES = 24;

const FORM = /^\$sha256\$[A-Za-z0-9+/]{43}$/;

export function isTokenHash(text: string): boolean {
  return FORM.test(text);
}

/** A new token, 32 characters that need no quotes in a URL or a shell. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

export function hashToken(token: string): string {
  return `$sha256$${createHash('sha256').update(token).digest('base64').replace(/=+$/, '')}`;
}
