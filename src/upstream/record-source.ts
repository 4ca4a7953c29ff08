import assert from 'node:assert/strict';
import type { Batch, Records, UpRecord } from './ports.ts';

/** Committed batches that may wait here to be sent: a few windows. Beyond them the lane is read from disk again. */
const TAIL_RECORDS_MAX = 4_096;
const TAIL_BYTES_MAX = 1024 * 1024;
/** With fewer left to give out the next ones are read, so that nobody waits for the disk: some 20 ms of a fast drain. */
const AHEAD_RECORDS = 2_048;

/**
 * The records of one lane in order, from wherever they are: straight from the commit while the forwarder keeps up, from
 * disk when it lags.
 */
export interface RecordSourceEvents {
  /** There may be a next record now, or none to wait for any more. */
  arrived(): void;
  /** What follows an unreadable record in its batch can't be found; called in the order of the lane. */
  undecodable(first: number, last: number, detail: string): void;
}

export class RecordSource {
  readonly #records: Records;
  readonly #lane: number;
  readonly #events: RecordSourceEvents;
  #batches: Batch[] = [];
  #held = { records: 0, bytes: 0 };
  #current: UpRecord | null = null;
  /** Last sequence handed out or waiting here. */
  #end = 0;
  /** Last sequence that `next` gave. */
  #given = 0;
  /** Last sequence that the lane is known to have. */
  #last = 0;
  #reading = false;
  /** The last read found nothing: what is behind may not be in doubt yet. It is not asked for again ahead of time. */
  #dry = false;
  #open = false;
  /** What comes for a session that is over is dropped: the journal has taken it for forgotten. */
  #session = 0;

  constructor(records: Records, lane: number, events: RecordSourceEvents) {
    this.#records = records;
    this.#lane = lane;
    this.#events = events;
    records.follow(lane, {
      wants: () => (this.#wantsTail() ? this.#session : 0),
      take: (batch, session) => this.#take(batch, session),
      more: () => this.#more(),
    });
  }

  /** Begins behind `after`. */
  begin(after: number): void {
    this.#drop();
    this.#session++;
    this.#end = after;
    this.#given = after;
    this.#last = this.#records.resume(this.#lane).lastSequence;
    this.#reading = false;
    this.#dry = false;
    this.#open = true;
  }

  /** Forgets what was not given out, and takes nothing more. */
  end(): void {
    this.#open = false;
    this.#session++;
    this.#drop();
  }

  #drop(): void {
    for (const batch of this.#batches) batch.done();
    this.#batches = [];
    this.#held = { records: 0, bytes: 0 };
    this.#current = null;
  }

  /** True where every record of the lane has been given out. */
  get exhausted(): boolean {
    return this.#batches.length === 0 && this.#current === null && this.#end >= this.#last;
  }

  #wantsTail(): boolean {
    if (!this.#open || this.#reading || this.#end < this.#last) return false;
    return this.#held.records < TAIL_RECORDS_MAX && this.#held.bytes < TAIL_BYTES_MAX;
  }

  #take(batch: Batch, session: number): void {
    // Between the question and the commit the session may have ended, or a gap may have come up.
    const fits = this.#open && session === this.#session && batch.first > this.#end && this.#end >= this.#last;
    this.#last = Math.max(this.#last, batch.last);
    if (!fits) {
      batch.done();
      return;
    }
    this.#hold(batch);
    this.#events.arrived();
  }

  #hold(batch: Batch): void {
    this.#batches.push(batch);
    this.#held.records += batch.last - batch.first + 1;
    this.#held.bytes += batch.bytes;
    this.#end = batch.last;
  }

  #more(): void {
    this.#last = this.#records.resume(this.#lane).lastSequence;
    if (this.#open && this.#end < this.#last) this.#events.arrived();
  }

  /** The next record without taking it; null where there is none now: `arrived` is called when there may be. */
  peek(): UpRecord | null {
    while (this.#current === null) {
      const batch = this.#batches[0];
      if (!batch) {
        if (this.#end < this.#last) this.#read();
        return null;
      }
      const record = this.#nextOf(batch);
      if (record === null) {
        this.#batches.shift();
        this.#held.records -= batch.last - batch.first + 1;
        this.#held.bytes -= batch.bytes;
        batch.done();
      } else if (record.sequence > this.#given) this.#current = record;
    }
    if (this.#end < this.#last && this.#end - this.#given < AHEAD_RECORDS && !this.#dry) this.#read();
    return this.#current;
  }

  #nextOf(batch: Batch): UpRecord | null {
    try {
      return batch.next();
    } catch (error) {
      assert(error instanceof RangeError);
      const first = Math.max(batch.first, this.#given + 1);
      this.#given = Math.max(this.#given, batch.last);
      if (first <= batch.last) this.#events.undecodable(first, batch.last, error.message);
      return null;
    }
  }

  /** Takes what `peek` showed. */
  take(): void {
    if (this.#current) this.#given = this.#current.sequence;
    this.#current = null;
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    const session = this.#session;
    void this.#records.read(this.#lane, this.#end).then(({ batches, end }) => {
      if (session !== this.#session) return;
      this.#reading = false;
      this.#dry = batches.length === 0;
      const before = this.#end;
      for (const batch of batches) this.#hold(batch);
      // What was evicted, expired or damaged leaves a hole.
      this.#end = Math.max(this.#end, end);
      this.#last = Math.max(this.#last, this.#end);
      if (this.#end > before) this.#events.arrived();
    });
  }

  /** Asks again where the last read found the doubt window full; called when the cursor has moved. */
  retry(): void {
    if (this.#open && this.#batches.length === 0 && this.#current === null && this.#end < this.#last) this.#read();
  }
}
