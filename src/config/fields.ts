import { createRequire } from 'node:module';
import * as v from 'valibot';
import { isUserKey } from '../core/nkey.ts';
import { isPasswordHash } from '../core/password.ts';
import { hasWildcard, isFilter, isSystemSubject } from '../core/subject.ts';
import { isTokenHash } from '../core/token.ts';
import { isRule } from '../core/users.ts';
import { type Address, readHubUrl, readListen, readProxyUrl } from './address.ts';
import { durationUnits, parseDuration, parseSize, sizeUnits } from './units.ts';

/**
 * The kinds of values that a configuration file has. The message of every step completes the sentence "expected …";
 * a second line, where there is one, is the cure.
 */

/** What a reader made of a value: the value, or what it would have taken. */
export type Reading<T> = { readonly value: T } | { readonly expected: string; readonly hint?: string };

/** Longest text value: names, addresses and paths are far shorter. */
export const TEXT_CHARS_MAX = 1024;
/** A gateway's or lane's name is in the id of each record, so every character costs bytes on every message. */
const NAME_CHARS_MAX = 64;
/** JetStream's own bound of a stream name. */
const STREAM_NAME_CHARS_MAX = 255;

/** A value that `read` makes of what is written. */
export function field<T>(read: (input: unknown) => Reading<T>) {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const reading = read(dataset.value);
      if ('value' in reading) return reading.value;
      addIssue({ message: reading.hint === undefined ? reading.expected : `${reading.expected}\n${reading.hint}` });
      return NEVER;
    }),
  );
}

/** A map with these keys and no others; unknown keys are found by `validate`. */
export function map<const T extends v.ObjectEntries>(entries: T) {
  return v.object(entries, 'a map of keys and values');
}

/** A list of `min` to `max` items. */
export function list<const T extends v.GenericSchema>(item: T, min: number, max: number) {
  const expected = min === 0 ? `a list of at most ${max}` : `a list of ${min} to ${max}`;
  return v.pipe(
    v.array(item, expected),
    v.check((items) => items.length >= min && items.length <= max, expected),
  );
}

export function text() {
  const expected = `text of 1 to ${TEXT_CHARS_MAX} characters`;
  return v.pipe(
    v.string(expected),
    v.check((value) => value.length >= 1 && value.length <= TEXT_CHARS_MAX, expected),
  );
}

/** Text that is never shown: not in a message, not on the status page. */
export function secret() {
  return v.pipe(text(), v.metadata({ secret: true }));
}

/** A path as written; a relative one starts at the folder of the configuration file. */
export function path() {
  const expected = `a path of 1 to ${TEXT_CHARS_MAX} characters`;
  return v.pipe(
    v.string(expected),
    // A NUL would end the path early in the system call.
    v.check((value) => value.length >= 1 && value.length <= TEXT_CHARS_MAX && !value.includes('\0'), expected),
  );
}

/** A gateway's or a lane's name: one token of a subject and one part of a record id. */
export function name() {
  const expected = `a name of 1 to ${NAME_CHARS_MAX} letters, digits, "-" and "_"`;
  return v.pipe(v.string(expected), v.regex(new RegExp(`^[A-Za-z0-9_-]{1,${NAME_CHARS_MAX}}$`), expected));
}

/** A JetStream stream's name. */
export function streamName() {
  const expected = 'a stream name (no white space, ".", "*", ">", "/" or "\\")';
  return v.pipe(
    v.string(expected),
    v.regex(new RegExp(`^[^\\s.*>/\\\\\\u0000-\\u001f\\u007f]{1,${STREAM_NAME_CHARS_MAX}}$`), expected),
  );
}

export function choice<const T extends readonly [string, ...string[]]>(options: T) {
  return v.picklist(options, `one of ${options.join(', ')}`);
}

export function yesOrNo() {
  return v.boolean('true or false');
}

export function count(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.check((value) => Number.isInteger(value) && value >= min && value <= max, expected),
  );
}

/** Bytes, written with a unit. The limits are written as they are in the file. */
export function size(min: string, max: string) {
  return field((input) => readAmount(input, parseSize, `a size with its unit (${sizeUnits})`, 'KiB', min, max));
}

/** Milliseconds, written with a unit. With `min` '0', a bare 0 means none. */
export function duration(min: string, max: string) {
  return field((input) => readAmount(input, parseDuration, `a time with its unit (${durationUnits})`, 's', min, max));
}

/** Bytes per second: the key names the unit already, so a bare number serves too. 0 means none. */
export function bytesPerSecond(max: string) {
  const expected = `bytes as a whole number or with a unit (${sizeUnits}), at most ${max}; 0 for none`;
  const limit = parseSize(max) ?? 0;
  return field<number>((input) => {
    const value =
      typeof input === 'number' || /^\d{1,15}$/.test(String(input)) ? Number(input) : parseSize(String(input));
    return value !== null && Number.isInteger(value) && value >= 0 && value <= limit ? { value } : { expected };
  });
}

function readAmount(
  input: unknown,
  parse: (text: string) => number | null,
  noun: string,
  unit: string,
  min: string,
  max: string,
): Reading<number> {
  if (min === '0' && (input === 0 || input === '0')) return { value: 0 };
  if (/^\d{1,15}$/.test(String(input))) {
    return { expected: noun, hint: `a bare number has no unit: write for example ${input}${unit}` };
  }
  const value = typeof input === 'string' ? parse(input) : null;
  if (value === null) return { expected: noun };
  if (value < (parse(min) ?? 0) || value > (parse(max) ?? 0)) return { expected: `${noun} from ${min} to ${max}` };
  return { value };
}

