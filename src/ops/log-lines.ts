import type { LogRing, RingLine } from '../core/log-ring.ts';
import type { LogLevelName, LogLine, LogPage } from './api.ts';
import type { Handler } from './api-server.ts';
import { answerJson, choiceIn, countIn } from './exchange.ts';

const LEVELS: readonly (readonly [number, LogLevelName])[] = [
  [10, 'trace'],
  [20, 'debug'],
  [30, 'info'],
  [40, 'warn'],
  [50, 'error'],
  [60, 'fatal'],
];
const NAMES = LEVELS.map(([, name]) => name);

const LIMIT = 200;
const LIMIT_MAX = 1000;
/** A stack, or a list of addresses. */
const FIELD_CHARACTERS_MAX = 4000;

/** `GET /api/logs`. */
export function logHandlers(ring: LogRing): Record<string, Handler> {
  return {
    'GET /api/logs': ({ response, url }) => {
      const least = choiceIn(url, 'level', NAMES, 'trace');
      const after = countIn(url, 'after', 0, 0, Number.MAX_SAFE_INTEGER);
      const limit = countIn(url, 'limit', LIMIT, 1, LIMIT_MAX);
      const part = url.searchParams.get('part') ?? '';
      const all = ring.lines.map(shownLine);
      const lines = all.filter(
        (line) =>
          line.id > after && (part === '' || line.part === part) && NAMES.indexOf(line.level) >= NAMES.indexOf(least),
      );
      const parts = [...new Set(all.map((line) => line.part))].sort();
      const page: LogPage = { lines: lines.slice(-limit), parts, dropped: ring.dropped };
      answerJson(response, page);
    },
  };
}

/** What is no JSON of pino, as a line that was cut, is a message as it is. */
export function shownLine({ id, json }: RingLine): LogLine {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(json);
  } catch {
    return { id, atMs: 0, level: 'info', part: '', message: json.trim(), hint: '', fields: {} };
  }
  const { time, level, part, msg, message, hint, ...fields } = event;
  return {
    id,
    atMs: Date.parse(String(time)) || 0,
    level: LEVELS.find(([number]) => number === level)?.[1] ?? 'info',
    part: typeof part === 'string' ? part : '',
    message: [msg, message].filter((text) => typeof text === 'string' && text !== '').join(': '),
    hint: typeof hint === 'string' ? hint : '',
    fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, written(value)])),
  };
}

function written(value: unknown): string {
  const text = typeof value === 'string' ? value : stackOf(value);
  return text.slice(0, FIELD_CHARACTERS_MAX);
}

function stackOf(value: unknown): string {
  const stack = typeof value === 'object' && value !== null && 'stack' in value ? value.stack : undefined;
  return typeof stack === 'string' ? stack : (JSON.stringify(value) ?? '');
}
