import { type Decoded, DecodeError, type DecodeFault, type Decoder, decodeFaults } from './decode/decoded.ts';
import { makeDecoder } from './decode/decoder.ts';
import { type DiscardCause, discardCauses, type Framer } from './framing/framer.ts';
import { makeFramer } from './framing/framing.ts';
import type { PipelineOptions } from './options.ts';
import { Reporter } from './reporter.ts';

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
    noSubject: 0,
    discarded: zeros(discardCauses),
    undecodable: zeros(decodeFaults),
  };
  readonly #options: PipelineOptions;
  readonly #sink: PipelineSink;
  readonly #framer: Framer;
  readonly #decode: Decoder;
  readonly #reporter: Reporter;
  #nowMs = 0;

  private constructor(options: PipelineOptions, decode: Decoder, sink: PipelineSink) {
    this.#options = options;
    this.#sink = sink;
    this.#decode = decode;
    const units = options.decoder.fields.filter(({ unit }) => unit !== '').map(({ name, unit }) => [name, unit]);
    this.#reporter = new Reporter(options, Object.fromEntries(units), (subject, payload) =>
      sink.message(subject, payload, this.counters.frames),
    );
    this.#framer = makeFramer(options.framing, {
      frame: (content) => this.#frame(content),
      discarded: (cause, count) => {
        this.counters.discarded[cause] += count;
        this.#sink.error(cause, count === 1 ? '1 byte' : `${count} bytes`);
      },
    });
  }

  /** Rejects with a GatewayError where the configuration names a pattern or an encoding that there is not. */
  static async make(options: PipelineOptions, sink: PipelineSink): Promise<Pipeline> {
    return new Pipeline(options, await makeDecoder(options.decoder), sink);
  }

  /** Messages made, and fields or frames that the filters held back. */
  get reported(): { messages: number; filtered: number } {
    return this.#reporter.counters;
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
    if (this.#reporter.report(decoded, content, this.#nowMs)) counters.decoded++;
    else {
      counters.noSubject++;
      this.#sink.error('no_subject', 'a field of the subject template is missing');
    }
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