export function listen() {
  return field(readListen);
}

/** An address, or `off`, which gives null. */
export function listenOrOff() {
  return field<Address | null>((input) => (input === 'off' ? { value: null } : readListen(input)));
}

export function hubUrl() {
  return field(readHubUrl);
}

export function proxyUrl() {
  return field(readProxyUrl);
}

/** The seed of an NKey user. Its checksum is looked at when it signs. */
export function nkeySeed() {
  const expected = 'the seed of an NKey user (SU and 56 more capital letters and digits)';
  return v.pipe(secret(), v.regex(NKEY_SEED, expected));
}

export const NKEY_SEED = /^SU[A-Z2-7]{56}$/;

/** Tokens that stand before every subject of the box at the hub; '' for none. */
export function subjectPrefix() {
  const expected = 'one or more tokens joined by ".", without wildcards and not beginning with "$" or "_INBOX"';
  return field<string>((input) => {
    if (typeof input !== 'string' || input.length > 255) return { expected };
    if (input === '') return { value: '' };
    return isFilter(input) && !hasWildcard(input) && !isSystemSubject(input) ? { value: input } : { expected };
  });
}

/** Minutes in which something may happen, as a cron expression of five fields; with a field for seconds in front, six. */
export function cron(seconds: 'none' | 'allowed' = 'none') {
  const five = 'a cron expression of five fields: minute, hour, day of month, month, day of week';
  const expected = seconds === 'none' ? five : `${five}; or six, with seconds in front`;
  const counts = seconds === 'none' ? [5] : [5, 6];
  return v.pipe(
    v.string(expected),
    v.check((value) => counts.includes(value.trim().split(/\s+/).length) && isCron(value), expected),
  );
}

/** The library is loaded where there is something to check: most boxes have no such key. */
function isCron(value: string): boolean {
  const { validate } = createRequire(import.meta.url)('node-cron') as { validate(text: string): boolean };
  return validate(value);
}

/** A user's name: no `/`, `+`, `#` or white space, so it can be one level of a topic. */
export function userName() {
  const expected = `a name of 1 to ${NAME_CHARS_MAX} letters, digits and "_", "-", ".", "@"`;
  return v.pipe(v.string(expected), v.regex(new RegExp(`^[\\p{L}\\p{N}_.@-]{1,${NAME_CHARS_MAX}}$`, 'u'), expected));
}

export function passwordHash() {
  const expected = 'a hash "$scrypt$ln=…,r=…,p=…$salt$hash"\n`petiole user passwd NAME` makes one';
  return v.pipe(secret(), v.check(isPasswordHash, expected));
}

export function tokenHash() {
  const expected = 'a hash "$sha256$…" of a token that the box has made\n`petiole user token NAME` makes one';
  return v.pipe(secret(), v.check(isTokenHash, expected));
}

/** The public half of a user's NKey. */
export function userKey() {
  const expected =
    'the public key of a user, "U" and 55 more letters and digits\n`nk -gen user -pubout` makes a pair; the seed "S…" stays with the client';
  return v.pipe(v.string(expected), v.check(isUserKey, expected));
}

/** The public half of a key that signs firmware. */
export function signingKey() {
  const expected = 'an Ed25519 public key of 43 letters, digits, "-" and "_"\n`petiole firmware key` makes a pair';
  return v.pipe(v.string(expected), v.regex(/^[A-Za-z0-9_-]{43}$/, expected));
}

/** Of a web page, as browsers send it: no path behind it. */
export function origin() {
  const expected = 'an origin such as https://panel.example or http://192.168.0.7:8080, without a path';
  return v.pipe(
    v.string(expected),
    v.check((value) => URL.parse(value)?.origin === value, expected),
  );
}

/** Where WebSockets are asked for. */
export function urlPath() {
  const expected = 'a path that begins with "/", of letters, digits and "/._-"';
  return v.pipe(v.string(expected), v.regex(/^\/[A-Za-z0-9/._-]{0,200}$/, expected));
}

/** A NATS subject filter. */
export function subject() {
  return subjectFilter(
    'a NATS subject filter: tokens joined by ".", "*" for one token, a last ">" for the rest',
    isFilter,
  );
}

/** A subject filter of a user, which may have placeholders. */
export function rule() {
  const expected = 'a NATS subject filter, in which {clientid} and {username} stand for a whole token';
  return subjectFilter(expected, isRule);
}

function subjectFilter(expected: string, isLegal: (text: string) => boolean) {
  return field<string>((input) => {
    if (typeof input !== 'string') return { expected };
    // Legal as a subject, but it would match nothing: MQTT's wildcards are what its writer meant.
    if (input.split('/').some((level) => level === '+' || level === '#')) {
      const meant = input.replaceAll('/', '.').replaceAll('+', '*').replaceAll('#', '>');
      return { expected, hint: `this is an MQTT topic filter; as a subject filter it is ${JSON.stringify(meant)}` };
    }
    return input.length <= TEXT_CHARS_MAX && isLegal(input) ? { value: input } : { expected };
  });
}
