import { GatewayError } from '../core/errors.ts';
import type { BatchSize } from './batch-size.ts';
import type { StreamInfo } from './jetstream.ts';
import { IN_FLIGHT_BYTES_MAX, type Known, type PassLane } from './pass-lane.ts';
import type { UpRecord } from './ports.ts';
import type { PubAck } from './puback.ts';
import { linkRefusal, oversize, streamRefusal } from './refusals.ts';
import { StoredRecords } from './stored-records.ts';

/** A batch that waits for more records is committed after this: the hub forgets one that is idle for ten seconds. */
const OPEN_MS_MAX = 2_000;

/** Where a lane's batches go. */
export interface BatchTarget {
  readonly info: StreamInfo;
  /** Subject of the lane's watermark, as the box names it. */
  readonly subject: string;
  /** Sequence in the stream of the watermark that is there; 0 where there is none. */
  readonly watermark: number;
  /** Begins the ids of the batches of this pass: unique among all that a stream may have open. */
  readonly id: string;
  readonly size: BatchSize;
}

interface Batch {
  readonly number: number;
  readonly openedAtMs: number;
  /** Records on their way in it. */
  readonly sequences: number[];
  bytes: number;
  /** The cursor passes so many records, up to this one, when it is committed: those that need no sending too. */
  passed: number;
  last: number;
  /** Of those, the ones that the hub has from before. */
  readonly stored: number[];
  sentAtMs: number;
}

/**
 * As `Pass`, for a stream that commits batches: records go out without asking for an answer, and the lane's watermark
 * behind them commits them all or none. It names the watermark before it, so there is one batch under way at a time; the
 * next one fills meanwhile.
 *
 *   record 1 … record n ──▶ watermark "up to n, if the last one was at w" ──▶ PubAck w'
 *                           record n+1 … ──────────────────────────────────▶ watermark "…, if the last one was at w'"
 */
export class BatchPass {
  readonly #lane: PassLane;
  readonly #target: BatchTarget;
  readonly #reply: string;
  readonly #stored: StoredRecords;
  #watermark: number;
  #open: Batch | null = null;
  #underWay: Batch | null = null;
  /** Its answer did not come, or said nothing. */
  #unknown: Batch | null = null;
  #batches = 0;
  #trouble: GatewayError | null = null;
  #over = false;
  #end: (reason: GatewayError) => void = () => undefined;

  constructor(lane: PassLane, target: BatchTarget, reply: string, known: Known) {
    this.#lane = lane;
    this.#target = target;
    this.#reply = reply;
    this.#watermark = target.watermark;
    this.#stored = new StoredRecords(known.stored, known.upTo, 0);
  }

