import type { Stamp } from '../core/clock.ts';
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
  #prefix = '';
  readonly #historicalAfterMs: number;
  readonly #stampOf: StampOf | null;
  #scratch = Buffer.allocUnsafe(SCRATCH_BYTES);

  /** `identity` is `<gateway>.<epoch>.<lane>`. A record that is older than `historicalAfterMs` when it is sent is late. */
  constructor(identity: string, historicalAfterMs: number, stampOf: StampOf | null = null) {
    this.identify(identity);
    this.#historicalAfterMs = historicalAfterMs;
    this.#stampOf = stampOf;
  }

  /** Another epoch has begun. */
  identify(identity: string): void {
    this.#prefix = `${identity}.`;
  }

  /** Read-back: the hub's duplicate window is a second net under the reconcile step. */
  withMessageId(record: UpRecord): Buffer {
    const id = this.#prefix + record.sequence;
    return this.#block(record, `NATS/1.0\r\nPetiole-Id: ${id}\r\n${this.#time(record)}Nats-Msg-Id: ${id}\r\n`);
  }

  /** Own stream: never together with a message id, see the protocol notes on 10071. */
  withExpectedSequence(record: UpRecord, stream: string, lastSequence: number): Buffer {
    return this.#block(
      record,
      `NATS/1.0\r\nPetiole-Id: ${this.#prefix}${record.sequence}\r\n${this.#time(record)}` +
        `Nats-Expected-Stream: ${stream}\r\nNats-Expected-Last-Sequence: ${lastSequence}\r\n`,
    );
  }

  /** Atomic batch: message `place` of it, from 1. */
  inBatch(record: UpRecord, batch: string, place: number): Buffer {
    return this.#block(
      record,
      `NATS/1.0\r\nPetiole-Id: ${this.#prefix}${record.sequence}\r\n${this.#time(record)}` +
        `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${place}\r\n`,
    );
  }

  /** The last message of a batch: commits it, unless the watermark at the hub is another than that at `expected`. */
  watermark(last: number, batch: string, place: number, expected: number, may: StreamInfo['atomic']): Buffer {
    return Buffer.from(
      `NATS/1.0\r\n${WATERMARK}: ${this.#prefix}${last}\r\n` +
        `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${place}\r\nNats-Batch-Commit: 1\r\n` +
        `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n` +
        // The one before goes, and this one does not grow too old.
        `${may?.rollup ? 'Nats-Rollup: sub\r\n' : ''}${may?.ttl ? 'Nats-TTL: never\r\n' : ''}\r\n`,
    );
  }

  #time({ sequence, receivedAtMs }: UpRecord): string {
    const stamp = this.#stampOf?.(sequence, receivedAtMs) ?? null;
    const ms = stamp?.ms ?? receivedAtMs;
    const value = stamp ? `${ms};q=${stamp.quality}` : String(ms);
    const time = `Petiole-Time: ${value}\r\n`;
    const isLate = Date.now() - ms >= this.#historicalAfterMs;
    return isLate ? `${time}Petiole-Historical: ${value}\r\n` : time;
  }

  #block(record: UpRecord, own: string): Buffer {
    // Two ids on one message would leave it to the hub which one counts, and an id beside an expectation is worse.
    const headers = renameHeader(record.headers, 'Nats-Msg-Id', 'Petiole-Msg-Id');
    const need = OWN_BYTES_MAX + headers.length;
    if (need > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(need);
    let at = this.#scratch.write(own, 0, 'utf8');
    if (headers.length > VERSION_LINE_BYTES) at += headers.copy(this.#scratch, at, headers.indexOf(10) + 1);
    else at += this.#scratch.write('\r\n', at, 'latin1');
    return this.#scratch.subarray(0, at);
  }
}

/** When a record came in, as well as that is known now; null where its own stamp is right. */
export type StampOf = (sequence: number, receivedAtMs: number) => Stamp | null;
