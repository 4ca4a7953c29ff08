import { type Document, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { isSecret, outlineAt } from './outline.ts';
import type { Path } from './problems.ts';
import { fileSchema } from './schema.ts';

/**
 * A configuration file that may be shown and edited: its secrets are replaced by a word, and what is left as that word
 * in an edited copy gets its value back. Everything else, comments and layout too, stays as it is.
 */

export const REDACTED = '[redacted]';
/** With its quotes: a bracket begins a list in YAML. */
const WRITTEN = `"${REDACTED}"`;
/** Settings that are not made, but stand there. */
const COMMENTED = /^(\s*#.*\b(?:password|token|secret|seed|password_hash|token_hash|nkey_seed)["']?\s*:\s*)\S.*$/;
/** `nats://user:password@host`. */
const CREDENTIALS = /(\w:\/\/)[^\s/@]+@/g;

interface Secret {
  /** Where it is in the tree; an item of a list by its name, so that a list may be sorted anew. */
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: unknown;
}

export function redactText(text: string): string {
  let shown = text;
  for (const { start, end } of secretsOf(text).toReversed()) shown = shown.slice(0, start) + WRITTEN + shown.slice(end);
  return shown
    .split('\n')
    .map((line) => line.replace(COMMENTED, `$1${REDACTED}`).replace(CREDENTIALS, `$1${REDACTED}@`))
    .join('\n');
}

/** The edited text with the secrets of the original; `missing`: keys whose value is not in it. */
export function restoreText(edited: string, original: string): { text: string; missing: string[] } {
  const known = new Map(secretsOf(original).map(({ key, start, end }) => [key, original.slice(start, end)]));
  const missing: string[] = [];
  let text = edited;
  for (const { key, start, end, value } of secretsOf(edited).toReversed()) {
    if (value !== REDACTED) continue;
    const source = known.get(key);
    if (source === undefined) missing.push(key);
    else text = text.slice(0, start) + source + text.slice(end);
  }
  return { text: restoreLines(text, original), missing };
}

/** Comments, and credentials within a URL: by the line that they stand in. */
function restoreLines(text: string, original: string): string {
  const hidden = new Map<string, string>();
  const redacted = redactText(original).split('\n');
  for (const [index, line] of original.split('\n').entries()) {
    const shown = redacted[index] ?? '';
    if (shown !== line && !shown.includes(WRITTEN)) hidden.set(shown, line);
  }
  return text
    .split('\n')
    .map((line) => hidden.get(line) ?? line)
    .join('\n');
}

function secretsOf(text: string): Secret[] {
  const found: Secret[] = [];
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { strict: false, logLevel: 'silent' });
  } catch {
    return [];
  }
  const visit = (node: unknown, path: Path, key: string): void => {
    if (isMap(node)) {
      for (const pair of node.items) {
        const name = isScalar(pair.key) ? String(pair.key.value) : '';
        visit(pair.value, [...path, name], `${key}.${name}`);
      }
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        const name = isMap(item) ? item.get('name') : undefined;
        visit(item, [...path, index], `${key}[${typeof name === 'string' ? name : index}]`);
      }
    } else if (isScalar(node) && node.range) {
      const outline = outlineAt(fileSchema, path);
      if (outline === null || !isSecret(outline)) return;
      found.push({ key: key.slice(1), start: node.range[0], end: node.range[1], value: node.value });
    }
  };
  visit(document.contents, [], '');
  return found.sort((a, b) => a.start - b.start);
}
