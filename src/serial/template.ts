/** `line3.{id}.temp`: text with fields of a frame in it. `{a.b}` looks into nested objects, `{port}` is the port's name. */
export class Template {
  /** Plain texts at even places, field paths at odd ones. */
  readonly #parts: readonly (readonly string[])[];
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
    this.#parts = source.split(/\{([^{}]+)\}/).map((part, index) => (index % 2 === 0 ? [part] : part.split('.')));
  }

  /** Whether it is the same for every frame. */
  get isFixed(): boolean {
    return this.#parts.length === 1;
  }

  /** Null where a field is missing. `render` makes text of a field's value. */
  fill(fields: Readonly<Record<string, unknown>>, render: (value: unknown) => string | null): string | null {
    if (this.isFixed) return this.#source;
    let text = '';
    for (const [index, part] of this.#parts.entries()) {
      if (index % 2 === 0) text += part[0];
      else {
        const rendered = render(lookUp(fields, part));
        if (rendered === null) return null;
        text += rendered;
      }
    }
    return text;
  }
}

function lookUp(fields: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  const whole = path.length > 1 ? path.join('.') : '';
  if (whole !== '' && Object.hasOwn(fields, whole)) return fields[whole];
  let value: unknown = fields;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

/** Longest token that a device may put into a subject: an access rule or a lane still has to match it. */
const TOKEN_CHARS_MAX = 128;

/**
 * A field as one subject token: what would split it, or be a wildcard or white space, is percent-escaped as in topics.
 * Null for nothing, for objects, and for what is too long.
 */
export function tokenOf(value: unknown): string | null {
  const text = plainText(value);
  if (typeof value === 'object' || text === null || text === '' || text.length > TOKEN_CHARS_MAX) return null;
  let token = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    const isPlain = code > 0x20 && code !== 0x7f && !'.*>%'.includes(char);
    token += isPlain ? char : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token;
}

/** A field in a payload template: text as it is, objects as JSON. Null where there is none. */
export function plainText(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
