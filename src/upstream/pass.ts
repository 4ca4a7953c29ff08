import { GatewayError } from '../core/errors.ts';
import { InFlight, type Sent } from './in-flight.ts';
import { IN_FLIGHT_BYTES_MAX, type Known, type PassLane } from './pass-lane.ts';
import type { UpRecord } from './ports.ts';
import type { PubAck } from './puback.ts';
import { linkRefusal, streamRefusal } from './refusals.ts';
import { StoredRecords } from './stored-records.ts';
import { type StreamEnd, StreamEnds } from './stream-ends.ts';

/**
 * One stretch of sending between two reconciliations. Records go out in the order of the lane and none twice, so their
 * order in a stream is that of the lane. Whatever disturbs that ends the pass: nothing more is sent, and the end comes
 * when everything in flight is answered or given up.
 */
export class Pass {
  readonly #lane: PassLane;
  /** Reply subject without the slot; different for each pass, so that late answers find nobody. */
  readonly #reply: string;
  readonly #inFlight = new InFlight();
  readonly #stored: StoredRecords;
  readonly #ends: StreamEnds;
  #trouble: GatewayError | null = null;
  #over = false;
  #end: (reason: GatewayError) => void = () => undefined;
  #looking = false;
  /** Settled records that the journal has not heard of. */
  #settled: number[] = [];
  #saving = false;

  constructor(lane: PassLane, reply: string, { stored, upTo, skip, streams }: Known) {
    this.#lane = lane;
    this.#reply = reply;
    this.#stored = new StoredRecords(stored, upTo, skip);
    this.#ends = new StreamEnds(lane, streams);
    lane.unanswered.restart();
  }

  get inFlight(): number {
    return this.#inFlight.waiting;
  }

