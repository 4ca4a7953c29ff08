/** Times as devices write them: by a form such as `DD.MM.YYYY HH:mm:ss`, in the zone that the device's clock is set to. */

const parts = /YYYY|YY|MM|DD|HH|mm|ss|SSS/g;
const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?$/;
/** Forms and zones of one configuration. */
const CACHE_MAX = 64;

const forms = new Map<string, { pattern: RegExp; names: string[] }>();
const zones = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds since 1970; null where the text has not this form. `form` '' is ISO 8601, whose own offset is used. */
export function parseTime(text: string, form: string, timeZone: string): number | null {
  if (form === '') {
    const found = ISO.exec(text);
    if (found === null) return null;
    const [, year, month, day, hour, minute, second = '0', fraction = '0', offset] = found;
    const ms = Math.floor(Number(`0.${fraction}`) * 1000);
    const clockMs = clock(Number(year), Number(month), Number(day), Number(hour), Number(minute), Number(second), ms);
    if (clockMs === null) return null;
    if (offset === undefined) return clockMs - zoneOffsetMs(clockMs, timeZone);
    return offset === 'Z' ? clockMs : clockMs - offsetMs(offset);
  }
  const { pattern, names } = formOf(form);
  const found = pattern.exec(text);
  if (found === null) return null;
  const value = (name: string, none: number): number => {
    const index = names.indexOf(name);
    return index < 0 ? none : Number(found[index + 1]);
  };
  const year = names.includes('YYYY') ? value('YYYY', 1970) : 2000 + value('YY', -30);
  const clockMs = clock(
    year,
    value('MM', 1),
    value('DD', 1),
    value('HH', 0),
    value('mm', 0),
    value('ss', 0),
    value('SSS', 0),
  );
  return clockMs === null ? null : clockMs - zoneOffsetMs(clockMs, timeZone);
}

/** Whether the zone is one that this machine knows. */
export function isTimeZone(timeZone: string): boolean {
  try {
    zoneOf(timeZone);
    return true;
  } catch {
    return false;
  }
}

function clock(year: number, month: number, day: number, hour: number, minute: number, second: number, ms: number) {
  const atMs = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  const at = new Date(atMs);
  // A 30th of February would silently be in March.
  const isReal = at.getUTCMonth() === month - 1 && at.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  return isReal ? atMs : null;
}

function offsetMs(text: string): number {
  const digits = text.replace(':', '');
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3));
  return (digits.startsWith('-') ? -minutes : minutes) * 60_000;
}

function formOf(form: string): { pattern: RegExp; names: string[] } {
  const known = forms.get(form);
  if (known !== undefined) return known;
  const names = form.match(parts) ?? [];
  const source = form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(parts, (name) => `(\\d{${name.length}})`);
  const made = { pattern: new RegExp(`^${source}$`), names: [...names] };
  if (forms.size >= CACHE_MAX) forms.clear();
  forms.set(form, made);
  return made;
}

function zoneOf(timeZone: string): Intl.DateTimeFormat {
  const known = zones.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  if (zones.size >= CACHE_MAX) zones.clear();
  zones.set(timeZone, made);
  return made;
}

/** How far the zone's clock is ahead of UTC when it shows `clockMs`. Twice, because the offset itself depends on it. */
function zoneOffsetMs(clockMs: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  const first = offsetAt(clockMs, timeZone);
  return offsetAt(clockMs - first, timeZone);
}

function offsetAt(atMs: number, timeZone: string): number {
  const shown: Record<string, number> = {};
  for (const { type, value } of zoneOf(timeZone).formatToParts(atMs)) shown[type] = Number(value);
  const { year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = shown;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000;
}
