import { GatewayError } from '../core/errors.ts';
import { positionAtEnd } from './doubt.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Records } from './ports.ts';
import type { Routes } from './routes.ts';

/** Where one stream ends, as far as a pass knows. */
export interface StreamEnd {
  readonly info: StreamInfo;
  /** Sequence that the last record sent there must get, with nobody else writing. */
  predicted: number;
  /** Sequence there of the newest record that the cursor has passed. */
  settled: number;
  /** The journal knows the lane's position in it as of this. */
  placed: number;
  /** The prediction holds: until a record got the sequence it was due, records go into an own stream one by one. */
  proven: boolean;
}

export interface StreamEndsParts {
  readonly index: number;
  readonly own: boolean;
  /** Records of another box: a stream that the lane has not written to may have them all the same. */
  readonly isForeign: boolean;
  readonly records: Records;
  readonly routes: Routes;
  readonly jetStream: JetStream;
  /** Stream → sequence of the last record of the lane that it acknowledged in this run. */
  readonly proofs: Map<string, number>;
}

/** The streams that one pass of a lane writes to. */
export class StreamEnds {
  readonly #parts: StreamEndsParts;
  readonly #ends = new Map<string, StreamEnd>();

  constructor(parts: StreamEndsParts, streams: readonly StreamInfo[]) {
    this.#parts = parts;
    for (const info of streams) this.#learn(info);
  }

  /** The stream that takes this subject; null where the hub must be asked. */
  of(subject: string): StreamEnd | null {
    const info = this.#parts.routes.of(subject);
    return (info && this.#ends.get(info.name)) ?? null;
  }

  named(stream: string): StreamEnd | undefined {
    return this.#ends.get(stream);
  }

  /** Asks the hub which stream takes the subject. Rejects where none does, or where something of the lane may be in it. */
  async find(subject: string): Promise<void> {
    const { index, isForeign, records, routes, jetStream } = this.#parts;
    const info = await routes.find(subject, jetStream);
    if (records.resume(index).positions.some(({ stream }) => stream === info.name)) {
      throw new GatewayError('hub_error', `stream ${info.name} is back at the hub, and may hold what is in doubt`);
    }
    if (isForeign) {
      await records.place(index, { ...positionAtEnd(info), sequence: 0 });
      throw new GatewayError('hub_error', `stream ${info.name} may hold records that came another way`);
    }
    // The lane has never written to it: its end is where our records begin, and that is on disk first.
    await records.place(index, positionAtEnd(info));
    routes.learn(info);
    this.#learn(info);
  }

  #learn(info: StreamInfo): void {
    const { lastSequence } = info;
    const proven = !this.#parts.own;
    this.#ends.set(info.name, { info, predicted: lastSequence, settled: lastSequence, placed: -1, proven });
  }

  /** The cursor has passed the record that the stream gave this sequence. */
  settle(stream: string, sequence: number): void {
    const end = this.#ends.get(stream);
    if (!end || sequence <= end.settled) return;
    end.settled = sequence;
    this.#parts.proofs.set(stream, sequence);
  }

  /** The cursor has passed what was settled, but the lane has more in the streams: its position must stay before that. */
  reach(): void {
    const { index, records } = this.#parts;
    for (const { info, settled } of this.#ends.values()) {
      const position = records.resume(index).positions.find(({ stream }) => stream === info.name);
      if (position) void records.place(index, { ...position, reach: settled });
    }
  }

  /** Tells the journal where the lane stands in each. */
  place(): void {
    for (const end of this.#ends.values()) {
      if (end.placed === end.settled) continue;
      end.placed = end.settled;
      const { name: stream, created } = end.info;
      void this.#parts.records.place(this.#parts.index, { stream, created, sequence: end.settled });
    }
  }
}
