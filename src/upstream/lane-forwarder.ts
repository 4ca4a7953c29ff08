import { setTimeout as wait } from 'node:timers/promises';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import { Headroom } from '../core/headroom.ts';
import type { Log } from '../core/log.ts';
import { BatchPass } from './batch-pass.ts';
import type { Sender } from './drain.ts';
import { identityOf, isForeign } from './identity.ts';
import { JetStream } from './jetstream.ts';
import type { LaneForwarderOptions, LaneForwarderParts, LaneState, Procedure } from './lane-forwarder-types.ts';
import { LinkTrust } from './link-trust.ts';
import { Opening } from './opening.ts';
import { Pass } from './pass.ts';
import { type PassLane, UNANSWERED } from './pass-lane.ts';
import type { LossReason } from './ports.ts';
import type { PubAck } from './puback.ts';
import { RecordSource } from './record-source.ts';
import { Routes } from './routes.ts';
import { UploadHeaders } from './upload-headers.ts';

/** How long a blocked lane waits before it tries again; new interest at the hub wakes it at once. */
const BLOCKED_MS = [250, 1_000, 2_000, 5_000, 10_000] as const;
/** What may be over when interest or permissions at the hub change. */
const MENDED_BY_THE_HUB: readonly ErrorCode[] = ['no_stream', 'no_interest', 'permission_denied'];

/**
 * Sends one lane up, exactly once and in order.
 *
 *   waiting-for-link ──▶ reconciling ──▶ sending ◀──▶ idle
 *          ▲                 ▲              │
 *          │                 └── blocked ◀──┤ a doubt, a refusal, no stream
 *          └────────── link down ───────────┘
 */
export class LaneForwarder implements Sender {
  readonly options: LaneForwarderOptions;
  readonly #parts: LaneForwarderParts;
  readonly #log: Log;
  readonly #lane: PassLane;
  readonly #trust = new LinkTrust();
  #state: LaneState = 'waiting-for-link';
  #reason: GatewayError | null = null;
  #session: AbortController | null = null;
  #pass: Pass | BatchPass | null = null;
  readonly #opening: Opening;
  procedure: Procedure;
  /** Records until a lane that has nothing in doubt any more may go over to batches; 0: it may not, or has. */
  #untilBatches = 0;
  #passes = 0;
  #wake: (() => void) | null = null;
  #finished = false;
  readonly counters = { acknowledged: 0, duplicates: 0, resent: 0, oversize: 0 };
  /** Wall clock of the newest PubAck, 0 for none. */
  lastPubAckMs = 0;

