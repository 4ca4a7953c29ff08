/**
 * Below 0 where `a` is older than `b`, 0 where neither is. Numbers between dots by value, then what stands behind a `-` or
 * a `+` as text; a version with a `-` is older than the same without [semver 2.0.0, 11, as far as boards have it].
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  const length = Math.max(left.numbers.length, right.numbers.length);
  for (let i = 0; i < length; i++) {
    const difference = (left.numbers[i] ?? 0) - (right.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.rest === right.rest) return 0;
  if (left.rest === '') return right.rest.startsWith('-') ? 1 : -1;
  if (right.rest === '') return left.rest.startsWith('-') ? -1 : 1;
  return left.rest < right.rest ? -1 : 1;
}

function partsOf(version: string): { numbers: number[]; rest: string } {
  const [, digits = '', rest = ''] = /^v?([0-9.]*)(.*)$/.exec(version) ?? [];
  return {
    numbers: digits
      .split('.')
      .filter((part) => part !== '')
      .map(Number),
    rest,
  };
}
