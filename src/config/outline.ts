import * as v from 'valibot';
import type { Path } from './problems.ts';

/** What this folder needs to see of a valibot schema; every schema fits. */
export interface Outline {
  readonly type: string;
  /** Of an optional key. */
  readonly wrapped?: Outline;
  readonly default?: unknown;
  /** Of a map. */
  readonly entries?: Readonly<Record<string, Outline>>;
  /** Of a list. */
  readonly item?: Outline;
  /** Of a choice. */
  readonly options?: readonly unknown[];
}

/** A key that holds a value or a list, and not a map of further keys. */
export interface Setting {
  readonly path: readonly string[];
  /** How its value is written as text. */
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'maps';
}

/** Every setting of the schema, in its order. */
export function* settings(outline: Outline, path: readonly string[] = []): Generator<Setting> {
  const inner = unwrap(outline);
  if (inner.entries !== undefined) {
    for (const [key, entry] of Object.entries(inner.entries)) yield* settings(entry, [...path, key]);
    return;
  }
  yield { path, kind: kindOf(inner) };
}

function kindOf(outline: Outline): Setting['kind'] {
  if (outline.item !== undefined) return unwrap(outline.item).entries === undefined ? 'list' : 'maps';
  return outline.type === 'number' || outline.type === 'boolean' ? outline.type : 'text';
}

/** The schema at a path; null where it has none. */
export function outlineAt(outline: Outline, path: Path): Outline | null {
  let current: Outline | undefined = outline;
  for (const step of path) {
    const inner: Outline = unwrap(current);
    current = typeof step === 'number' ? inner.item : entryOf(inner, step);
    if (current === undefined) return null;
  }
  return current;
}

export function unwrap(outline: Outline): Outline {
  return outline.wrapped === undefined ? outline : unwrap(outline.wrapped);
}

export function entryOf(outline: Outline, key: string): Outline | undefined {
  return outline.entries !== undefined && Object.hasOwn(outline.entries, key) ? outline.entries[key] : undefined;
}

export function isSecret(outline: Outline): boolean {
  return metadataOf(unwrap(outline)).secret === true;
}

/** What `fields.ts` and `schema.ts` say of a value beside its type. */
function metadataOf(outline: Outline): { readonly secret?: boolean; readonly example?: unknown } {
  return v.getMetadata(outline as v.GenericSchema);
}

/** A value that the key takes, as it would be written in the file; null where the schema gives none. */
export function exampleOf(outline: Outline): string | null {
  const inner = unwrap(outline);
  const { example } = metadataOf(inner);
  const value = example ?? (typeof outline.default === 'function' ? outline.default() : outline.default);
  if (value === undefined || (typeof value === 'object' && !Array.isArray(value))) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
