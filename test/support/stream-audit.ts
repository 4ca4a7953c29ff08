import { readPayload } from './payload.ts';
import { countRanges, NumberSet, type Ranges } from './ranges.ts';

/** The header that carries `<gateway>.<epoch>.<lane>.<sequence>` of a journaled record. */
export const ID_HEADER = 'Petiole-Id';

/** Enough to find the place; a broken run may lose everything. */
const SAMPLES_MAX = 10;

export interface AuditReport {
  /** Messages seen, `foreign` ones included. */
  messages: number;
  /** Messages whose payload is not of the load. */
  foreign: number;
  /** PUBACKed, and nowhere in the stream. The one number that must be 0 whatever happens. */
  lost: number;
  lostSamples: string[];
  /** Records stored again under the same id; without ids: messages seen again. */
  duplicated: number;
  duplicatedSamples: string[];
  /** Records whose sequence is not above the one before, in the same lane and epoch; without ids: per client. */
  outOfOrder: number;
  outOfOrderSamples: string[];
  /**
   * Messages in the stream under more than one id. No fault: a sender that was cut off before its PUBACK sends again,
   * and QoS 1 lets the box journal both.
   */
  repeated: number;
  /** In the stream though the sender never saw the PUBACK. No fault either. */
  unacked: number;
  /** Messages without an id; 0 where everything came through a box. */
  withoutId: number;
  /** Per `<gateway>.<epoch>.<lane>`: records seen and the highest sequence. */
  lanes: Record<string, { records: number; lastSequence: number }>;
}

interface Line {
  seen: NumberSet;
  last: number;
}

/**
 * Judges what arrived, message by message in the order of arrival. Duplicates and order are judged by record id, never
 * by payload: only the box's own numbering tells a record stored twice from a message published twice.
 */
export class StreamAudit {
  readonly #judgeBy: 'record' | 'number';
  readonly #lanes = new Map<string, Line>();
  readonly #clients = new Map<string, Line>();
  #messages = 0;
  #foreign = 0;
  #withoutId = 0;
  #repeated = 0;
  #duplicated = 0;
  #outOfOrder = 0;
  readonly #duplicatedSamples: string[] = [];
  readonly #outOfOrderSamples: string[] = [];

  /** `number`: for a broker that gives no record ids; then every repetition counts as a duplicate. */
  constructor(judgeBy: 'record' | 'number' = 'record') {
    this.#judgeBy = judgeBy;
  }

  get messages(): number {
    return this.#messages;
  }

  /** `id` '' where the message has none. */
  add(payload: Uint8Array, id: string): void {
    this.#messages++;
    const message = readPayload(payload);
    if (message === undefined) this.#foreign++;
    if (id === '') this.#withoutId++;
    if (this.#judgeBy === 'record' && id !== '') {
      const dot = id.lastIndexOf('.');
      this.#judge(this.#lanes, id.slice(0, dot), Number(id.slice(dot + 1)));
    }
    if (message === undefined) return;
    if (this.#judgeBy === 'number') this.#judge(this.#clients, message.client, message.n);
    else if (!line(this.#clients, message.client).seen.add(message.n)) this.#repeated++;
  }

  #judge(lines: Map<string, Line>, key: string, number: number): void {
    const known = line(lines, key);
    if (!known.seen.add(number)) {
      this.#duplicated++;
      sample(this.#duplicatedSamples, `${key}.${number}`);
    } else if (number <= known.last) {
      this.#outOfOrder++;
      sample(this.#outOfOrderSamples, `${key}.${number} after ${known.last}`);
    }
    known.last = Math.max(known.last, number);
  }

  /** Compares with what the senders saw acknowledged (`LoadResult.ackedRanges`; merge those of several loads). */
  report(ackedRanges: Record<string, Ranges>): AuditReport {
    const lost: string[] = [];
    let lostCount = 0;
    let unacked = 0;
    for (const [client, ranges] of Object.entries(ackedRanges)) {
      const seen = this.#clients.get(client)?.seen ?? new NumberSet();
      let missing = 0;
      for (const [first, last] of ranges) {
        for (let n = first; n <= last; n++) {
          if (seen.has(n)) continue;
          missing++;
          sample(lost, `${client}/${n}`);
        }
      }
      lostCount += missing;
      unacked += seen.size - (countRanges(ranges) - missing);
    }
    const lanes: AuditReport['lanes'] = {};
    for (const [key, { seen, last }] of this.#lanes) lanes[key] = { records: seen.size, lastSequence: last };
    return {
      messages: this.#messages,
      foreign: this.#foreign,
      lost: lostCount,
      lostSamples: lost,
      duplicated: this.#duplicated,
      duplicatedSamples: this.#duplicatedSamples,
      outOfOrder: this.#outOfOrder,
      outOfOrderSamples: this.#outOfOrderSamples,
      repeated: this.#repeated,
      unacked,
      withoutId: this.#withoutId,
      lanes,
    };
  }
}

function line(lines: Map<string, Line>, key: string): Line {
  let known = lines.get(key);
  if (known === undefined) {
    known = { seen: new NumberSet(), last: -1 };
    lines.set(key, known);
  }
  return known;
}

function sample(samples: string[], text: string): void {
  if (samples.length < SAMPLES_MAX) samples.push(text);
}
