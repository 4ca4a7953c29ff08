import { GatewayError } from '../core/errors.ts';
import { type Message, NO_HEADERS } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import { SubjectTree } from '../core/subject-tree.ts';
import type { RetainedLimits, StoreFailure } from './protocol.ts';
import { costOf, packRows, type RetainedRow, unpackRows } from './retained-rows.ts';
import { failureError } from './store-error.ts';

/**
 * The retained messages on the main thread: one for each subject, with its payload. In memory and not read from the disk
 * on demand, because that is affordable (the default bounds allow 16 MiB; ten thousand values of a sensor are some 9)
 * and because a read would wait behind commits of a slow card, and could overtake or be overtaken by a newer value.
 *
 *   keep ─▶ tree, and the subject is noted as changed ══ with the next commit ══▶ writer: table `retained`
 *
 * A commit carries the values as they are when it is sent off: of many for one subject only the last is written. The
 * journal sends both the messages and the changes of a turn in one commit, so the receipt of a journaled message means
 * that its retained value is on disk too.
 */

/** Entries with an expiry that one sweep looks at: a millisecond. */
const SWEPT_AT_ONCE = 4_096;

/** A row of the tree, with what it counts for. */
interface Kept extends RetainedRow {
  readonly bytes: number;
}

export interface RetainedStatus {
  count: number;
  countMax: number;
  bytes: number;
  bytesMax: number;
  /** On the disk and beyond the limits: not delivered. */
  left: number;
}

export class Retained {
  readonly #limits: RetainedLimits;
  /** Asks for a commit. */
  readonly #changedSome: () => void;
  /** The free-space reserve is reached: nothing may grow. */
  readonly #isDiskFull: () => boolean;
  readonly #tree = new SubjectTree<Kept>();
  #bytes = 0;
  #left = 0;
  /** Subjects whose value on disk is another; at most twice countMax, since clearing leaves one behind. */
  #changed = new Set<string>();
  /** Those in the commit under way. */
  #committing: Set<string> | null = null;
  /** Number of the next commit with changes, and of the last one that has ended. */
  #next = 1;
  #ended = 0;
  #waiting: { ticket: number; receipt: Receipt; token: number; reached: number }[] = [];
  readonly #expiring = new Set<string>();
  #sweeping: Iterator<string> = [].values();

  constructor(limits: RetainedLimits, changedSome: () => void, isDiskFull: () => boolean) {
    this.#limits = limits;
    this.#changedSome = changedSome;
    this.#isDiskFull = isDiskFull;
  }

  /**
   * Rows from the disk; where the store came late, what was kept meanwhile is newer. They stay slices of their chunk: a
   * hundred thousand buffers of their own would double the time of the start. A chunk lives as long as its last row, so
   * that all of them never hold more than was loaded.
   */
  load(chunk: Buffer): void {
    for (const row of unpackRows(chunk)) if (!this.#changed.has(row.subject)) this.#put(row);
  }

  /** The store is another one: everything goes into it with the next commit. */
  rewrite(): void {
    for (const row of this.#tree.matching('>')) if (row) this.#changed.add(row.subject);
    this.#changedSome();
  }

  /** The disk has more than the limits allow. */
  leave(left: number): void {
    this.#left = left;
  }

  /**
   * Makes it the retained message of its subject; with an empty payload there is none from then on. It is seen at once and
   * on disk with the next commit. An error where a bound forbids it: nothing has changed then.
   */
  keep(message: Message, qos: number, expiresMs: number): GatewayError | null {
    const { subject, headers, payload, origin, receivedAtMs } = message;
    if (payload.length === 0) {
      this.clear(subject);
      return null;
    }
    const row = { subject, headers, payload, qos, client: origin.name, atMs: receivedAtMs, expiresMs };
    const error = this.#judge(subject, costOf(row));
    if (error !== null) return error;
    // One buffer of its own: a slice would keep all that came in with it.
    const own = Buffer.allocUnsafeSlow(headers.length + payload.length);
    headers.copy(own);
    payload.copy(own, headers.length);
    this.#put({
      ...row,
      headers: headers.length === 0 ? NO_HEADERS : own.subarray(0, headers.length),
      payload: headers.length === 0 ? own : own.subarray(headers.length),
    });
    this.#change(subject);
    return null;
  }

