import { type Setting, settings } from './outline.ts';
import { nearest, type Path, type Problem, pathText, quote } from './problems.ts';
import { alternatives, fileSchema } from './schema.ts';
import { readYaml } from './yaml-text.ts';

/** `PETIOLE_<PATH JOINED BY _>`: PETIOLE_UPSTREAM_ACK_TIMEOUT is upstream.ack_timeout. */
const PREFIX = 'PETIOLE_';
/** Left to tests and tools: never a setting, never a problem. */
const RESERVED_PREFIX = 'PETIOLE_TEST_';

/** A value that an environment variable puts in the place of the file's. */
export interface Override {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

export interface Environment {
  readonly overrides: readonly Override[];
  readonly problems: readonly Problem[];
}

/** Every variable the box knows, derived from the schema. */
export const variables: ReadonlyMap<string, Setting> = new Map(
  [...settings(fileSchema)].map((setting) => [variableOf(setting.path), setting]),
);

export function variableOf(path: Path): string {
  return PREFIX + path.join('_').toUpperCase();
}

/** Reads every PETIOLE_ variable. The values are not checked yet: they go the same way as the file's. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const overrides: Override[] = [];
  const problems: Problem[] = [];
  for (const [variable, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (text === undefined || !variable.startsWith(PREFIX) || variable.startsWith(RESERVED_PREFIX)) continue;
    const setting = variables.get(variable);
    if (setting === undefined) {
      const meant = nearest(variable, variables.keys());
      const hint =
        meant === null ? 'petiole.example.yaml has every key; unset this variable' : `did you mean ${meant}?`;
      problems.push({ ...at(variable, []), message: 'no such setting', hint });
    } else if (text.trim() === '') {
      problems.push({ ...at(variable, setting.path), message: 'is empty', hint: 'unset it, or give it a value' });
    } else {
      const { value, flaw } = parseValue(setting.kind, text);
      if (flaw === null) overrides.push({ variable, path: setting.path, value });
      else problems.push({ ...at(variable, setting.path), ...flaw });
    }
  }
  return { overrides, problems };
}

function at(variable: string, path: Path) {
  return { path: pathText(path), line: null, column: null, variable: safeName(variable) };
}

/** A variable's name may hold any byte but `=`. */
function safeName(variable: string): string {
  return /^\w{1,200}$/.test(variable) ? variable : quote(variable);
}

interface Parsed {
  readonly value: unknown;
  readonly flaw: { readonly message: string; readonly hint: string } | null;
}

function parseValue(kind: Setting['kind'], text: string): Parsed {
  const trimmed = text.trim();
  if (kind === 'text') return { value: text, flaw: null };
  if (kind === 'number') {
    return { value: /^-?\d{1,15}(\.\d{1,15})?$/.test(trimmed) ? Number(trimmed) : text, flaw: null };
  }
  if (kind === 'boolean') return { value: trimmed === 'true' || (trimmed === 'false' ? false : text), flaw: null };
  if (kind === 'list' && !trimmed.startsWith('[')) {
    return { value: trimmed.split(',').map((item) => item.trim()), flaw: null };
  }
  const { value, flaws } = readYaml(text);
  const [first] = flaws;
  if (first === undefined) return { value, flaw: null };
  const message = `is no well-formed YAML or JSON: ${first.message} (line ${first.place.line} of its text)`;
  return { value: undefined, flaw: { message, hint: first.hint } };
}

/** The file's tree with the overrides in place. The tree is changed. */
export function override(tree: unknown, overrides: readonly Override[]): unknown {
  if (overrides.length === 0 || !isMap(tree)) return tree;
  const given = new Set(overrides.map(({ path }) => path.join('.')));
  for (const { path, value } of overrides) {
    const parent = mapAt(tree, path.slice(0, -1));
    const key = path.at(-1);
    // The file has something else than a map there, which is a problem of its own.
    if (parent === null || key === undefined) continue;
    parent[key] = value;
    for (const pair of alternatives) {
      const other = pair.find((name) => name !== path.join('.'));
      if (pair.includes(path.join('.')) && other !== undefined && !given.has(other)) {
        delete parent[other.split('.').at(-1) ?? ''];
      }
    }
  }
  return tree;
}

function mapAt(tree: Record<string, unknown>, path: readonly string[]): Record<string, unknown> | null {
  let current = tree;
  for (const key of path) {
    current[key] ??= {};
    const next = current[key];
    if (!isMap(next)) return null;
    current = next;
  }
  return current;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
