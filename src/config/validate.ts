import * as v from 'valibot';
import type { Address } from './address.ts';
import { entryOf, exampleOf, isSecret, type Outline, outlineAt, unwrap } from './outline.ts';
import { describeFound, nearest, type Path, pathText, quote, type Report } from './problems.ts';
import { type FileValues, fileSchema } from './schema.ts';

/** What is sound of a file: every key may be missing, a list keeps the place of an item that is not sound. */
export type Draft = Sound<FileValues>;

/** Whether a key is written but not sound: it is no fault of its neighbours that it is not there. */
export type Refused = (path: Path) => boolean;

type Sound<T> = T extends Address
  ? T
  : T extends readonly (infer Item)[]
    ? (Sound<Item> | undefined)[]
    : T extends object
      ? { [Key in keyof T]?: Sound<T[Key]> | undefined }
      : T;

/** Reports everything in which the tree differs from the schema; gives back the rest with its defaults. */
export function validate(tree: unknown, report: Report): { readonly draft: Draft; readonly refused: Refused } {
  const wrong = new Set<string>();
  reportKeys(fileSchema, tree, [], (path, message, hint) => {
    wrong.add(pathText(path));
    report(path, message, hint);
  });
  const refused: Refused = (path) => path.some((_, index) => wrong.has(pathText(path.slice(0, index + 1))));
  const { output, issues = [] } = v.safeParse(fileSchema, tree);
  for (const issue of issues) {
    const path = (issue.path ?? []).map(({ key }) => key as string | number);
    // What failed is taken out, so that the checks between keys see only sound values.
    remove(output, path);
    if (refused(path)) continue;
    wrong.add(pathText(path));
    const schema = outlineAt(fileSchema, path);
    if (issue.path?.at(-1)?.origin === 'key') {
      const example = schema && exampleOf(schema);
      report(path, 'this key is missing', `add ${String(path.at(-1))}: ${example ?? '…'}`);
      continue;
    }
    const [expected, cure] = issue.message.split('\n');
    const secret = path.length === 0 || (schema !== null && isSecret(schema));
    report(
      path,
      `expected ${expected}, found ${describeFound(issue.input, secret)}`,
      cure ?? cureOf(path, issue.input),
    );
  }
  return { draft: typeof output === 'object' && output !== null ? (output as Draft) : {}, refused };
}

/** Keys that the schema does not have, and lists where it has a map (which valibot lets pass). */
function reportKeys(outline: Outline, value: unknown, path: Path, report: Report): void {
  const inner = unwrap(outline);
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    const { item } = inner;
    if (item !== undefined) {
      for (const [index, part] of value.entries()) reportKeys(item, part, [...path, index], report);
    }
    if (inner.entries !== undefined) {
      const found = describeFound(value, false);
      report(path, `expected a map of keys and values, found ${found}`, 'write "key: value" without the leading "-"');
    }
    return;
  }
  const { entries } = inner;
  if (entries === undefined) return;
  for (const [key, part] of Object.entries(value)) {
    const entry = entryOf(inner, key);
    if (entry !== undefined) {
      reportKeys(entry, part, [...path, key], report);
      continue;
    }
    const meant = nearest(key, Object.keys(entries));
    const hint = meant === null ? `the keys here are: ${Object.keys(entries).join(', ')}` : `did you mean ${meant}?`;
    report([...path, key], `there is no key ${quote(key)} here`, hint);
  }
}

function cureOf(path: Path, found: unknown): string {
  const schema = outlineAt(fileSchema, path);
  const inner = schema && unwrap(schema);
  if (schema === null || inner === null) return '';
  if (inner.entries !== undefined) {
    return `write its keys below it (${Object.keys(inner.entries).join(', ')}), or remove it`;
  }
  if (found === null) return 'give it a value, or remove the key';
  if (inner.options !== undefined && typeof found === 'string') {
    const meant = nearest(found, inner.options.map(String));
    if (meant !== null) return `did you mean ${meant}?`;
  }
  if (inner.type === 'string' && (typeof found === 'number' || typeof found === 'boolean')) return 'put it in quotes';
  const keyPath = path.filter((step) => typeof step === 'string');
  const listed = path.length > 0 && typeof path.at(-1) === 'number';
  const example = exampleOf(listed ? (outlineAt(fileSchema, path.slice(0, -1)) ?? schema) : schema);
  if (example === null) return 'write what is expected, or remove the key';
  return `for example ${keyPath.at(-1)}: ${example}`;
}

/** Takes out what stands at a path; a list keeps its length. */
function remove(tree: unknown, path: Path): void {
  const last = path.at(-1);
  const parent = path.slice(0, -1).reduce<unknown>((value, step) => Object(value)[step], tree);
  if (last === undefined || typeof parent !== 'object' || parent === null) return;
  if (Array.isArray(parent)) parent[Number(last)] = undefined;
  else Reflect.deleteProperty(parent, last);
}
