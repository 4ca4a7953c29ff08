import type { Stamp } from '../core/clock.ts';
import { writeDecimal } from '../core/decimal.ts';
import { renameHeader } from '../core/headers.ts';
import type { StreamInfo } from './jetstream.ts';
import type { UpRecord } from './ports.ts';
import { WATERMARK } from './watermark.ts';

/** Headers of a publisher may be as long as a packet may be; this is where the scratch buffer begins. */
const SCRATCH_BYTES = 4 * 1024;
/** Longest block of ours: identity twice, time, expectations. */
const OWN_BYTES_MAX = 1024;
/** `NATS/1.0\r\n` */
const VERSION_LINE_BYTES = 10;

/**
 * The header block of an upload: the record's identity and time, what the procedure needs, then the publisher's own
 * lines (their `Nats-Msg-Id`, which the box has acted on, as `Petiole-Msg-Id`). One scratch buffer serves all: the link copies it before the next one is built.
 *
 *   Petiole-Id: <gateway>.<epoch>.<lane>.<sequence>
 *   Petiole-Time: <ms since 1970>[;q=restamped|untrusted]   q: the clock was not trusted when it came in
 *   Petiole-Historical: <ms since 1970>                     sent late: the time again, so that one header tells
 *   Nats-Msg-Id: …                                          read-back
 *   Nats-Expected-Stream: … Nats-Expected-Last-Sequence: …  own stream
 *   Nats-Batch-Id: … Nats-Batch-Sequence: …                 atomic batch
 *
 * A batch is committed by its watermark, which has `Petiole-Watermark: <gateway>.<epoch>.<lane>.<sequence>` instead: the
 * stream has, or had, every record of the lane up to there.
 */
export class UploadHeaders {
  readonly #historicalAfterMs: number;
  readonly #stampOf: StampOf | null;
  #identity = '';
  #scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  #at = 0;
  /** What is built, in `#scratch`. */
  #block: Buffer = NOTHING;
  /** The publisher's own block. */
  #publishers: Buffer = NOTHING;
  /** What is the same from record to record is made once: the lines before a sequence of the lane, … */
  #petioleId: Buffer = NOTHING;
  #messageId: Buffer = NOTHING;
  /** … those before one of a stream or a place in a batch, by its name, … */
  #expected = { name: '', lines: NOTHING };
  #batch = { name: '', lines: NOTHING };
  /** … and those of a time, for many records come in the same millisecond. */
  #time = { ms: Number.NaN, quality: '', isLate: false, lines: NOTHING };

  /** `identity` is `<gateway>.<epoch>.<lane>`. A record that is older than `historicalAfterMs` when it is sent is late. */
  constructor(identity: string, historicalAfterMs: number, stampOf: StampOf | null = null) {
    this.identify(identity);
    this.#historicalAfterMs = historicalAfterMs;
    this.#stampOf = stampOf;
  }

  /** Another epoch has begun. */
  identify(identity: string): void {
    this.#identity = identity;
    this.#petioleId = Buffer.from(`NATS/1.0\r\nPetiole-Id: ${identity}.`);
    this.#messageId = Buffer.from(`Nats-Msg-Id: ${identity}.`);
  }

  /** Read-back: the hub's duplicate window is a second net under the reconcile step. */
  withMessageId(record: UpRecord): Buffer {
    this.#begin(record);
    this.#line(this.#messageId, record.sequence);
    return this.#end();
  }

  /** Own stream: never together with a message id, see the protocol notes on 10071. */
  withExpectedSequence(record: UpRecord, stream: string, lastSequence: number): Buffer {
    if (this.#expected.name !== stream) {
      const lines = Buffer.from(`Nats-Expected-Stream: ${stream}\r\nNats-Expected-Last-Sequence: `);
      this.#expected = { name: stream, lines };
    }
    this.#begin(record);
    this.#line(this.#expected.lines, lastSequence);
    return this.#end();
  }

  /** Atomic batch: message `place` of it, from 1. */
  inBatch(record: UpRecord, batch: string, place: number): Buffer {
    if (this.#batch.name !== batch) {
      this.#batch = { name: batch, lines: Buffer.from(`Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: `) };
    }
    this.#begin(record);
    this.#line(this.#batch.lines, place);
    return this.#end();
  }

  /** The last message of a batch: commits it, unless the watermark at the hub is another than that at `expected`. */
  watermark(last: number, batch: string, place: number, expected: number, may: StreamInfo['atomic']): Buffer {
    return Buffer.from(
      `NATS/1.0\r\n${WATERMARK}: ${this.#identity}.${last}\r\n` +
        `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${place}\r\nNats-Batch-Commit: 1\r\n` +
        `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n` +
        // The one before goes, and this one does not grow too old.
        `${may?.rollup ? 'Nats-Rollup: sub\r\n' : ''}${may?.ttl ? 'Nats-TTL: never\r\n' : ''}\r\n`,
    );
  }

  #begin({ sequence, receivedAtMs, headers }: UpRecord): void {
    // Two ids on one message would leave it to the hub which one counts, and an id beside an expectation is worse.
    this.#publishers = headers.length === 0 ? headers : renameHeader(headers, 'Nats-Msg-Id', 'Petiole-Msg-Id');
    const need = OWN_BYTES_MAX + this.#publishers.length;
    if (need > this.#scratch.length) {
      this.#scratch = Buffer.allocUnsafe(need);
      this.#block = NOTHING;
    }
    this.#at = 0;
    this.#line(this.#petioleId, sequence);
    this.#add(this.#timeOf(sequence, receivedAtMs));
  }

  #timeOf(sequence: number, receivedAtMs: number): Buffer {
    const stamp = this.#stampOf?.(sequence, receivedAtMs) ?? null;
    const ms = stamp?.ms ?? receivedAtMs;
    const quality = stamp?.quality ?? '';
    const isLate = Date.now() - ms >= this.#historicalAfterMs;
    const known = this.#time;
    if (known.ms === ms && known.quality === quality && known.isLate === isLate) return known.lines;
    const value = quality === '' ? String(ms) : `${ms};q=${quality}`;
    const time = `Petiole-Time: ${value}\r\n`;
    const lines = Buffer.from(isLate ? `${time}Petiole-Historical: ${value}\r\n` : time);
    this.#time = { ms, quality, isLate, lines };
    return lines;
  }

  #end(): Buffer {
    const block = this.#publishers;
    this.#add(block.length > VERSION_LINE_BYTES ? block.subarray(block.indexOf(LF) + 1) : CRLF);
    // Most blocks are as long as the one before.
    if (this.#block.length !== this.#at) this.#block = this.#scratch.subarray(0, this.#at);
    return this.#block;
  }

  #line(start: Buffer, value: number): void {
    this.#add(start);
    this.#at = writeDecimal(this.#scratch, this.#at, value);
    this.#add(CRLF);
  }

  #add(bytes: Buffer): void {
    this.#scratch.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

const NOTHING = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');
const LF = 10;

/** When a record came in, as well as that is known now; null where its own stamp is right. */
export type StampOf = (sequence: number, receivedAtMs: number) => Stamp | null;
