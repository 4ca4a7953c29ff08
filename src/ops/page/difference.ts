/** What became of a line. */
export interface DifferenceLine {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

/** Lines compared at most: the table below grows with the square; a configuration has some hundred. */
const LINES_MAX = 2000;

/**
 * The lines that differ between two texts, with `around` lines before and after each; null in their place stands for
 * lines left out. By the longest common subsequence, after the equal head and tail have been set aside.
 */
export function difference(before: string, after: string, around = 2): (DifferenceLine | null)[] {
  return condensed(compare(before.split('\n'), after.split('\n')), around);
}

function compare(a: readonly string[], b: readonly string[]): DifferenceLine[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const same = (text: string): DifferenceLine => ({ kind: 'same', text });
  return [
    ...a.slice(0, head).map(same),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map(same),
  ];
}

function middle(a: readonly string[], b: readonly string[]): DifferenceLine[] {
  if (a.length > LINES_MAX || b.length > LINES_MAX) {
    return [
      ...a.map((text) => ({ kind: 'gone', text }) as const),
      ...b.map((text) => ({ kind: 'new', text }) as const),
    ];
  }
  const width = b.length + 1;
  // common[i * width + j]: length of the longest common subsequence of a[i..] and b[j..].
  const common = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DifferenceLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ kind: 'same', text: a[i] ?? '' });
      i++;
      j++;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: 'gone', text: a[i++] ?? '' });
    } else {
      lines.push({ kind: 'new', text: b[j++] ?? '' });
    }
  }
  return lines;
}

function condensed(lines: readonly DifferenceLine[], around: number): (DifferenceLine | null)[] {
  const isNear = lines.map((_, at) => lines.slice(Math.max(0, at - around), at + around + 1).some(differs));
  return lines.flatMap((line, at) => (isNear[at] ? [line] : isNear[at - 1] || at === 0 ? [null] : []));
}

function differs({ kind }: DifferenceLine): boolean {
  return kind !== 'same';
}
