import { isSubject } from '../core/subject.ts';
import type { Decoded } from './decode/decoded.ts';
import { Filter } from './filter.ts';
import type { ReportOptions } from './options.ts';
import { plainText, Template, tokenOf } from './template.ts';

/** What a device said, as messages: filter, subject, payload. The same for frames and for Modbus registers. */
export class Reporter {
  readonly counters = { messages: 0, filtered: 0 };
  readonly #options: ReportOptions;
  readonly #message: (subject: string, payload: Buffer) => void;
  readonly #filter: Filter | null;
  readonly #subject: Template;
  readonly #payload: Template | null;
  readonly #units: Readonly<Record<string, string>>;
  #nowMs = 0;

  constructor(
    options: ReportOptions,
    units: Readonly<Record<string, string>>,
    message: (subject: string, payload: Buffer) => void,
  ) {
    this.#options = options;
    this.#message = message;
    this.#units = units;
    this.#filter = options.filters.length === 0 ? null : new Filter(options.filters);
    this.#subject = new Template(options.subject.replaceAll('{port}', options.name));
    this.#payload = options.payload === '' ? null : new Template(options.payload.replaceAll('{port}', options.name));
  }

  /**
   * False where the subject template asks for a field that is not there, or makes no subject. `names` are further fields
   * for the templates. `nowMs` is of a clock that does not jump.
   */
  report(decoded: Decoded, content: Buffer | null, nowMs: number, names: Decoded['fields'] | null = null): boolean {
    this.#nowMs = nowMs;
    const shown = names === null ? decoded.fields : { ...decoded.fields, ...names };
    const subject = this.#subject.fill(shown, tokenOf);
    if (subject === null || (!this.#subject.isFixed && !isSubject(subject))) return false;
    if (this.#options.output === 'fields') this.#publishFields(subject, decoded.fields);
    else this.#publishWhole(subject, decoded, content, names);
    return true;
  }

  #publishWhole(subject: string, decoded: Decoded, content: Buffer | null, names: Decoded['fields'] | null): void {
    const { output, units } = this.#options;
    let { fields } = decoded;
    let whole = decoded.whole;
    if (this.#filter !== null) {
      const passed = this.#filtered(subject, fields);
      if (passed === null) {
        this.counters.filtered++;
        return;
      }
      if (passed !== fields) {
        fields = passed;
        whole = undefined;
      }
    }
    if (this.#payload !== null) {
      const shown = names === null ? fields : { ...fields, ...names };
      const text = this.#payload.fill(shown, plainText);
      // Fields that are not there are empty: a template is a form, not a condition.
      this.#publish(
        subject,
        Buffer.from(text ?? (this.#payload.fill(shown, (value) => plainText(value) ?? '') as string)),
      );
    } else if (content !== null && (output === 'frame' || Buffer.isBuffer(whole))) {
      // The framer's buffer is used again; a message keeps its payload.
      const text = typeof whole === 'string' ? Buffer.from(whole) : Buffer.from(content);
      this.#publish(subject, text);
    } else {
      const body = whole === undefined ? (units ? { ...fields, units: this.#units } : fields) : whole;
      this.#publish(subject, Buffer.from(JSON.stringify(body)));
    }
  }

  /** Null where nothing is to be reported; a window's value in the place of the single one. */
  #filtered(subject: string, fields: Decoded['fields']): Decoded['fields'] | null {
    const filter = this.#filter as Filter;
    let isDue = false;
    let changed: Record<string, unknown> | null = null;
    let covered = 0;
    for (const [field, value] of Object.entries(fields)) {
      if (!filter.covers(field)) continue;
      covered++;
      const passed = filter.pass(subject, field, value, this.#nowMs);
      if (passed === undefined) continue;
      isDue = true;
      if (passed !== value) {
        changed ??= { ...fields };
        changed[field] = passed;
      }
    }
    if (covered > 0 && !isDue) return null;
    return changed ?? fields;
  }

  #publishFields(subject: string, fields: Decoded['fields']): void {
    for (const [field, raw] of Object.entries(fields)) {
      const token = tokenOf(field);
      if (token === null) continue;
      const value = this.#filter === null ? raw : this.#filter.pass(subject, field, raw, this.#nowMs);
      if (value === undefined) {
        this.counters.filtered++;
        continue;
      }
      const unit = this.#units[field];
      const body = unit === undefined || !this.#options.units ? value : { value, unit };
      this.#publish(`${subject}.${token}`, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
    }
  }

  #publish(subject: string, payload: Buffer): void {
    this.counters.messages++;
    this.#message(subject, payload);
  }
}
