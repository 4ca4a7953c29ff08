/** Lines around a change. */
const CONTEXT_LINES = 3;
/** A file of the longest size has some 2,000 lines; the table below is their square. */
const LINES_MAX = 3000;

/** A unified difference of two texts; '' where they are the same. */
export function lineDifference(before: string, after: string): string {
  const [a, b] = [before.split('\n').slice(0, LINES_MAX), after.split('\n').slice(0, LINES_MAX)];
  const steps = stepsOf(a, b);
  const changed = steps.map(({ sign }) => sign !== ' ');
  const near = steps.map((_, at) =>
    changed.slice(Math.max(0, at - CONTEXT_LINES), at + CONTEXT_LINES + 1).includes(true),
  );
  const lines: string[] = [];
  for (const [at, { sign, text, line }] of steps.entries()) {
    if (!near[at]) continue;
    if (at === 0 || !near[at - 1]) lines.push(`@@ line ${line} @@`);
    lines.push(`${sign}${text}`);
  }
  return lines.join('\n');
}

interface Step {
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
  /** In the text before, from 1. */
  readonly line: number;
}

/** By the longest common subsequence of what lies between the lines that both begin and end with. */
function stepsOf(a: readonly string[], b: readonly string[]): Step[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [rows, columns] = [a.length - start - end, b.length - start - end];
  const width = columns + 1;
  const lengths = new Uint16Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const diagonal = lengths[(i + 1) * width + j + 1] ?? 0;
      const best = Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
      lengths[i * width + j] = a[start + i] === b[start + j] ? diagonal + 1 : best;
    }
  }
  const steps: Step[] = a.slice(0, start).map((text, at) => ({ sign: ' ', text, line: at + 1 }));
  let [i, j] = [0, 0];
  while (i < rows || j < columns) {
    const line = start + i + 1;
    if (i < rows && j < columns && a[start + i] === b[start + j]) {
      steps.push({ sign: ' ', text: a[start + i] ?? '', line });
      i++;
      j++;
    } else if (i < rows && (j >= columns || (lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0))) {
      steps.push({ sign: '-', text: a[start + i++] ?? '', line });
    } else steps.push({ sign: '+', text: b[start + j++] ?? '', line });
  }
  for (let at = a.length - end; at < a.length; at++) steps.push({ sign: ' ', text: a[at] ?? '', line: at + 1 });
  return steps;
}