  get inFlight(): number {
    const filling = this.#trouble ? 0 : (this.#open?.sequences.length ?? 0);
    return filling + (this.#underWay?.sequences.length ?? 0);
  }

  /** Sends until something ends the pass; resolves with what did. */
  run(): Promise<GatewayError> {
    return new Promise((resolve) => {
      this.#end = resolve;
      this.schedule();
    });
  }

  schedule(): void {
    if (!this.#over) this.#lane.drain.schedule(this.#lane.sender);
  }

  /** Ends the pass, at the latest when the time for answers is up. A batch that is not committed is as if never sent. */
  disturb(reason: GatewayError): void {
    this.#trouble ??= reason;
    if (!this.#underWay) this.abort(this.#trouble);
  }

  abort(reason: GatewayError): void {
    if (this.#over) return;
    this.#over = true;
    this.#end(this.#trouble ?? reason);
  }

  leftover(): { stored: Set<number>; doubt: Set<number> } {
    const inDoubt = this.#underWay ?? this.#unknown;
    const stored = this.#stored.sequences;
    for (const batch of [this.#open, inDoubt]) for (const sequence of batch?.stored ?? []) stored.add(sequence);
    return { stored, doubt: new Set(inDoubt?.sequences) };
  }

  send(count: number): number {
    const { source, hub, drain } = this.#lane;
    let sent = 0;
    while (sent < count && !this.#over && !this.#trouble && hub.writable) {
      if (this.#isFull && !this.#commit()) break;
      const record = source.peek();
      if (!record) {
        this.#commit();
        if (source.exhausted && !this.#open && !this.#underWay) this.#lane.idle();
        break;
      }
      if (this.#stored.take(record.sequence)) {
        source.take();
        this.#passOver(record.sequence).stored.push(record.sequence);
      } else if (!drain.paced(record.payload.length)) {
        this.#commit();
        break;
      } else if (!this.#sendOne(record)) break;
      sent++;
    }
    return sent;
  }

  get #isFull(): boolean {
    const open = this.#open;
    return open !== null && (open.passed >= this.#target.size.max || open.bytes >= IN_FLIGHT_BYTES_MAX);
  }

  /** False where sending can't go on now. */
  #sendOne(record: UpRecord): boolean {
    const { hub, headers, source, routes, served } = this.#lane;
    const { info } = this.#target;
    const { sequence, subject, payload } = record;
    if (routes.of(subject)?.name !== info.name) {
      this.disturb(new GatewayError('no_stream', `stream ${info.name} does not take ${hub.nameAtHub(subject)}`));
      return false;
    }
    const batch = this.#filling();
    const block = headers.inBatch(record, this.#idOf(batch), batch.sequences.length + 1);
    const bytes = payload.length + block.length;
    // A stream that refuses one message of a batch refuses all, and does not say which.
    const isTooLarge = bytes > info.messageBytesMax;
    const result = isTooLarge ? 'too-large' : hub.forward(subject, '', block, payload, served(subject));
    if (result === 'sent') {
      source.take();
      batch.sequences.push(sequence);
      batch.bytes += bytes;
      this.#passOver(sequence);
      return true;
    }
    const refusal = isTooLarge
      ? oversize(`stream ${info.name}`, block.length, payload.length)
      : linkRefusal(result, hub, record, block.length);
    if (refusal === 'wait') return false;
    if ('trouble' in refusal) {
      this.disturb(refusal.trouble);
      return false;
    }
    this.#lane.lose(sequence, sequence, refusal.loss, refusal.detail);
    source.take();
    this.#passOver(sequence);
    return true;
  }

  #filling(): Batch {
    this.#open ??= {
      number: ++this.#batches,
      openedAtMs: performance.now(),
      sequences: [],
      bytes: 0,
      passed: 0,
      last: 0,
      stored: [],
      sentAtMs: 0,
    };
    return this.#open;
  }

  #idOf({ number }: Batch): string {
    return `${this.#target.id}.${number}`;
  }

  /** The cursor passes the record with the batch that is filling. */
  #passOver(sequence: number): Batch {
    const batch = this.#filling();
    batch.passed++;
    batch.last = sequence;
    return batch;
  }

  /** The source can't read these; they lie behind all that it gave so far. */
  undecodable(first: number, last: number, detail: string): void {
    this.#lane.lose(first, last, 'undecodable', detail);
    this.#passOver(last);
    this.schedule();
  }

  /** Commits what has been sent, unless it must wait; true where a new batch may begin. */
  #commit(): boolean {
    const batch = this.#open;
    if (!batch || this.#over || this.#trouble) return true;
    if (this.#underWay) return false;
    if (batch.sequences.length === 0) {
      this.#open = null;
      this.#settle(batch);
      return true;
    }
    const { hub, headers, served } = this.#lane;
    const { info, subject } = this.#target;
    const place = batch.sequences.length + 1;
    const block = headers.watermark(batch.last, this.#idOf(batch), place, this.#watermark, info.atomic);
    const result = hub.forward(subject, `${this.#reply}.${batch.number}`, block, NOTHING, served(subject));
    if (result === 'sent') {
      batch.sentAtMs = performance.now();
      this.#underWay = batch;
      this.#open = null;
      return true;
    }
    const refusal = linkRefusal(result, hub, { subject, payload: NOTHING }, block.length);
    if (refusal === 'wait') return false;
    // The records had somebody who takes them: it is the watermark alone, and a lane can do without batches.
    const why = 'trouble' in refusal ? refusal.trouble.message : refusal.detail;
    this.#lane.batchesRefused(why, `allow publish on ${hub.nameAtHub(subject)} for the user of this box at the hub`);
    this.disturb(new GatewayError('hub_error', why));
    return false;
  }

  /** The answer to batch number `number`. */
  answered(number: number, ack: PubAck): void {
    const batch = this.#underWay;
    if (batch?.number !== number || this.#over) return;
    this.#underWay = null;
    if (ack.error) this.#refused(batch, ack.error);
    else this.#accepted(batch, ack);
    if (this.#trouble) this.disturb(this.#trouble);
    else this.schedule();
  }

  #accepted(batch: Batch, { stream, sequence, batched }: PubAck): void {
    const { name } = this.#target.info;
    if (stream !== name || sequence === 0 || batched !== batch.sequences.length + 1) {
      this.#unknown = batch;
      const what = `stream ${stream} acknowledged ${batched} messages of a batch of ${batch.sequences.length + 1}`;
      this.disturb(new GatewayError('hub_error', what));
      return;
    }
    this.#watermark = sequence;
    this.#lane.ends.set(name, sequence);
    this.#target.size.fits();
    this.#lane.acknowledged(batch.sequences.length, false);
    this.#settle(batch);
  }

  #refused(batch: Batch, error: NonNullable<PubAck['error']>): void {
    const { meaning, reason } = streamRefusal(this.#target.info.name, error);
    // What is refused is refused as a whole; only of an error that nobody knows can that not be said.
    if (meaning === 'unclear') this.#unknown = batch;
    else for (const sequence of batch.stored) this.#stored.sequences.add(sequence);
    this.disturb(reason);
  }

  /** The cursor passes what was committed. */
  #settle({ last, passed }: Batch): void {
    const { records, index, source } = this.#lane;
    const { name: stream, created } = this.#target.info;
    records.acknowledge(index, last, passed);
    // While records behind the cursor lie in the stream from an earlier pass, the position must stay before them.
    if (last >= this.#stored.end && this.#watermark > 0) {
      void records.place(index, { stream, created, sequence: this.#watermark });
    }
    source.retry();
  }

  tick(nowMs: number): void {
    if (this.#over) return;
    if (this.#open && nowMs - this.#open.openedAtMs > OPEN_MS_MAX) this.#commit();
    const batch = this.#underWay;
    if (!batch || nowMs - batch.sentAtMs < this.#lane.ackTimeoutMs) return;
    this.#underWay = null;
    this.#unknown = batch;
    this.#target.size.tooLong();
    this.disturb(
      new GatewayError('request_timeout', `the hub did not acknowledge within ${this.#lane.ackTimeoutMs} ms`, {
        hint: 'the stream may have no leader, or the link may be too slow for upstream.window',
      }),
    );
  }
}

const NOTHING = Buffer.alloc(0);
