import assert from 'node:assert/strict';
import { NumberSet } from './ranges.ts';

/** One row of the ledger as the box tells it to the hub on `petiole.<gateway>.ledger`. */
export interface Declaration {
  lane: string;
  reason: string;
  count: number;
  /** null where the messages never got a sequence (refused). */
  first: number | null;
  last: number | null;
}

export interface BalanceReport {
  /** Records in the stream. */
  arrived: number;
  /** Records in declared ranges. */
  declared: number;
  /** Told as refused: these never became records. */
  refused: number;
  /** In the stream and declared lost: must be 0. */
  both: number;
  /** Neither in the stream nor declared, of the numbers from 1 to the last one given: must be 0. */
  neither: number;
  /** Stored or declared more than once: must be 0. */
  twice: number;
  /** Rows whose count is not that of their range: must be 0. */
  uneven: number;
}

/** Received + declared lost = produced, for one lane: every sequence from 1 on is in just one of the two sets. */
export class LaneBalance {
  readonly #arrived = new NumberSet();
  readonly #declared = new NumberSet();
  readonly #lane: string;
  #epoch = '';
  #refused = 0;
  #twice = 0;
  #uneven = 0;

  constructor(lane: string) {
    this.#lane = lane;
  }

  /** `<gateway>.<epoch>.<lane>.<sequence>`. */
  addRecord(id: string): void {
    const [, epoch = '', lane, sequence] = id.split('.');
    assert.equal(lane, this.#lane, `a record of another lane: ${id}`);
    this.#isOfEpoch(epoch);
    if (!this.#arrived.add(Number(sequence))) this.#twice++;
  }

  /** The payload of a ledger message; rows of other lanes are passed over. */
  addDeclaration(payload: Uint8Array): void {
    const row = JSON.parse(Buffer.from(payload).toString()) as Declaration & { epoch: string };
    if (row.lane !== this.#lane) return;
    this.#isOfEpoch(row.epoch);
    if (row.first === null || row.last === null) {
      this.#refused += row.count;
      return;
    }
    if (row.count !== row.last - row.first + 1) this.#uneven++;
    for (let sequence = row.first; sequence <= row.last; sequence++) if (!this.#declared.add(sequence)) this.#twice++;
  }

  /** A store that was begun anew would start its numbering again, and nothing here would be true any more. */
  #isOfEpoch(epoch: string): void {
    if (this.#epoch === '') this.#epoch = epoch;
    assert.equal(epoch, this.#epoch, 'the store keeps its epoch');
  }

  /** `lastSequence`: the last number that the lane has given. */
  report(lastSequence: number): BalanceReport {
    let both = 0;
    let neither = 0;
    for (let sequence = 1; sequence <= lastSequence; sequence++) {
      const arrived = this.#arrived.has(sequence);
      const declared = this.#declared.has(sequence);
      if (arrived && declared) both++;
      if (!arrived && !declared) neither++;
    }
    const { size: arrived } = this.#arrived;
    const { size: declared } = this.#declared;
    return { arrived, declared, refused: this.#refused, both, neither, twice: this.#twice, uneven: this.#uneven };
  }
}
