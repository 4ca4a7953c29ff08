import { randomInt } from 'node:crypto';
import { NO_HEADERS } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { StoreFailure } from './protocol.ts';
import { type Delivery, DeliveryPacker, NO_BATCH, type SessionChanges, step } from './session-changes.ts';
import type { Page, SessionLoad } from './session-table.ts';
import { failureError } from './store-error.ts';

/** Steps that wait for a commit of their own; until then they ride with the next one, or go with the journal's turn. */
const STEPS_RIDING_MAX = 3 * 1024;

/** Identifiers are 32 bits, and those of a store that is open begin at 1. */
const LATE_ID_MIN = 2 ** 30;

/** Bounds of all sessions together. */
export interface SessionLimits {
  readonly bytesMax: number;
}

/** Who is told that a delivery is on disk, or that its commit failed. */
export interface DeliveryOwner {
  readonly id: number;
  committed(delivery: Delivery, kept: boolean): void;
}

export interface SessionRow {
  readonly id: number;
  readonly clientId: string;
  /** Asked when the commit is sent off. */
  readonly data: string;
}

export interface SessionsStatus {
  /** Deliveries that are not complete, of all sessions. */
  bytes: number;
  bytesMax: number;
}

/** What has gathered for one commit. */
class Changes {
  drops = new Set<number>();
  rows = new Map<number, SessionRow>();
  steps: number[] = [];
  readonly received: number[] = [];
  readonly packer = new DeliveryPacker();
  readonly owners: DeliveryOwner[] = [];
  readonly deliveries: Delivery[] = [];
  readonly receipts: Receipt[] = [];
  readonly tokens: number[] = [];
  readonly reached: number[] = [];

  get isUrgent(): boolean {
    const { drops, rows, steps, received, deliveries, receipts } = this;
    return (
      deliveries.length + receipts.length + received.length + rows.size + drops.size > 0 ||
      steps.length > STEPS_RIDING_MAX
    );
  }
}

/**
 * The persistent sessions' face on the main thread. Their queues are on the disk; here are only the changes until the next
 * commit, which is one with that of the journal, and the bytes of all of them.
 */
export class Sessions {
  readonly #limits: SessionLimits;
  /** Asks for a commit. */
  readonly #changedSome: () => void;
  readonly #isDiskFull: () => boolean;
  /** The journal's batch that was filled last, and how many messages have gathered: tells whether one was journaled. */
  readonly #gathered: () => { count: number; lastBatch: number };
  readonly #ask: (session: number, after: number) => Promise<Page>;
  #stored: SessionLoad[] = [];
  #lastId = 0;
  #isOpen = false;
  #listener: { opened(isAnew: boolean): void } | null = null;
  #bytes = 0;
  #changes = new Changes();
  #committing: Changes | null = null;
  /** Deliveries since the start: tells a publisher's party whether a session got its message. */
  #enqueued = 0;
  /** Number of the next commit, and of the last one that has ended. */
  #next = 1;
  #ended = 0;

  constructor(
    limits: SessionLimits,
    changedSome: () => void,
    isDiskFull: () => boolean,
    gathered: () => { count: number; lastBatch: number },
    ask: (session: number, after: number) => Promise<Page>,
  ) {
    this.#limits = limits;
    this.#changedSome = changedSome;
    this.#isDiskFull = isDiskFull;
    this.#gathered = gathered;
    this.#ask = ask;
  }

  /** From the disk: before anything else, or late, where the store could not be opened at the start. */
  load(sessions: readonly SessionLoad[]): void {
    for (const session of sessions) {
      this.#stored.push(session);
      this.#bytes += session.queue.bytes;
      this.#lastId = Math.max(this.#lastId, session.id);
    }
  }

