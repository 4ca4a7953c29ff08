import { REDACTED } from './edited-copy.ts';
import { isSecret, type Outline, unwrap } from './outline.ts';
import { type Config, fileSchema } from './schema.ts';

const secretKeys = new Set(findSecrets(fileSchema));

/** A copy of the configuration for the status page and the log: secrets that are set show as `[redacted]`. */
export function redact(config: Config): unknown {
  return copy(config);
}

function copy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  // Bytes as the file has them, rather than a map of numbers.
  if (Buffer.isBuffer(value)) return `hex:${value.toString('hex')}`;
  if (value instanceof Map) return Object.fromEntries(value);
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, secretKeys.has(key) && part !== null ? REDACTED : copy(part)]),
  );
}

/** The names that the schema's secrets have in `Config`: a secret that the schema gains is redacted from that day. */
function* findSecrets(outline: Outline): Generator<string> {
  const inner = unwrap(outline);
  if (inner.item !== undefined) yield* findSecrets(inner.item);
  for (const [key, entry] of Object.entries(inner.entries ?? {})) {
    if (isSecret(entry)) yield key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    else yield* findSecrets(entry);
  }
}
