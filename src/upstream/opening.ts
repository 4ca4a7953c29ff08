import type { GatewayError } from '../core/errors.ts';
import type { BatchTarget } from './batch-pass.ts';
import { Batches } from './batches.ts';
import { type Doubt, positionAtEnd, type Reconciled, reconcile } from './doubt.ts';
import { idEndOf } from './identity.ts';
import type { Known, PassLane } from './pass-lane.ts';
import type { Inbox } from './read-back.ts';

/** What a pass begins with. */
export interface Opened {
  readonly known: Known;
  /** Where the pass commits batches; null for a pass without them. */
  readonly batches: BatchTarget | null;
  /** After so many records the lane may go over to batches; 0: it may not, or does. */
  readonly untilBatches: number;
  /** Records that were in doubt and are not at the hub. */
  readonly resent: number;
  /** See `Reconciled`. */
  readonly alarms: readonly GatewayError[];
}

export interface OpeningOptions {
  readonly gateway: string;
  readonly name: string;
  readonly subjects: readonly string[];
  readonly stream: { readonly name: string; readonly own: boolean } | null;
}

/** What a lane knows from one pass to the next, over links that come and go, and how the next one begins. */
export class Opening {
  readonly #options: OpeningOptions;
  readonly #lane: PassLane;
  readonly #inbox: Inbox;
  readonly #batches: Batches;
  #doubt: Doubt = null;
  #stored: Set<number> = new Set();

  constructor(options: OpeningOptions, lane: PassLane, inbox: Inbox) {
    this.#options = options;
    this.#lane = lane;
    this.#inbox = inbox;
    const { gateway, name, subjects, stream } = options;
    const { hub, jetStream, own, isForeign, window } = lane;
    const choice = { gateway, lane: name, subjects, stream: stream?.name ?? null, allowed: !own && !isForeign, window };
    this.#batches = new Batches(choice, hub, jetStream);
  }

  linkUp(): void {
    this.#batches.linkUp();
  }

  batchesRefused(): void {
    this.#batches.refused();
  }

  /** The journal's store is another one, so nothing is known of what it had in flight, and its ids are others. */
  renew(): void {
    this.#forget();
    this.#lane.proofs.clear();
  }

  #forget(): void {
    this.#doubt = null;
    this.#stored = new Set();
  }

  /** What a pass leaves behind goes into the next reconciliation. */
  leave({ stored, doubt }: { stored: Set<number>; doubt: Set<number> }): void {
    this.#stored = stored;
    // What was in doubt before is still so where its stream was missing.
    if (this.#doubt) this.#doubt = new Set([...this.#doubt, ...doubt]);
  }

  /** Removes the doubt and opens the source behind the cursor. `check` throws where no pass may begin any more. */
  async reconcile(check: () => void): Promise<Opened> {
    const { index, hub, records, routes, proofs, ends, isForeign } = this.#lane;
    const { name, subjects, stream } = this.#options;
    const own = stream?.own ? stream.name : null;
    const filters = subjects.length === 1 && subjects[0] !== '>' ? subjects.map((one) => hub.nameAtHub(one)) : [];
    const idEnd = idEndOf(records.epoch, name);
    // Records of another box may have come, or still come, another way: nobody here knows which.
    const doubt = isForeign ? null : this.#doubt;
    const forget = () => this.#forget();
    const { formers: epochs = [] } = records.resume(index);
    const formers = epochs.map(({ epoch, last }) => ({ idEnd: idEndOf(epoch, name), last }));
    const lane = { index, own, proofs, ends, forget, idEnd, formers, filters, watermarkIn: this.#batches.subjectIn };
    const found = await reconcile({ ...this.#lane, inbox: this.#inbox }, lane, doubt);
    const { batches, untilBatches } = await this.#chooseBatches(found, idEnd, doubt);
    check();
    const { known, resent } = this.#know(found);
    if (batches) routes.learn(batches.info);
    return { known, batches, untilBatches, resent, alarms: found.alarms };
  }

  async #chooseBatches(
    found: Reconciled,
    idEnd: string,
    doubt: Doubt,
  ): Promise<Pick<Opened, 'batches' | 'untilBatches'>> {
    const choice = await this.#batches.choose(found, idEnd);
    if (!choice) return { batches: null, untilBatches: 0 };
    const { target, watermark } = choice;
    const { index, records, proofs, window } = this.#lane;
    const isNew = !records.resume(index).positions.some(({ stream }) => stream === target.info.name);
    // What was sent without batches may still come in late, and only the message ids of read-back keep it from being there
    // twice: that goes first, until all of it is behind the cursor.
    if (!isNew && watermark.last === 0 && (doubt === null || doubt.size > 0)) {
      return { batches: null, untilBatches: 2 * window };
    }
    // The lane's records begin behind its end, and that is on disk first.
    if (isNew) await records.place(index, positionAtEnd(target.info));
    proofs.delete(target.info.name);
    return { batches: target, untilBatches: 0 };
  }

  #know({ stored: read, upTo, skip, streams, missing }: Reconciled): { known: Known; resent: number } {
    const { index, records, routes, source } = this.#lane;
    routes.clear();
    for (const info of streams) routes.learn(info);
    const { cursor } = records.resume(index);
    let end = Math.max(cursor, upTo);
    const stored = new Set<number>();
    for (const sequence of [...this.#stored, ...read]) {
      if (sequence > cursor) stored.add(sequence);
      if (sequence > end) end = sequence;
    }
    this.#stored = stored;
    let resent = 0;
    if (!missing) {
      for (const sequence of this.#doubt ?? []) if (sequence > upTo && !stored.has(sequence)) resent++;
      this.#doubt = new Set();
      // Which records the hub has is known now, unless they are only counted; the others may be evicted again.
      if (skip === 0) records.release(index, end);
    }
    source.begin(cursor);
    return { known: { stored, upTo, skip, streams }, resent };
  }
}