  #judge(subject: string, bytes: number): GatewayError | null {
    const { countMax, bytesMax } = this.#limits;
    const known = this.#tree.get(subject);
    if ((known === null && this.#tree.size >= countMax) || this.#changed.size >= 2 * countMax) {
      return full(`${countMax} messages are retained, and no more allowed (mqtt.retained_max)`);
    }
    const more = bytes - (known?.bytes ?? 0);
    if (this.#bytes + more > bytesMax) {
      return full(
        `retained messages may take ${bytesMax} bytes (mqtt.retained_bytes_max), and this one would exceed it`,
      );
    }
    if (more <= 0 || !this.#isDiskFull()) return null;
    return new GatewayError('disk_full', 'a message is not retained: the free-space reserve of the disk is reached', {
      hint: 'free space on the disk of gateway.data, or lower journal.reserve',
    });
  }

  #put(row: RetainedRow): void {
    const bytes = costOf(row);
    const before = this.#tree.set(row.subject, { ...row, bytes });
    this.#bytes += bytes - (before?.bytes ?? 0);
    if (row.expiresMs > 0) this.#expiring.add(row.subject);
    else if (before !== null) this.#expiring.delete(row.subject);
  }

  #take(subject: string): boolean {
    const known = this.#tree.get(subject);
    if (known === null) return false;
    this.#tree.delete(subject);
    this.#bytes -= known.bytes;
    this.#expiring.delete(subject);
    return true;
  }

  /** There is no retained message of this subject from now on. */
  clear(subject: string): void {
    // What is not here may be on the disk, where that has more.
    if (this.#take(subject) || this.#left > 0) this.#change(subject);
  }

  #change(subject: string): void {
    this.#changed.add(subject);
    this.#changedSome();
  }

  /** Those whose subjects match, with a null for each step between; see SubjectTree. */
  matching(filter: string): Iterator<RetainedRow | null> {
    return this.#tree.matching(filter);
  }

  /** Passes a receipt on only when all that was kept or cleared up to now is on disk. */
  after(receipt: Receipt): Receipt {
    return new SavedReceipt(this, receipt, this.#changed.size > 0 ? this.#next : this.#next - 1);
  }

  /** @internal */
  settle(ticket: number, receipt: Receipt, token: number, reached: number): void {
    if (ticket <= this.#ended) receipt.accepted(token, reached);
    else this.#waiting.push({ ticket, receipt, token, reached });
  }

  /** Some subject has another value on disk. */
  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  /** The changes for a commit; null for none. */
  takeChanges(): Buffer | null {
    if (this.#changed.size === 0) return null;
    this.#committing = this.#changed;
    this.#changed = new Set();
    this.#next++;
    return packRows(Array.from(this.#committing, (subject) => this.#tree.get(subject) ?? cleared(subject)));
  }

  /** The commit has ended. After a failure its changes go with the next one; who waits is told at once. */
  committed(failure: StoreFailure | null): void {
    if (this.#committing === null) return;
    if (failure) for (const subject of this.#committing) this.#changed.add(subject);
    this.#committing = null;
    this.#ended = this.#next - 1;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ ticket }) => ticket > this.#ended);
    const error = failure && failureError(failure);
    for (const { ticket, receipt, token, reached } of waiting) {
      if (ticket > this.#ended) continue;
      if (error) receipt.refused(token, error);
      else receipt.accepted(token, reached);
    }
  }

  /** Forgets some of what has expired; called now and then. Deliveries look for themselves. */
  sweep(nowMs: number): void {
    let isSecondRound = false;
    for (let i = 0; i < SWEPT_AT_ONCE; i++) {
      const { value: subject, done } = this.#sweeping.next();
      if (done) {
        if (isSecondRound) return;
        isSecondRound = true;
        this.#sweeping = this.#expiring.values();
        continue;
      }
      if ((this.#tree.get(subject)?.expiresMs ?? Number.POSITIVE_INFINITY) <= nowMs) this.clear(subject);
    }
  }

  status(): RetainedStatus {
    return { count: this.#tree.size, bytes: this.#bytes, left: this.#left, ...this.#limits };
  }
}

/** Waits for the commit with the retained value, where the message itself had none or another. */
class SavedReceipt implements Receipt {
  readonly #retained: Retained;
  readonly #receipt: Receipt;
  readonly #ticket: number;

  constructor(retained: Retained, receipt: Receipt, ticket: number) {
    this.#retained = retained;
    this.#receipt = receipt;
    this.#ticket = ticket;
  }

  accepted(token: number, reached: number): void {
    this.#retained.settle(this.#ticket, this.#receipt, token, reached);
  }

  refused(token: number, error: Error): void {
    this.#receipt.refused(token, error);
  }
}

function cleared(subject: string): RetainedRow {
  return { subject, headers: NO_HEADERS, payload: NO_HEADERS, qos: 0, client: '', atMs: 0, expiresMs: 0 };
}

function full(message: string): GatewayError {
  return new GatewayError('retained_full', message, {
    hint: 'raise the limit, or clear retained messages that nobody needs (publish an empty one with the retain flag)',
  });
}