  /** Sends until something ends the pass; resolves with what did. */
  run(): Promise<GatewayError> {
    return new Promise((resolve) => {
      this.#end = resolve;
      if (this.#stored.end === 0) this.#ends.place();
      this.schedule();
    });
  }

  /** There may be work: the lane gets its turn soon. */
  schedule(): void {
    if (!this.#over) this.#lane.drain.schedule(this.#lane.sender);
  }

  /** Ends the pass, at the latest when the time for answers is up. */
  disturb(reason: GatewayError): void {
    this.#trouble ??= reason;
    if (this.#inFlight.waiting === 0) this.abort(this.#trouble);
  }

  /** Ends it now: no answer can come any more. */
  abort(reason: GatewayError): void {
    if (this.#over) return;
    this.#save();
    this.#over = true;
    this.#end(this.#trouble ?? reason);
  }

  /** After the end: records behind the cursor that the hub has, and those that it may have. */
  leftover(): { stored: Set<number>; doubt: Set<number> } {
    const doubt = new Set<number>();
    const stored = this.#stored.sequences;
    for (const sequence of this.#settled) stored.add(sequence);
    for (const { sequence, state } of this.#inFlight.clear()) {
      if (state === 'answered') stored.add(sequence);
      else if (state !== 'refused') doubt.add(sequence);
    }
    return { stored, doubt };
  }

  /** The lane's turn: sends up to `count` records and gives how many went. */
  send(count: number): number {
    const { source, hub, window, unanswered, drain } = this.#lane;
    let sent = 0;
    while (sent < count && !this.#over && !this.#trouble) {
      if (this.#inFlight.length >= window || this.#inFlight.bytes >= IN_FLIGHT_BYTES_MAX) break;
      if (!hub.writable || !unanswered.has(this.#inFlight.next) || this.#looking) break;
      const record = source.peek();
      if (!record) {
        if (source.exhausted && this.#inFlight.length === 0) this.#rest();
        break;
      }
      if (this.#stored.take(record.sequence)) {
        this.#passOver(record.sequence);
        sent++;
        continue;
      }
      const end = this.#endOf(record.subject);
      // Late records of an earlier connection may still come in before our first one. Were a whole window on its way then,
      // the hub would refuse its first records and take those behind them.
      if (!end || (!end.proven && this.#inFlight.waiting > 0)) break;
      if (!drain.paced(record.payload.length)) break;
      if (!this.#sendOne(record, end)) break;
      sent++;
    }
    return sent;
  }

  /** Everything is sent and answered; the cursor need not wait for what the hub has and the disk never had. */
  #rest(): void {
    this.#stored.exhaust();
    if (this.#settled.length > 0) {
      this.#saving = true;
      this.#save();
    }
    this.#lane.idle();
  }

  /** False where sending can't go on now. */
  #sendOne(record: UpRecord, end: StreamEnd): boolean {
    const { own, hub, headers, source, unanswered, served } = this.#lane;
    const stream = end.info.name;
    const block = own ? headers.withExpectedSequence(record, stream, end.predicted) : headers.withMessageId(record);
    const reply = `${this.#reply}.${this.#inFlight.next}`;
    const { sequence, subject, payload } = record;
    const result = hub.forward(subject, reply, block, payload, served(subject));
    if (result === 'sent') {
      end.predicted++;
      source.take();
      const bytes = payload.length + block.length;
      const predicted = own ? end.predicted : 0;
      const nowMs = performance.now();
      this.#inFlight.push(sequence, stream, predicted, bytes, nowMs);
      if (unanswered.isProbeDue(this.#inFlight.next)) unanswered.probed(this.#inFlight.next, nowMs);
      return true;
    }
    const refusal = linkRefusal(result, hub, record, block.length);
    if (refusal === 'wait') return false;
    if ('trouble' in refusal) {
      this.disturb(refusal.trouble);
      return false;
    }
    this.#lane.lose(sequence, sequence, refusal.loss, refusal.detail);
    this.#passOver(sequence);
    return true;
  }

  /** The record needs no sending, but the cursor passes it in its turn. */
  #passOver(sequence: number): void {
    this.#lane.source.take();
    this.#inFlight.pass(sequence);
    this.#settle();
  }

  /** The source can't read these; they lie behind all that it gave so far. */
  undecodable(first: number, last: number, detail: string): void {
    this.#lane.lose(first, last, 'undecodable', detail);
    this.#inFlight.pass(last);
    this.#settle();
  }

  /** Where records on this subject go; null while the hub is asked. */
  #endOf(subject: string): StreamEnd | null {
    const end = this.#ends.of(subject);
    if (end) return end;
    this.#looking = true;
    this.#ends
      .find(subject)
      .catch((error: unknown) => {
        if (!(error instanceof GatewayError)) throw error;
        this.disturb(error);
      })
      .finally(() => {
        this.#looking = false;
        this.schedule();
      });
    return null;
  }

  /** The answer to what was sent in `slot`. */
  answered(slot: number, ack: PubAck): void {
    const sent = this.#inFlight.find(slot);
    if (!sent || this.#over) return;
    if (ack.error) this.#refused(sent, ack.error);
    else this.#accepted(sent, ack);
    this.#settle();
    if (this.#trouble) this.disturb(this.#trouble);
    else if (this.#hasRoom) this.schedule();
  }

  /** For many records: to wake up for each one costs more than it gains. */
  get #hasRoom(): boolean {
    const { window, unanswered } = this.#lane;
    return this.#inFlight.length <= window / 2 && unanswered.isHalfFree(this.#inFlight.next);
  }

  #accepted(sent: Sent, { stream, sequence, duplicate }: PubAck): void {
    // A duplicate without a sequence proves nothing (see the protocol notes): as good as no answer.
    if (sequence === 0) {
      this.#inFlight.giveUp(sent);
      this.disturb(new GatewayError('hub_error', `stream ${stream} acknowledged a record without a sequence`));
      return;
    }
    this.#lane.acknowledged(1, duplicate);
    this.#inFlight.answer(sent, duplicate ? 0 : sequence);
    const { ends } = this.#lane;
    ends.set(stream, Math.max(sequence, ends.get(stream) ?? 0));
    if (stream !== sent.stream) {
      this.disturb(new GatewayError('hub_error', `stream ${stream} took what was meant for ${sent.stream}`));
    } else if (sent.predicted > 0 && sequence !== sent.predicted) {
      this.disturb(new GatewayError('hub_error', `stream ${stream} gave ${sequence} where ${sent.predicted} was due`));
    } else this.#prove(stream);
  }

  #prove(stream: string): void {
    const end = this.#ends.named(stream);
    if (!end || end.proven) return;
    end.proven = true;
    this.schedule();
  }

  #refused(sent: Sent, error: NonNullable<PubAck['error']>): void {
    const { meaning, reason } = streamRefusal(sent.stream, error);
    if (meaning === 'never') {
      this.#lane.lose(sent.sequence, sent.sequence, 'oversize', reason.message);
      this.#inFlight.answer(sent, 0);
      // What was predicted for the records behind it is wrong now.
      if (!this.#lane.own) return;
    } else if (meaning === 'unclear') this.#inFlight.giveUp(sent);
    else this.#inFlight.refuse(sent);
    this.disturb(reason);
  }

  readonly #passed = ({ sequence, stream, streamSequence }: Sent): void => {
    this.#settled.push(sequence);
    this.#ends.settle(stream, streamSequence);
  };

  /** Moves the cursor over what is settled; the journal hears of it once per turn. */
  #settle(): void {
    const { unanswered, hub } = this.#lane;
    this.#inFlight.settle(this.#passed);
    while (unanswered.awaited <= this.#inFlight.first) unanswered.answered(performance.now(), hub.isShared);
    // Records that need no sending have no answer either.
    unanswered.passed(this.#inFlight.first);
    if (this.#saving || this.#settled.length === 0) return;
    this.#saving = true;
    setImmediate(() => this.#save());
  }

  #save(): void {
    if (!this.#saving || this.#over) return;
    this.#saving = false;
    const { own, records, index, source } = this.#lane;
    const cursor = this.#settled.at(-1) ?? 0;
    // While records behind the cursor lie in a stream from an earlier pass, its position must stay before them; and in an
    // own stream, where records are counted from the position, the cursor must stay with it.
    const complete = cursor >= this.#stored.end;
    if (complete || !own) {
      records.acknowledge(index, cursor, this.#settled.length);
      this.#settled = [];
    }
    if (complete) this.#ends.place();
    else if (!own) this.#ends.reach();
    source.retry();
    if (this.#inFlight.length === 0) this.schedule();
  }

  /** Called a few times a second: gives up on answers that do not come. */
  tick(nowMs: number): void {
    if (this.#over || !this.#inFlight.expire(nowMs - this.#lane.ackTimeoutMs)) return;
    this.disturb(
      new GatewayError('request_timeout', `the hub did not acknowledge within ${this.#lane.ackTimeoutMs} ms`, {
        hint: 'the stream may have no leader, or the link may be too slow for upstream.window',
      }),
    );
  }
}
