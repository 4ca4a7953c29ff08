import { REDACTED } from './edited-copy.ts';
import { isMap } from './environment.ts';
import { type LoadOptions, readTree } from './load.ts';
import { entryOf, isSecret, type Outline, unwrap } from './outline.ts';
import { type Path, pathText } from './problems.ts';
import { fileSchema } from './schema.ts';

/** One setting as it is in force. */
export interface Explained {
  readonly path: string;
  /** In the words of the file; `[redacted]` for a secret. */
  readonly value: string;
  readonly origin: 'default' | 'file' | 'environment';
  /** `line 12`, the variable, or ''. */
  readonly where: string;
  /** Changes with the value, also of a secret; never shown. */
  readonly raw: string;
}

/** Every setting in the order of the schema, with where its value comes from. */
export function explainConfig(options: LoadOptions): Explained[] {
  const { tree, overrides, place } = readTree(options);
  const found: Explained[] = [];
  const visit = (outline: Outline, value: unknown, path: Path): void => {
    const inner = unwrap(outline);
    const isDefault = value === undefined;
    const settled = isDefault ? defaultOf(outline) : value;
    if (settled === undefined) return;
    const { item } = inner;
    if (inner.entries !== undefined) {
      for (const key of Object.keys(inner.entries)) {
        const entry = entryOf(inner, key);
        if (entry) visit(entry, isMap(settled) ? settled[key] : undefined, [...path, key]);
      }
    } else if (
      item !== undefined &&
      unwrap(item).entries !== undefined &&
      Array.isArray(settled) &&
      settled.length > 0
    ) {
      for (const [index, one] of settled.entries()) visit(item, one, [...path, index]);
    } else {
      const raw = typeof settled === 'string' ? settled : JSON.stringify(settled);
      const isHidden = isSecret(outline) && !isDefault;
      const shown = isHidden ? REDACTED : raw.replace(/(\w:\/\/)[^\s/@]+@/g, `$1${REDACTED}@`);
      found.push({ path: pathText(path), value: shown, raw, ...originOf(path, isDefault) });
    }
  };
  const originOf = (path: Path, isDefault: boolean): Pick<Explained, 'origin' | 'where'> => {
    const variable = overrides.find((entry) => entry.path.every((step, index) => path[index] === step))?.variable;
    if (variable !== undefined) return { origin: 'environment', where: variable };
    if (isDefault) return { origin: 'default', where: '' };
    // A short form stands where the map would.
    for (let length = path.length; length > 0; length--) {
      const line = place(path.slice(0, length))?.line;
      if (line !== undefined) return { origin: 'file', where: `line ${line}` };
    }
    return { origin: 'default', where: '' };
  };
  visit(fileSchema, isMap(tree) ? tree : {}, []);
  return found;
}

function defaultOf({ default: value, wrapped }: Outline): unknown {
  if (value === undefined && wrapped !== undefined) return undefined;
  return typeof value === 'function' ? value() : value;
}
