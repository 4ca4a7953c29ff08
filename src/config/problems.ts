/** One thing that is wrong with the configuration. Either `line` and `column` or `variable` say where, or none can. */
export interface Problem {
  /** The key, such as `lanes[1].max_bytes`; '' for the file as a whole. */
  readonly path: string;
  /** From 1. */
  readonly line: number | null;
  /** From 1. */
  readonly column: number | null;
  /** The environment variable that the value comes from. */
  readonly variable: string | null;
  /** What is wrong: what was expected and what was found. Never a secret. */
  readonly message: string;
  /** How to mend it. */
  readonly hint: string;
}

/** Where in the tree of keys and list positions. */
export type Path = readonly (string | number)[];

/** Takes a problem; whoever hands it out adds the line or the variable. */
export type Report = (path: Path, message: string, hint: string) => void;

/** Longest piece of the operator's own text that a message repeats. */
const QUOTE_CHARS_MAX = 60;
/** Longest word that is compared with the known keys; no key is near that long. */
const WORD_CHARS_MAX = 100;

/** `lanes[1].max_bytes`. Keys that are no plain words are quoted, so that they can't steer a terminal. */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!/^[\w-]{1,60}$/.test(step)) text += `[${quote(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}

/** The operator's own text, shortened, with everything that could steer a terminal written as an escape. */
export function quote(text: string): string {
  const shown = text.length > QUOTE_CHARS_MAX ? `${text.slice(0, QUOTE_CHARS_MAX)}…` : text;
  return JSON.stringify(shown).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What stands in the file, in a few words. Of a secret only its kind. */
export function describeFound(value: unknown, secret: boolean): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return secret ? `text of ${value.length} characters` : quote(hideCredentials(value));
  if (secret) return `a ${typeof value}`;
  return typeof value === 'number' ? `the number ${value}` : String(value);
}

/** `nats://user:password@host` without what stands before the `@`. */
function hideCredentials(text: string): string {
  return text.replace(/(:\/\/).*@/s, '$1…@');
}

/** The candidate that was most likely meant; null where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > WORD_CHARS_MAX) return null;
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = Math.min(
      editDistance(word.toLowerCase(), candidate.toLowerCase()),
      editDistance(sortedWords(word), sortedWords(candidate)),
    );
    // One slip in three letters: more would suggest a key at random.
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `bytesMax`, `bytes-max` and `max_bytes` are the same words. */
function sortedWords(key: string): string {
  return key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[\s_.-]+/)
    .sort()
    .join('_');
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(beforeLast, j - 2) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

/** Text for a terminal or a journal: one line for each problem, its cure below it, and how many there are. */
export function describeProblems(file: string | null, problems: readonly Problem[]): string {
  const lines: string[] = [];
  for (const problem of problems) {
    const where = problem.variable ?? (problem.line === null ? file : `${file}:${problem.line}:${problem.column}`);
    lines.push([where, problem.path, problem.message].filter((part) => part !== null && part !== '').join(': '));
    if (problem.hint !== '') lines.push(`    cure: ${problem.hint}`);
  }
  lines.push(problems.length === 1 ? '1 problem' : `${problems.length} problems`);
  return `${lines.join('\n')}\n`;
}
