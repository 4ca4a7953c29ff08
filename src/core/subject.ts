/**
 * NATS subjects: tokens separated by `.`. In a filter a `*` token stands for one token and a last `>` token for one or
 * more. Both mean that only as a whole token: `a*` and `>b` are ordinary tokens.
 */

const DOT = 0x2e;
const STAR = 0x2a;
const GREATER = 0x3e;
const DOLLAR = 0x24;
const SPACE = 0x20;
const DEL = 0x7f;

/** A safe name stands in every record id, on every message that goes up. */
const SAFE_TOKEN_LENGTH_MAX = 64;
/** The name where nothing of the given one is left. */
const NAMELESS = 'petiole';

/**
 * Whether a message may be published on it: one or more tokens, none empty, no white space and no control characters
 * (U+0000 to U+0020, U+007F), which would break the line it travels in. `*` and `>` tokens are legal and mean
 * themselves: stock clients publish to `$JS.API.CONSUMER.CREATE.<stream>.<name>.<filter>`.
 */
export function isSubject(subject: string): boolean {
  let previous = DOT;
  for (let i = 0; i < subject.length; i++) {
    const code = subject.charCodeAt(i);
    if (code <= SPACE || code === DEL || (code === DOT && previous === DOT)) return false;
    previous = code;
  }
  return previous !== DOT;
}

/** Whether one may subscribe to it: a legal subject in which a `>` token is the last one. */
export function isFilter(filter: string): boolean {
  return isSubject(filter) && !filter.startsWith('>.') && !filter.includes('.>.');
}

/** Whether a filter has wildcards: if not, it matches one subject, itself. */
export function hasWildcard(filter: string): boolean {
  if (!filter.includes('*') && !filter.includes('>')) return false;
  const tokens = filter.split('.');
  return tokens.includes('*') || tokens.at(-1) === '>';
}

/**
 * Whether a filter matches a subject, both legal. Without a tree and without allocation: for lane patterns and
 * permissions. Wildcard tokens of the subject mean themselves.
 */
export function matches(filter: string, subject: string): boolean {
  let f = 0;
  let s = 0;
  for (;;) {
    const filterEnd = tokenEnd(filter, f);
    const subjectEnd = tokenEnd(subject, s);
    const first = filter.charCodeAt(f);
    const isSingle = filterEnd === f + 1;
    if (isSingle && first === GREATER && filterEnd === filter.length) return true;
    // A literal '*' or '>' token of the subject is matched by wildcards only, and here the filter's '*' is one.
    if (!(isSingle && first === STAR) && !isSameToken(filter, f, filterEnd, subject, s, subjectEnd)) return false;
    if (filterEnd === filter.length || subjectEnd === subject.length) {
      return filterEnd === filter.length && subjectEnd === subject.length;
    }
    f = filterEnd + 1;
    s = subjectEnd + 1;
  }
}

/** Whether there is a subject that both filters match. */
export function overlaps(a: string, b: string): boolean {
  const tokensA = a.split('.');
  const tokensB = b.split('.');
  const shorter = Math.min(tokensA.length, tokensB.length);
  for (let i = 0; i < shorter; i++) {
    const tokenA = tokensA[i];
    const tokenB = tokensB[i];
    // Both have at least one token left, and that is what '>' asks for.
    if (isRest(tokensA, i) || isRest(tokensB, i)) return true;
    if (tokenA !== tokenB && tokenA !== '*' && tokenB !== '*') return false;
  }
  return tokensA.length === tokensB.length;
}

/** Whether `outer` matches every subject that `inner` matches. */
export function covers(outer: string, inner: string): boolean {
  const outerTokens = outer.split('.');
  const innerTokens = inner.split('.');
  for (const [i, token] of innerTokens.entries()) {
    if (isRest(outerTokens, i)) return true;
    if (isRest(innerTokens, i)) return false;
    if (outerTokens[i] !== token && outerTokens[i] !== '*') return false;
  }
  return outerTokens.length === innerTokens.length;
}

/**
 * Whether a subject (or a filter) is the system's and not the application's: it starts with `$`, or its first token is
 * `_INBOX`. Such a message is journaled only where a lane names it, and no MQTT filter that begins with a wildcard sees
 * it.
 */
export function isSystemSubject(subject: string): boolean {
  if (subject.charCodeAt(0) === DOLLAR) return true;
  return subject.startsWith('_INBOX') && tokenEnd(subject, 0) === '_INBOX'.length;
}

/**
 * Makes a name (of a host, of a gateway) safe as one subject token: letters, digits, `-` and `_` stay, accents are
 * taken off, and each run of anything else becomes one `-`. At most 64 characters; `petiole` where no letter or digit is
 * left. Two names may become one.
 */
export function safeToken(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '');
  const token = plain.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, SAFE_TOKEN_LENGTH_MAX);
  return /[A-Za-z0-9]/.test(token) ? token : NAMELESS;
}

function tokenEnd(subject: string, start: number): number {
  const dot = subject.indexOf('.', start);
  return dot < 0 ? subject.length : dot;
}

function isSameToken(a: string, startA: number, endA: number, b: string, startB: number, endB: number): boolean {
  if (endA - startA !== endB - startB) return false;
  for (let i = startA, k = startB; i < endA; i++, k++) if (a.charCodeAt(i) !== b.charCodeAt(k)) return false;
  return true;
}

function isRest(tokens: readonly string[], index: number): boolean {
  return tokens[index] === '>' && index === tokens.length - 1;
}
