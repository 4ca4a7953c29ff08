import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml';
import { type Path, pathText, quote } from './problems.ts';

/** From 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Flaw {
  readonly path: Path;
  readonly place: Place;
  readonly message: string;
  readonly hint: string;
}

export interface YamlText {
  /** Plain maps, lists and scalars; undefined for an empty text and for one that can't be read. */
  readonly value: unknown;
  readonly flaws: readonly Flaw[];
  /** Where a key stands; for a list item, or with `at` 'value', where its value starts. Null where there is none. */
  place(path: Path, at?: 'key' | 'value'): Place | null;
}

/** 255 ordinary lanes take half of it. The YAML parser needs a second for the worst text of this size. */
export const YAML_BYTES_MAX = 64 * 1024;
/** The schema is five levels deep. */
const DEPTH_MAX = 16;
/** Values after aliases are followed: what a file of the longest size can hold without them, and no more. */
const VALUES_MAX = 32 * 1024;
/** Following one alias reads the whole document. */
const ALIASES_MAX = 100;
/** One slip in YAML makes the rest look wrong too; the first ones are the ones to mend. */
const SYNTAX_FLAWS_MAX = 5;

// Our own words, because the parser's repeat pieces of the text, which may be a password.
const syntaxFlaws = new Map<string, readonly [message: string, hint: string]>([
  ['TAB_AS_INDENT', ['a tab is used to indent', 'YAML takes only spaces: two for each level']],
  ['MISSING_CHAR', ['a quote, bracket, comma or colon is missing', 'close what was opened; write "key: value"']],
  ['BLOCK_AS_IMPLICIT_KEY', ['two keys on one line, or a line indented too far', 'quote a value that contains ": "']],
  ['MULTILINE_IMPLICIT_KEY', ['a key goes over more than one line', 'write "key: value" on one line']],
  [
    'BAD_INDENT',
    ['the line is not indented like its neighbours', 'close the brackets above, indent the keys of a map alike'],
  ],
  ['BAD_SCALAR_START', ['a value starts with a character that YAML reserves', 'put the value in quotes']],
  ['BAD_DQ_ESCAPE', ['an unknown escape in double quotes', 'use single quotes, or write each backslash twice']],
  ['MULTIPLE_DOCS', ['a second document starts here', 'remove the "---" line: a configuration is one document']],
  ['TAG_RESOLVE_FAILED', ['a tag that has no meaning here', 'put a value that starts with "!" in quotes']],
  ['RESOURCE_EXHAUSTION', ['maps or lists are nested too deeply', 'a configuration has at most five levels']],
  [
    'UNEXPECTED_TOKEN',
    [
      'something stands here that does not belong to the value before it',
      'put a value that starts with [ { & * ! or contains a quote in quotes, and check the indentation',
    ],
  ],
]);
const otherFlaw = ['this is no well-formed YAML', 'write "key: value", two spaces for each level'] as const;

/** Reads YAML 1.2 with the place of every key. Never throws; what is wrong with the text is in `flaws`. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const reader = new Reader(lines);
  if (Buffer.byteLength(text) > YAML_BYTES_MAX) {
    reader.flaw(
      [],
      0,
      `longer than ${YAML_BYTES_MAX / 1024} KiB`,
      'a configuration is a few KiB: is this the right file?',
    );
    return reader.result(undefined);
  }
  // The parser compares each key with every other one; `Reader` finds twins in linear time.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const errors = [...document.errors, ...document.warnings].slice(0, SYNTAX_FLAWS_MAX);
  for (const error of errors) {
    const [message, hint] = syntaxFlaws.get(error.code) ?? otherFlaw;
    reader.flaw([], error.pos[0], message, hint);
  }
  return reader.result(errors.length > 0 ? undefined : reader.read(document, document.contents, []));
}

class Reader {
  readonly #lines: LineCounter;
  readonly #flaws: Flaw[] = [];
  readonly #places = new Map<string, { key: number; value: number }>();
  #values = 0;
  #aliases = 0;
  /** A bound was met: what was read is not what was written. */
  #exhausted = false;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  flaw(path: Path, offset: number, message: string, hint: string): void {
    this.#flaws.push({ path, place: this.#place(offset), message, hint });
  }

  result(value: unknown): YamlText {
    return {
      value: this.#exhausted ? undefined : value,
      flaws: this.#flaws,
      place: (path, at = 'key') => {
        const offsets = this.#places.get(JSON.stringify(path));
        return offsets === undefined ? null : this.#place(offsets[at]);
      },
    };
  }

  #place(offset: number): Place {
    // The counter knows no line before the parser has run.
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  /** Like the parser's own `toJS`, but bounded in depth, aliases and values, and without its price for odd keys. */
  read(document: Document, node: unknown, path: Path): unknown {
    if (this.#exhausted) return null;
    if (++this.#values > VALUES_MAX || path.length > DEPTH_MAX) {
      return this.#exhaust(path, node, 'too many values, or nested too deeply');
    }
    const target = isAlias(node) ? this.#follow(document, node, path) : node;
    if (isScalar(target)) return target.value;
    if (isSeq(target)) {
      return target.items.map((item, index) => {
        const itemPath = [...path, index];
        this.#remember(itemPath, startOf(item), startOf(item));
        return this.read(document, item, itemPath);
      });
    }
    if (!isMap(target)) return null;
    const map: Record<string, unknown> = Object.create(null);
    for (const { key, value } of target.items) {
      if (!isScalar(key)) {
        this.flaw(path, startOf(key ?? target), 'a key must be one plain word', 'write "key: value"');
        continue;
      }
      const name = String(key.value);
      const keyPath = [...path, name];
      const first = Object.hasOwn(map, name) ? this.#places.get(JSON.stringify(keyPath)) : undefined;
      if (first !== undefined) {
        const { line } = this.#place(first.key);
        this.flaw(keyPath, startOf(key), `${quote(name)} is written twice; the first is in line ${line}`, 'keep one');
        continue;
      }
      this.#remember(keyPath, startOf(key), value === null ? startOf(key) : startOf(value));
      map[name] = this.read(document, value, keyPath);
    }
    return map;
  }

  #follow(document: Document, node: Alias, path: Path): unknown {
    if (++this.#aliases > ALIASES_MAX) return this.#exhaust(path, node, `more than ${ALIASES_MAX} aliases (*)`);
    const target = node.resolve(document);
    if (target === undefined) {
      const what = `${pathText(path) || 'the file'} starts with * but no such anchor (&) is above it`;
      this.flaw(path, startOf(node), what, 'put a value that starts with "*" in quotes');
    }
    return target;
  }

  #exhaust(path: Path, node: unknown, message: string): null {
    this.#exhausted = true;
    this.flaw(path, startOf(node), message, 'write the values out without anchors (&) and aliases (*)');
    return null;
  }

  #remember(path: Path, key: number, value: number): void {
    const name = JSON.stringify(path);
    if (!this.#places.has(name)) this.#places.set(name, { key, value });
  }
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}
