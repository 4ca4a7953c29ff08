const bytesPerUnit = new Map([
  ['B', 1],
  ['kB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

const msPerUnit = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** For messages: the units a size takes. kB, MB, GB, TB (powers of ten) are understood too. */
export const sizeUnits = 'B, KiB, MiB, GiB, TiB';
/** For messages: the units a time takes. */
export const durationUnits = 'ms, s, m, h, d';

/** Bytes of `512MiB`, `1.5 GiB` or `64kB`; null where it is not a whole number of bytes with a known unit. */
export function parseSize(text: string): number | null {
  return parse(text, bytesPerUnit);
}

/** Milliseconds of `250ms`, `30d` or `1.5h`; null where it is not a whole number of them with a known unit. */
export function parseDuration(text: string): number | null {
  return parse(text, msPerUnit);
}

/** The shortest exact spelling in powers of two, such as `64MiB`. */
export function formatSize(bytes: number): string {
  return format(bytes, bytesPerUnit, ['TiB', 'GiB', 'MiB', 'KiB', 'B']);
}

/** The shortest exact spelling, such as `30d`. */
export function formatDuration(ms: number): string {
  return format(ms, msPerUnit, ['d', 'h', 'm', 's', 'ms']);
}

function parse(text: string, units: ReadonlyMap<string, number>): number | null {
  const [, digits, unit] = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]{1,3})$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : units.get(unit);
  if (digits === undefined || factor === undefined) return null;
  // 0.1 is no exact double: 16.1s is 16100.000000000002 ms, and the operator meant 16100.
  const exact = Number(digits) * factor;
  const whole = Math.round(exact);
  return Number.isSafeInteger(whole) && Math.abs(exact - whole) < 1e-6 ? whole : null;
}

function format(amount: number, units: ReadonlyMap<string, number>, largestFirst: readonly string[]): string {
  if (amount === 0) return '0';
  for (const unit of largestFirst) {
    const factor = units.get(unit) ?? 1;
    if (amount % factor === 0) return `${amount / factor}${unit}`;
  }
  return String(amount);
}
