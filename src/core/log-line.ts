/**
 * One event of the log as one line for people: time of day, level, part, what happened, then the fields and the cure.
 *
 *   08:01:02.345 INFO  main     ready  listeners.mqtt=127.0.0.1:1883 listeners.status=127.0.0.1:8080
 *   08:01:02.345 WARN  upstream no link to the hub: hub:7422: connection refused  code=…  cure: Check that it runs.
 */

const LEVELS: Readonly<Record<number, { name: string; colour: number }>> = {
  10: { name: 'TRACE', colour: 2 },
  20: { name: 'DEBUG', colour: 2 },
  30: { name: 'INFO', colour: 32 },
  40: { name: 'WARN', colour: 33 },
  50: { name: 'ERROR', colour: 31 },
  60: { name: 'FATAL', colour: 31 },
};
const WARN = 40;
const BOLD = 1;
const DIM = 2;
/** As long as the longest name of a part, so that the messages stand in a column. */
const PART_CHARACTERS = 8;
/** Deeper fields than `listeners.mqtt` are written as JSON. */
const NESTING_MAX = 2;

/** `json` is one line of pino; what is no JSON comes back as it is. */
export function logLine(json: string, colour: boolean): string {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(json);
  } catch {
    return json;
  }
  const { time, level, part, msg, message, hint, err, ...fields } = event;
  const text = harmless([msg, message].filter((piece) => typeof piece === 'string' && piece !== '').join(': '));
  const paint = (text: string, code: number): string => (colour && text !== '' ? `\x1b[${code}m${text}\x1b[0m` : text);
  const { name, colour: levelColour } = LEVELS[Number(level)] ?? { name: String(level), colour: DIM };
  const cells = [
    paint(clock(time), DIM),
    paint(name.padEnd(5), levelColour),
    paint(harmless(String(part ?? '')).padEnd(PART_CHARACTERS), DIM),
    Number(level) >= WARN ? paint(text, BOLD) : text,
  ];
  const shown = Object.entries(fields).flatMap(([key, value]) => pairs(key, value));
  const tail = shown.length === 0 ? '' : `  ${paint(shown.join(' '), DIM)}`;
  const cure = typeof hint === 'string' && hint !== '' ? `  ${paint('cure:', DIM)} ${harmless(hint)}` : '';
  return `${cells.join(' ')}${tail}${cure}\n${err === undefined ? '' : trace(err)}`;
}

/** Local time of day: who watches a terminal knows the date. */
function clock(time: unknown): string {
  const date = new Date(String(time));
  if (Number.isNaN(date.getTime())) return '??:??:??.???';
  const two = (n: number): string => String(n).padStart(2, '0');
  const seconds = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${seconds}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** `key=value`, or one such pair for each key of an object. */
function pairs(key: string, value: unknown, depth = 1): string[] {
  if (isPlain(value) && !isAddress(value) && depth < NESTING_MAX) {
    return Object.entries(value).flatMap(([inner, each]) => pairs(`${key}.${inner}`, each, depth + 1));
  }
  return [`${harmless(key)}=${shown(value)}`];
}

function shown(value: unknown): string {
  if (value === null) return 'none';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(shown).join(',');
  if (isAddress(value)) return `${value.host.includes(':') ? `[${value.host}]` : value.host}:${value.port}`;
  if (typeof value === 'string')
    return value === '' || /[\s"=]/.test(value) ? harmless(JSON.stringify(value)) : harmless(value);
  return harmless(JSON.stringify(value) ?? String(value));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isAddress(value: unknown): value is { host: string; port: number } {
  return isPlain(value) && typeof value.host === 'string' && typeof value.port === 'number';
}

/** A mistake of ours: the stack is what it takes to mend it, so it may have lines of its own. */
function trace(err: unknown): string {
  const text = isPlain(err) ? String(err.stack ?? err.message) : String(err);
  return text
    .split('\n')
    .map((line) => `    ${harmless(line)}\n`)
    .join('');
}

/** Names and texts come from outside, too: what a terminal would obey is written as an escape. */
function harmless(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
