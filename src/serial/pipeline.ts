import { isSubject } from '../core/subject.ts';
import { type Decoded, DecodeError, type DecodeFault, type Decoder, decodeFaults } from './decode/decoded.ts';
import { makeDecoder } from './decode/decoder.ts';
import { Filter } from './filter.ts';
import { type DiscardCause, discardCauses, type Framer } from './framing/framer.ts';
import { makeFramer } from './framing/framing.ts';
import type { PipelineOptions } from './options.ts';
import { plainText, Template, tokenOf } from './template.ts';

export interface PipelineSink {
  /** A message that this frame makes; `frame` numbers the frames from 1. */
  message(subject: string, payload: Buffer, frame: number): void;
  /** A frame as it came, before it is decoded; true where somebody took it as an answer and it shall not go on. */
  frame(content: Buffer): boolean;
  /** Bytes or a frame that were no good. */
  error(cause: DiscardCause | DecodeFault | 'no_subject', detail: string): void;
}

export interface PipelineCounters {
  bytes: number;
  frames: number;
  /** Frames of which at least one message was made. */
  decoded: number;
  messages: number;
  /** Fields or frames that the filters held back. */
  filtered: number;
  /** Frames whose subject template asks for a field that they have not, or that makes no subject. */
  noSubject: number;
  /** Bytes thrown away, by cause. */
  discarded: Record<DiscardCause, number>;
  /** Frames that could not be decoded, by cause. */
  undecodable: Record<DecodeFault, number>;
}

/**
 * From bytes to messages, without any input or output: the same for a live port, for a replayed capture, and for asking
 * whether a stretch of bytes might be another device's.
 *
 *   bytes → framer → check → decoder → filter → subject and payload
 */
export class Pipeline {
  readonly counters: PipelineCounters = {
    bytes: 0,
    frames: 0,
    decoded: 0,
    messages: 0,
    filtered: 0,
    noSubject: 0,
    discarded: zeros(discardCauses),
    undecodable: zeros(decodeFaults),
  };
  readonly #options: PipelineOptions;
  readonly #sink: PipelineSink;
  readonly #framer: Framer;
  readonly #decode: Decoder;
  readonly #filter: Filter | null;
  readonly #subject: Template;
  readonly #payload: Template | null;
  readonly #units: Readonly<Record<string, string>>;
  #nowMs = 0;

  private constructor(options: PipelineOptions, decode: Decoder, sink: PipelineSink) {
    this.#options = options;
    this.#sink = sink;
    this.#decode = decode;
    this.#filter = options.filters.length === 0 ? null : new Filter(options.filters);
    this.#subject = new Template(options.subject.replaceAll('{port}', options.name));
    this.#payload = options.payload === '' ? null : new Template(options.payload.replaceAll('{port}', options.name));
    const units = options.decoder.fields.filter(({ unit }) => unit !== '').map(({ name, unit }) => [name, unit]);
    this.#units = Object.fromEntries(units);
    this.#framer = makeFramer(options.framing, {
      frame: (content) => this.#frame(content),
      discarded: (cause, count) => {
        this.counters.discarded[cause] += count;
        this.#sink.error(cause, `${count} bytes`);
      },
    });
  }

  /** Rejects with a GatewayError where the configuration names a pattern or an encoding that there is not. */
  static async make(options: PipelineOptions, sink: PipelineSink): Promise<Pipeline> {
    return new Pipeline(options, await makeDecoder(options.decoder), sink);
  }

  /** How long a pause on the line means something; 0 for never. */
  get gapMs(): number {
    return this.#options.framing.gapMs;
  }

  /** `nowMs` from a clock that does not jump. */
  push(chunk: Buffer, nowMs: number): void {
    this.#nowMs = nowMs;
    this.counters.bytes += chunk.length;
    this.#framer.push(chunk);
  }

  /** The line was silent for `gapMs`, or the port was closed. */
  idle(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#framer.idle();
  }

  #frame(content: Buffer): void {
    const { counters } = this;
    counters.frames++;
    if (this.#sink.frame(content)) return;
    let decoded: Decoded;
    try {
      decoded = this.#decode(content);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      counters.undecodable[error.fault]++;
      this.#sink.error(error.fault, error.message);
      return;
    }
    const subject = this.#subject.fill(decoded.fields, tokenOf);
    if (subject === null || (!this.#subject.isFixed && !isSubject(subject))) {
      counters.noSubject++;
      this.#sink.error('no_subject', 'a field of the subject template is missing');
      return;
    }
    counters.decoded++;
    if (this.#options.output === 'fields') this.#publishFields(subject, decoded.fields);
    else this.#publishWhole(subject, decoded, content);
  }

  #publishWhole(subject: string, decoded: Decoded, content: Buffer): void {
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
      const text = this.#payload.fill(fields, plainText);
      // Fields that are not there are empty: a template is a form, not a condition.
      this.#publish(
        subject,
        Buffer.from(text ?? (this.#payload.fill(fields, (value) => plainText(value) ?? '') as string)),
      );
    } else if (output === 'frame' || Buffer.isBuffer(whole)) {
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
    this.#sink.message(subject, payload, this.counters.frames);
  }
}

/** Frames that were no good, whatever was wrong with them. */
export function faultsOf({ undecodable, noSubject }: PipelineCounters): number {
  return Object.values(undecodable).reduce((sum, count) => sum + count, noSubject);
}

export function discardedOf({ discarded }: PipelineCounters): number {
  return Object.values(discarded).reduce((sum, count) => sum + count, 0);
}

function zeros<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
}