  constructor(options: LaneForwarderOptions, parts: LaneForwarderParts, log: Log) {
    this.options = options;
    this.#parts = parts;
    this.#log = log;
    const { index, name, gateway, stream, window, ackTimeoutMs, historicalAfterMs, isLate = false } = options;
    const jetStream = new JetStream(parts.hub);
    const own = stream?.own ?? false;
    this.procedure = own ? 'own-stream' : 'read-back';
    this.#lane = {
      ...parts,
      sender: this,
      index,
      isForeign: isForeign(name),
      window,
      unanswered: new Headroom({ ...UNANSWERED, max: window }),
      ackTimeoutMs,
      own,
      jetStream,
      proofs: new Map(),
      ends: new Map(),
      routes: new Routes(stream?.name ?? null, (subject) => parts.hub.nameAtHub(subject)),
      source: new RecordSource(parts.records, index, {
        arrived: () => this.schedule(),
        undecodable: (first, last, detail) => this.#pass?.undecodable(first, last, detail),
      }),
      headers: new UploadHeaders(
        identityOf(gateway, parts.records.epoch, name),
        isLate ? 0 : historicalAfterMs,
        (sequence, receivedAtMs) => parts.stamp?.(name, sequence, receivedAtMs) ?? null,
      ),
      acknowledged: (count, duplicate) => this.#acknowledged(count, duplicate),
      idle: () => this.#idle(),
      batchesRefused: (why, hint) => {
        log.warn({ lane: name, hint }, `lane goes up without atomic batches: ${why}`);
        this.#opening.batchesRefused();
      },
      lose: (first, last, reason, detail) => this.#lose(first, last, reason, detail),
    };
    this.#opening = new Opening(options, this.#lane, parts.inbox);
  }

  /** Lower goes first: by priority, and the late part of a lane behind the lane. */
  get rank(): number {
    return this.options.priority * 2 + (this.options.isLate ? 1 : 0);
  }

  get open(): boolean {
    return this.#parts.hold.isOpen(this.options.name, this.options.priority);
  }

  send(count: number): number {
    return this.#pass?.send(count) ?? 0;
  }

  status(): { state: LaneState; reason: GatewayError | null; inFlight: number } {
    const inFlight = this.#pass?.inFlight ?? 0;
    const flows = this.#state === 'sending' || this.#state === 'idle';
    const held = flows ? this.#parts.hold.reason(this.options.name, this.options.priority) : null;
    if (held) return { state: 'paused', reason: held, inFlight };
    return { state: this.#state, reason: this.#reason, inFlight };
  }

  /** `obstacle`: why this hub can't take records although the link is up. */
  linkUp(obstacle: GatewayError | null): void {
    if (this.#finished) return;
    if (obstacle) {
      this.#state = 'blocked';
      this.#reason = obstacle;
      return;
    }
    this.#session = new AbortController();
    this.#opening.linkUp();
    void this.#run(this.#session.signal);
  }

  linkDown(): void {
    this.#trust.linkDown();
    this.#session?.abort();
    this.#session = null;
    this.#pass?.abort(new GatewayError('not_connected', 'the link fell'));
    this.#endPass();
    this.#state = 'waiting-for-link';
    this.#reason = null;
  }

  /** While the link is down: the journal's store is another one, so nothing is known of what it had in flight. */
  renew(): void {
    this.#opening.renew();
    this.#lane.headers.identify(identityOf(this.options.gateway, this.#parts.records.epoch, this.options.name));
  }

  /** Sends nothing more; what is in flight may still be answered. */
  finish(): void {
    this.#finished = true;
    this.#pass?.disturb(new GatewayError('stopping', 'the box is stopping'));
  }

  /** There may be work, or room for it. */
  schedule(): void {
    this.#pass?.schedule();
  }

  /** Interest or permissions at the hub have changed, which may mend what blocks the lane. */
  hubChanged(): void {
    if (this.#reason !== null && MENDED_BY_THE_HUB.includes(this.#reason.code)) this.#wake?.();
  }

  /** The answer to the publish in `slot` of pass number `pass`. */
  answered(pass: number, slot: number, ack: PubAck): void {
    if (pass === this.#passes) this.#pass?.answered(slot, ack);
  }

  tick(nowMs: number): void {
    this.#pass?.tick(nowMs);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#finished) {
      const before = this.counters.acknowledged;
      const reason = await this.#onePass(signal);
      if (signal.aborted) return;
      this.#endPass();
      const doubt = this.#trust.passEnded(reason, this.counters.acknowledged > before);
      if (doubt !== null) {
        this.#parts.hub.cut(doubt);
        return;
      }
      await this.#block(reason, this.#trust.fruitless, signal);
    }
  }

  /** Reconciles, then sends until something ends it; the reason comes back. */
  async #onePass(signal: AbortSignal): Promise<GatewayError> {
    try {
      if (this.#state !== 'blocked') this.#state = 'reconciling';
      const { known, batches, untilBatches, resent, alarms } = await this.#opening.reconcile(() => this.#ended(signal));
      for (const { message, hint } of alarms) this.#log.error({ lane: this.options.name, hint }, message);
      this.counters.resent += resent;
      this.#untilBatches = untilBatches;
      const reply = this.#nextReply();
      this.#pass = batches ? new BatchPass(this.#lane, batches, reply, known) : new Pass(this.#lane, reply, known);
      if (!this.#lane.own) this.procedure = batches ? 'atomic-batch' : 'read-back';
      if (this.#state !== 'blocked') this.#state = 'sending';
      return await this.#pass.run();
    } catch (error) {
      if (error instanceof GatewayError) return error;
      throw error;
    }
  }

  /** Throws where no pass may begin any more. */
  #ended(signal: AbortSignal): void {
    if (signal.aborted) throw new GatewayError('not_connected', 'the link fell');
    if (this.#finished) throw new GatewayError('stopping', 'the box is stopping');
  }

  #nextReply(): string {
    return `${this.#parts.ackPrefix}.${this.options.index}.${++this.#passes}`;
  }

  /** What the pass leaves behind goes into the next reconciliation. */
  #endPass(): void {
    if (!this.#pass) return;
    this.#opening.leave(this.#pass.leftover());
    this.#pass = null;
    this.#lane.source.end();
  }

  async #block(reason: GatewayError, times: number, signal: AbortSignal): Promise<void> {
    // Most doubts are gone with the first look at the stream.
    const quick = reason.code === 'hub_error' && times <= 1;
    if (!quick && !this.#finished) {
      const { code, message, hint } = reason;
      if (this.#reason?.message !== message)
        this.#log.warn({ lane: this.options.name, code, hint }, `lane waits: ${message}`);
      this.#state = 'blocked';
      this.#reason = reason;
    }
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const pauseMs = quick ? 0 : (BLOCKED_MS[Math.min(times, BLOCKED_MS.length - 1)] ?? 0);
    await wait(pauseMs, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => undefined);
    this.#wake = null;
  }

  #acknowledged(count: number, duplicate: boolean): void {
    this.counters.acknowledged += count;
    if (duplicate) this.counters.duplicates++;
    this.lastPubAckMs = Date.now();
    this.#goesWell('sending');
    if (this.#untilBatches > 0 && --this.#untilBatches === 0) this.#goOverToBatches();
  }

  #idle(): void {
    this.#goesWell('idle');
    if (this.#untilBatches > 0) this.#goOverToBatches();
  }

  #goOverToBatches(): void {
    this.#untilBatches = 0;
    this.#pass?.disturb(new GatewayError('hub_error', 'the stream takes batches'));
  }

  #goesWell(state: 'sending' | 'idle'): void {
    if (this.#reason) this.#log.info({ lane: this.options.name }, 'lane goes on');
    this.#reason = null;
    this.#state = state;
  }

  #lose(first: number, last: number, reason: LossReason, detail: string): void {
    const { name, index } = this.options;
    const count = last - first + 1;
    if (reason === 'oversize') this.counters.oversize += count;
    this.#log.error({ lane: name, first, last }, `records will not reach the hub: ${detail}`);
    this.#parts.records.lose({ lane: index, reason, count, first, last, detail });
  }
}
