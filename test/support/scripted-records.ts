import type { Batch, Loss, Position, Records, UpRecord } from '../../src/upstream/ports.ts';

const NONE = Buffer.alloc(0);

export function recordOf(sequence: number, subject = 's'): UpRecord {
  return { sequence, subject, receivedAtMs: 0, headers: NONE, payload: NONE };
}

/** A batch from `first` to `last`; `broken` is the record at which its bytes stop to make sense. */
export function batchOf(first: number, last: number, broken = Infinity): Batch & { given: boolean } {
  let next = first;
  return {
    first,
    last,
    bytes: last - first + 1,
    given: false,
    next() {
      if (next >= broken) throw new RangeError('damaged');
      return next > last ? null : recordOf(next++);
    },
    done() {
      this.given = true;
    },
  };
}

/** The journal's side of one lane, so that a test can say when what comes. */
export class ScriptedRecords implements Records {
  readonly epoch = 'e';
  cursor = 0;
  lastSequence = 0;
  positions: Position[] = [];
  readonly losses: Loss[] = [];
  /** Every word to the journal, in order. */
  readonly said: string[] = [];
  readonly reads: { after: number; resolve(stretch: { batches: Batch[]; end: number }): void }[] = [];
  #tail: Parameters<Records['follow']>[1] | null = null;

  get tail(): Parameters<Records['follow']>[1] {
    if (!this.#tail) throw new Error('nobody follows');
    return this.#tail;
  }

  read(_lane: number, after: number): Promise<{ batches: Batch[]; end: number }> {
    return new Promise((resolve) => this.reads.push({ after, resolve }));
  }

  resume(): { cursor: number; positions: readonly Position[]; lastSequence: number } {
    const { cursor, positions, lastSequence } = this;
    return { cursor, positions, lastSequence };
  }

  acknowledge(_lane: number, cursor: number, count: number): void {
    this.cursor = cursor;
    this.said.push(`cursor ${cursor} (${count})`);
  }

  async place(_lane: number, position: Position): Promise<void> {
    this.positions = [...this.positions.filter(({ stream }) => stream !== position.stream), position];
    const { stream, sequence, reach } = position;
    this.said.push(`${stream} ${sequence}${reach === undefined ? '' : ` to ${reach}`}`);
  }

  async rewind(): Promise<{ isBack: boolean; isShort: boolean }> {
    return { isBack: false, isShort: false };
  }

  async settle(_lane: number, stored: ReadonlySet<number>, upTo: number, isAll: boolean): Promise<void> {
    this.said.push(`settle ${[...stored]} ${upTo} ${isAll}`);
  }

  release(_lane: number, end: number): void {
    this.said.push(`release ${end}`);
  }

  lose(loss: Loss): void {
    this.losses.push(loss);
  }

  follow(_lane: number, tail: Parameters<Records['follow']>[1]): void {
    this.#tail = tail;
  }
}
