export interface Sent {
  sequence: number;
  stream: string;
  /** Sequence that the stream must give it; 0 where it is not predicted. */
  predicted: number;
  bytes: number;
  sentAtMs: number;
  state: 'waiting' | 'answered' | 'refused' | 'timed-out';
  /** Where the stream put it; 0 as long as that is not known. */
  streamSequence: number;
}

/** Settled slots that are kept until they are cut off together, for answers come one by one. */
const SETTLED_MAX = 1_024;

/**
 * What was sent and is not yet settled, in the order of sending. Slots are numbered from the session's first one, and
 * the number travels in the reply subject of the publish, so that an answer finds its slot at once. They live long enough
 * to be copied by each collection of young memory, and so are used again: what `find` and `settle` give is only valid until
 * the next `push`.
 */
export class InFlight {
  /** Those before `#head` are settled; they are cut off many at a time. */
  #slots: Sent[] = [];
  #head = 0;
  /** Bounded by the most that were in flight at once. */
  readonly #spare: Sent[] = [];
  /** Number of the first of `#slots`. */
  #base = 0;
  #waiting = 0;
  #bytes = 0;

  get next(): number {
    return this.#base + this.#slots.length;
  }

  /** The oldest that is not settled; `next` where there is none. */
  get first(): number {
    return this.#base + this.#head;
  }

  /** Slots whose answer is still to come. */
  get waiting(): number {
    return this.#waiting;
  }

  get length(): number {
    return this.#slots.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(sequence: number, stream: string, predicted: number, bytes: number, sentAtMs: number): void {
    this.#add(sequence, stream, predicted, bytes, sentAtMs, 'waiting');
    this.#waiting++;
    this.#bytes += bytes;
  }

  /** A record that needs no sending (it is at the hub, or in the ledger) keeps its place in the order. */
  pass(sequence: number): void {
    this.#add(sequence, '', 0, 0, 0, 'answered');
  }

  #add(
    sequence: number,
    stream: string,
    predicted: number,
    bytes: number,
    sentAtMs: number,
    state: Sent['state'],
  ): void {
    const sent = this.#spare.pop();
    if (!sent) {
      this.#slots.push({ sequence, stream, predicted, bytes, sentAtMs, state, streamSequence: 0 });
      return;
    }
    sent.sequence = sequence;
    sent.stream = stream;
    sent.predicted = predicted;
    sent.bytes = bytes;
    sent.sentAtMs = sentAtMs;
    sent.state = state;
    sent.streamSequence = 0;
    this.#slots.push(sent);
  }

  /** The slot, if its answer is still awaited. */
  find(slot: number): Sent | null {
    const sent = this.#slots[slot - this.#base];
    return sent?.state === 'waiting' || sent?.state === 'timed-out' ? sent : null;
  }

  answer(sent: Sent, streamSequence: number): void {
    if (sent.state === 'waiting') this.#waiting--;
    sent.state = 'answered';
    sent.streamSequence = streamSequence;
  }

  refuse(sent: Sent): void {
    if (sent.state === 'waiting') this.#waiting--;
    sent.state = 'refused';
  }

  /** As if no answer had come. */
  giveUp(sent: Sent): void {
    if (sent.state === 'waiting') this.#waiting--;
    sent.state = 'timed-out';
  }

  /** True where something has waited too long; all that has is marked. */
  expire(beforeMs: number): boolean {
    let expired = false;
    for (const sent of this.#slots) {
      if (sent.state !== 'waiting' || sent.sentAtMs > beforeMs) continue;
      sent.state = 'timed-out';
      this.#waiting--;
      expired = true;
    }
    return expired;
  }

  /** Takes the settled slots off the front, oldest first. */
  settle(each: (sent: Sent) => void): void {
    for (let sent = this.#slots[this.#head]; sent?.state === 'answered'; sent = this.#slots[this.#head]) {
      this.#head++;
      this.#bytes -= sent.bytes;
      each(sent);
    }
    if (this.#head < SETTLED_MAX && this.#head < this.#slots.length) return;
    this.#base += this.#head;
    for (const sent of this.#slots.splice(0, this.#head)) this.#spare.push(sent);
    this.#head = 0;
  }

  /** Ends the session: what is left, oldest first. */
  clear(): Sent[] {
    const left = this.#slots.slice(this.#head);
    this.#base += this.#slots.length;
    this.#slots = [];
    this.#head = 0;
    this.#waiting = 0;
    this.#bytes = 0;
    return left;
  }
}
