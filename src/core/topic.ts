/**
 * MQTT topics and NATS subjects: as nats-server maps them, for every topic that it maps safely, and reversibly for all.
 *
 *   level → token     `a/b` → `a.b`          an empty level is the token `/`: `/a` → `/.a`, `a//b` → `a./.b`
 *   `.` → `//`        `a.b` → `a//b`         (no level has a `/`, so none of these can be taken for another)
 *   escaped: %XX      `a b` → `a%20b`        U+0001 to U+0020, U+007F, `*`, `>`: what nats-server refuses, or takes for
 *                                            a wildcard
 *   `%` → `%25`       `a%20b` → `a%2520b`    only where it begins what would be read as such an escape; `50%` stays
 *
 * The rest, `$` and all beyond ASCII included, is the same on both sides. A level is always one token, so a rule on a
 * prefix (`line3.>`) holds for exactly the topics below it.
 */

import { isSystemSubject } from './subject.ts';

/** A topic travels as an MQTT string: two bytes of length. [MQTT-4.7.3-3] */
const TOPIC_BYTES_MAX = 65_535;

const PERCENT = 0x25;
const DOT = 0x2e;
const SLASH = 0x2f;

/** By character code, what stands in the subject in its place; '' where the character stays. */
const tokenText: readonly string[] = Array.from({ length: 0x80 }, (_, code) => {
  if (code === DOT) return '//';
  const isEscaped = (code > 0x00 && code <= 0x20) || code === 0x7f || code === 0x2a || code === 0x3e;
  return isEscaped ? `%${code.toString(16).toUpperCase().padStart(2, '0')}` : '';
});

/** The way back, with `%25`, and with what stands in the topic for characters that no topic brings into a subject. */
const levelText: ReadonlyMap<string, string> = new Map([
  ...tokenText.flatMap((text, code): [string, string][] => (text === '' ? [] : [[text, String.fromCharCode(code)]])),
  ['%25', '%'],
  ['/', '%2F'],
  ['+', '%2B'],
  ['#', '%23'],
]);

/**
 * The subject of a topic name. The name is legal (see isTopicName); then so is the subject, and it has no wildcards. No
 * two names share a subject. At most three times as long as the name.
 */
export function topicToSubject(topic: string): string {
  return isPlain(topic) ? topic.replaceAll('/', '.') : topic.split('/').map(levelToToken).join('.');
}

/**
 * The topic of a subject: `subjectToTopic(topicToSubject(t)) === t`. Every legal subject has one, and it is a legal
 * topic name as far as its characters go (its length may exceed what MQTT can carry). What stands in a subject that
 * comes from no topic, and has no place in a topic name, is percent-escaped: `+`, `#` and a `/` that is not one of a
 * pair and not a token of its own. That way is not reversible: `a/b` becomes `a%2Fb`, whose subject is `a%2Fb`.
 */
export function subjectToTopic(subject: string): string {
  if (!/[/%+#]/.test(subject)) return subject.replaceAll('.', '/');
  // One empty level would be no topic at all. [MQTT-4.7.3-1]
  if (subject === '/') return '%2F';
  return subject.split('.').map(tokenToLevel).join('/');
}

/**
 * The NATS filters that together match what a topic filter matches, never both the same subject. Two for `x/#`, which
 * matches `x` as well [MQTT-4.7.1-2]; one for the others. The filter is legal (see isTopicFilter); a `$share/…/` in front
 * is already taken off.
 */
export function filterToSubjects(filter: string): string[] {
  if (filter === '#') return ['>'];
  if (!filter.endsWith('/#')) return [levelsToTokens(filter)];
  const parent = filter.slice(0, -2);
  // The parent of `/#` is the empty topic, and there is none.
  if (parent === '') return ['/.>'];
  const subject = levelsToTokens(parent);
  return [`${subject}.>`, subject];
}

/**
 * Whether a message is hidden from an MQTT subscription: filters that begin with a wildcard do not see the topics of
 * the system [MQTT-4.7.2-1], to which we count `_INBOX`. Both arguments as NATS has them: one of filterToSubjects, and
 * the subject of the message.
 */
export function isHidden(filter: string, subject: string): boolean {
  return (filter.startsWith('*') || filter.startsWith('>')) && isSystemSubject(subject);
}

/** A legal topic name: 1 to 65,535 bytes [MQTT-4.7.3-1] [MQTT-4.7.3-3], no wildcards [MQTT-3.3.2-2], no U+0000 [MQTT-4.7.3-2]. */
export function isTopicName(topic: string): boolean {
  return isTopic(topic) && !topic.includes('+') && !topic.includes('#');
}

/** A legal topic filter: as a name, with `+` as a whole level [MQTT-4.7.1-3] and `#` as a whole last level [MQTT-4.7.1-2]. */
export function isTopicFilter(filter: string): boolean {
  if (!isTopic(filter)) return false;
  const levels = filter.split('/');
  return levels.every((level, i) => {
    if (level === '+') return true;
    if (level === '#') return i === levels.length - 1;
    return !level.includes('+') && !level.includes('#');
  });
}

/** Well-formed UTF-16 only: a lone surrogate has no UTF-8 [MQTT-1.5.4-1], and its subject would be another one. */
function isTopic(topic: string): boolean {
  if (topic === '' || topic.length > TOPIC_BYTES_MAX) return false;
  if (topic.includes('\0') || !topic.isWellFormed()) return false;
  return topic.length * 3 <= TOPIC_BYTES_MAX || Buffer.byteLength(topic) <= TOPIC_BYTES_MAX;
}

/** The common case, `a/b/c`: nothing to escape and no empty level. One pass over the characters. */
function isPlain(topic: string): boolean {
  let previous = SLASH;
  for (let i = 0; i < topic.length; i++) {
    const code = topic.charCodeAt(i);
    if (code === SLASH) {
      if (previous === SLASH) return false;
    } else if (code < 0x80 && (code === PERCENT || tokenText[code] !== '')) return false;
    previous = code;
  }
  return previous !== SLASH;
}

function levelsToTokens(filter: string): string {
  return filter
    .split('/')
    .map((level) => (level === '+' ? '*' : levelToToken(level)))
    .join('.');
}

function levelToToken(level: string): string {
  if (level === '') return '/';
  let token = '';
  let start = 0;
  for (let i = 0; i < level.length; i++) {
    const code = level.charCodeAt(i);
    const text = code === PERCENT && levelText.has(level.slice(i, i + 3)) ? '%25' : (tokenText[code] ?? '');
    if (text === '') continue;
    token += level.slice(start, i) + text;
    start = i + 1;
  }
  return token + level.slice(start);
}

function tokenToLevel(token: string): string {
  if (token === '/') return '';
  return token.replace(/\/\/|[/+#]|%[0-9A-F]{2}/g, (text) => levelText.get(text) ?? text);
}