  /** The store is open. `isAnew`: it has lost some of what it had. */
  opened(isAnew: boolean): void {
    this.#isOpen = true;
    if (this.#stored.length > 0 || isAnew) this.#listener?.opened(isAnew);
  }

  /** Who is told when the store is opened while the box runs. */
  listen(listener: { opened(isAnew: boolean): void }): void {
    this.#listener = listener;
  }

  takeStored(): SessionLoad[] {
    const stored = this.#stored;
    this.#stored = [];
    return stored;
  }

  nextId(): number {
    // Beyond those of a store that cannot be opened yet.
    if (!this.#isOpen && this.#lastId === 0) this.#lastId = LATE_ID_MIN + randomInt(LATE_ID_MIN);
    return ++this.#lastId;
  }

  change(row: SessionRow): void {
    this.#changes.rows.set(row.id, row);
    this.#changedSome();
  }

  /** Its deliveries count no more. */
  drop(id: number, bytes: number): void {
    this.#bytes -= bytes;
    this.#changes.rows.delete(id);
    this.#changes.drops.add(id);
    this.#changedSome();
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#limits.bytesMax && !this.#isDiskFull();
  }

  get enqueued(): number {
    return this.#enqueued;
  }

  enqueue(owner: DeliveryOwner, delivery: Delivery): void {
    const changes = this.#changes;
    changes.packer.add(owner.id, delivery);
    changes.owners.push(owner);
    changes.deliveries.push(delivery);
    this.#bytes += delivery.bytes;
    this.#enqueued++;
    this.#changedSome();
  }

  release(id: number, sequence: number): void {
    this.#step(step.release, id, sequence);
  }

  remove(id: number, sequence: number, bytes: number): void {
    this.#bytes -= bytes;
    this.#step(step.remove, id, sequence);
  }

  forget(id: number, packetIdentifier: number): void {
    this.#step(step.forget, id, packetIdentifier);
  }

  #step(kind: number, id: number, number: number): void {
    const { steps } = this.#changes;
    steps.push(kind, id, number);
    if (steps.length > STEPS_RIDING_MAX) this.#changedSome();
  }

  receive(id: number, packetIdentifier: number, publish: () => boolean): void {
    const before = this.#gathered().count;
    if (!publish()) return;
    const { count, lastBatch } = this.#gathered();
    this.#changes.received.push(id, packetIdentifier, count === before ? NO_BATCH : lastBatch);
    this.#changedSome();
  }

  after(receipt: Receipt, token: number, reached: number): void {
    const { receipts, tokens, reached: parties } = this.#changes;
    receipts.push(receipt);
    tokens.push(token);
    parties.push(reached);
    this.#changedSome();
  }

  saved(receipt: Receipt): Receipt {
    return new SavedReceipt(this, receipt, this.#next);
  }

  /** @internal */
  settle(ticket: number, receipt: Receipt, token: number, reached: number): void {
    if (ticket <= this.#ended) receipt.accepted(token, reached);
    else this.after(receipt, token, reached);
  }

  async read(id: number, after: number): Promise<Page> {
    const page = await this.#ask(id, after);
    const removed = this.#removed(id);
    const deliveries = page.deliveries.filter(({ sequence }) => !removed.has(sequence)).map(withBuffers);
    return { ...page, deliveries };
  }

  /** Sequences that are complete, though the disk may not know yet. */
  #removed(id: number): Set<number> {
    const removed = new Set<number>();
    for (const steps of [this.#changes.steps, this.#committing?.steps ?? []]) {
      for (let i = 0; i < steps.length; i += 3) {
        if (steps[i] === step.remove && steps[i + 1] === id) removed.add(steps[i + 2] ?? 0);
      }
    }
    return removed;
  }

  /** Somebody waits for a commit. */
  get isUrgent(): boolean {
    return this.#changes.isUrgent;
  }

  get isChanged(): boolean {
    return this.#changes.isUrgent || this.#changes.steps.length > 0;
  }

  /** The changes for a commit; null for none. */
  takeChanges(): SessionChanges | null {
    if (!this.isChanged) return null;
    const changes = this.#changes;
    this.#committing = changes;
    this.#changes = new Changes();
    this.#next++;
    return {
      drops: [...changes.drops],
      rows: Array.from(changes.rows.values(), ({ id, clientId, data }) => ({ id, clientId, data })),
      steps: changes.steps,
      received: changes.received,
      packed: changes.packer.take(),
    };
  }

  /** The commit has ended. After a failure what nobody was told of goes with the next one; publishers are told at once. */
  committed(failure: StoreFailure | null): void {
    const changes = this.#committing;
    if (changes === null) return;
    this.#committing = null;
    this.#ended = this.#next - 1;
    if (failure) this.#restore(changes);
    changes.deliveries.forEach((delivery, i) => {
      if (failure) this.#bytes -= delivery.bytes;
      changes.owners[i]?.committed(delivery, !failure);
    });
    const error = failure && failureError(failure);
    for (const [i, receipt] of changes.receipts.entries()) {
      if (error) receipt.refused(changes.tokens[i] ?? 0, error);
      else receipt.accepted(changes.tokens[i] ?? 0, changes.reached[i] ?? 0);
    }
  }

  #restore({ drops, rows, steps }: Changes): void {
    const next = this.#changes;
    for (const id of drops) next.drops.add(id);
    for (const [id, row] of rows) if (!next.drops.has(id) && !next.rows.has(id)) next.rows.set(id, row);
    next.steps = [...steps, ...next.steps];
  }

  status(): SessionsStatus {
    return { bytes: this.#bytes, bytesMax: this.#limits.bytesMax };
  }
}

/** Waits for the commit with the changes of its time, where the message itself had none or another. */
class SavedReceipt implements Receipt {
  readonly #sessions: Sessions;
  readonly #receipt: Receipt;
  readonly #ticket: number;

  constructor(sessions: Sessions, receipt: Receipt, ticket: number) {
    this.#sessions = sessions;
    this.#receipt = receipt;
    this.#ticket = ticket;
  }

  accepted(token: number, reached: number): void {
    this.#sessions.settle(this.#ticket, this.#receipt, token, reached);
  }

  refused(token: number, error: Error): void {
    this.#receipt.refused(token, error);
  }
}

/** A buffer comes out of a thread as a plain Uint8Array. */
function withBuffers(delivery: Delivery): Delivery {
  const { subject, headers, payload } = delivery.content;
  return { ...delivery, content: { subject, headers: bufferOf(headers), payload: bufferOf(payload) } };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return bytes.length === 0 ? NO_HEADERS : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
