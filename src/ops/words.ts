/** How the page, the terminal and the summary write figures and foreign text: one place, so that they agree. */

const NONE = '–';

/** 12345 → '12,345'. */
export function count(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

/** '1 message', '12,345 messages'. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

const SPANS: readonly { readonly unit: string; readonly seconds: number }[] = [
  { unit: 'd', seconds: 86_400 },
  { unit: 'h', seconds: 3600 },
  { unit: 'min', seconds: 60 },
];

/** Seconds in at most two units: '45 s', '12 min', '3 h 12 min', '2 d 4 h'; '–' for null. */
export function span(seconds: number | null): string {
  if (seconds === null) return NONE;
  // A clock that steps back must not show negative ages.
  const whole = Math.max(0, Math.floor(seconds));
  for (const [index, { unit, seconds: unitS }] of SPANS.entries()) {
    if (whole < unitS) continue;
    const lower = SPANS[index + 1];
    const rest = lower === undefined ? 0 : Math.floor((whole % unitS) / lower.seconds);
    return `${Math.floor(whole / unitS)} ${unit}${rest === 0 ? '' : ` ${rest} ${lower?.unit}`}`;
  }
  return `${whole} s`;
}

/** The span from a wall time until now: '12 min ago'; '–' for never. */
export function ago(atMs: number | null, nowMs: number): string {
  if (atMs === null) return NONE;
  return nowMs - atMs < 1000 ? 'just now' : `${span((nowMs - atMs) / 1000)} ago`;
}

/** Milliseconds: '0.4 ms', '18 ms', '3.2 s'; '–' for null. */
export function milliseconds(ms: number | null): string {
  if (ms === null) return NONE;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** '512 B', '1.2 MiB'. */
export function bytes(n: number): string {
  if (n < 1024) return `${Math.round(n)} B`;
  let value = n;
  let unit = 'B';
  for (const larger of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1023.5) break;
    value /= 1024;
    unit = larger;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** '0/s', '0.4/s', '12,000/s'. */
export function rate(perSecond: number): string {
  if (perSecond < 0.05) return '0/s';
  return `${perSecond < 9.95 ? perSecond.toFixed(1) : count(perSecond)}/s`;
}

/** A share from 0 to 1: '0 %', '< 1 %', '95 %'; never '100 %' before it is full. */
export function percent(share: number): string {
  if (share > 0 && share < 0.01) return '< 1 %';
  // The tiny addition keeps 0.57 * 100 from reading as 56.
  return `${Math.floor(Math.min(1, share) * 100 + 1e-9)} %`;
}

/** Characters of foreign text that are shown at most; a client identifier may have 65,535 bytes. */
export const TEXT_CHARACTERS_MAX = 120;

/**
 * Text from outside made fit to show on one line: control characters (a terminal would obey them), line separators and
 * bidirectional overrides (they make one name look like another) become '�', and long text is cut. Escaping for HTML is
 * not needed, for the page only ever sets text.
 */
export function printable(text: string, charactersMax = TEXT_CHARACTERS_MAX): string {
  const safe = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '�');
  return safe.length <= charactersMax ? safe : `${safe.slice(0, charactersMax - 1).toWellFormed()}…`;
}

/** Joins what happened and its cure into text with one full stop after each. */
export function sentences(...parts: string[]): string {
  return parts
    .map((part) => part.trim().replace(/[.;,\s]+$/, ''))
    .filter((part) => part !== '')
    .map((part) => `${capital(part)}.`)
    .join(' ');
}

/** Where it begins with a plain word: an address, a name with a figure in it and a command stay as they are. */
function capital(text: string): string {
  return /^[a-z]+[ ,]/.test(text) && !/^(?:nats|petiole) /.test(text)
    ? text.charAt(0).toUpperCase() + text.slice(1)
    : text;
}

/** For a message that goes on in the middle of a sentence: 'No stream takes x.' → 'no stream takes x'. */
export function clause(text: string): string {
  const bare = text.trim().replace(/[.;,\s]+$/, '');
  // An acronym or a name of several capitals ('TLS', 'PubAck') keeps its first letter.
  return /^\p{Lu}\p{Ll}*(\s|$)/u.test(bare) ? bare.charAt(0).toLowerCase() + bare.slice(1) : bare;
}
