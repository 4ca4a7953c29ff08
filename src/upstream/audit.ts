import { GatewayError } from '../core/errors.ts';
import { headerValue } from '../core/headers.ts';
import { Ranges } from '../core/ranges.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { type Inbox, readFrom } from './read-back.ts';
import { WATERMARK } from './watermark.ts';

/**
 * The proof that nothing disappeared in silence. Per lane: what the box numbered is at the hub, or declared lost, or still
 * waits on the box; and nothing is at the hub twice or out of order.
 *
 *   produced (1 to last, without numbers that were never used) = received ∪ declared lost ∪ waiting
 *
 * A journal that was salvaged has another epoch since: what the hub had by then is there under the one before.
 */

/** Ranges that are shown of each kind; the counts are of all. */
const SHOWN_MAX = 20;

export interface Produced {
  name: string;
  subjects: readonly string[];
  /** The stream that the configuration names, null for whichever takes the subjects. */
  stream: string | null;
  lastSequence: number;
  /** The hub is known to have, or to have been told to miss, everything up to here. */
  cursor: number;
}

export interface Declared {
  lane: string;
  reason: string;
  count: number;
  first: number | null;
  last: number | null;
}

export interface LaneAudit {
  lane: string;
  streams: string[];
  produced: number;
  received: number;
  /** Of those, what came before the journal was salvaged. */
  former: number;
  /** Numbers that a crash left without a message. */
  unused: number;
  /** By the ledger, numbers only: refused messages never got one. */
  declared: number;
  refused: number;
  /** The hub lost these, and nobody knows their numbers: as many are missing among what can't be proven. */
  unnamed: number;
  waiting: number;
  /** Acknowledged, and neither at the hub nor declared lost: what must be empty. */
  missing: [first: number, last: number][];
  missingCount: number;
  duplicates: number;
  outOfOrder: number;
  /** Where batches are committed: up to which record the hub says to have the lane; 0 where it says nothing. */
  watermark: number;
  /** Not looked for: the stream begins behind them, because its limits or somebody removed what was before. */
  unprovable: number;
}

export interface AuditParts {
  hub: Hub;
  jetStream: JetStream;
  inbox: Inbox;
}

interface Tally {
  received: Ranges;
  duplicates: number;
  outOfOrder: number;
  newest: number;
  watermark: number;
}

/** What was found, by lane. */
class Tallies {
  readonly ofEpoch = new Map<string, Tally>();
  /** What this gateway's other epochs have there. */
  readonly former = new Map<string, Ranges>();

  of(lane: string): Tally {
    let tally = this.ofEpoch.get(lane);
    if (!tally) {
      tally = { received: new Ranges(), duplicates: 0, outOfOrder: 0, newest: 0, watermark: 0 };
      this.ofEpoch.set(lane, tally);
    }
    return tally;
  }

  formerOf(lane: string): Ranges {
    let ranges = this.former.get(lane);
    if (!ranges) {
      ranges = new Ranges();
      this.former.set(lane, ranges);
    }
    return ranges;
  }

  /** What another stream has. */
  join(other: Tallies): void {
    for (const [lane, { received, duplicates, outOfOrder, watermark }] of other.ofEpoch) {
      const tally = this.of(lane);
      const apart = tally.received.count + received.count;
      for (const range of received) tally.received.add(...range);
      tally.duplicates += duplicates + apart - tally.received.count;
      tally.outOfOrder += outOfOrder;
      tally.watermark = Math.max(tally.watermark, watermark);
    }
    for (const [lane, ranges] of other.former) for (const range of ranges) this.formerOf(lane).add(...range);
  }
}

export class Audit {
  readonly #parts: AuditParts;
  readonly #gateway: string;
  readonly #epoch: string;
  readonly #tallies = new Tallies();
  readonly #streams = new Map<string, StreamInfo>();
  /** Called now and then with how many messages were read, and how many there are. */
  progress: (read: number, total: number) => void = () => undefined;

  constructor(parts: AuditParts, gateway: string, epoch: string) {
    this.#parts = parts;
    this.#gateway = gateway;
    this.#epoch = epoch;
  }

  /** `known`: losses that the box itself can tell of, declared to the hub or not yet. */
  async run(lanes: readonly Produced[], ledgerSubject: string, known: readonly Declared[]): Promise<LaneAudit[]> {
    const streamsOf = new Map<string, string[]>();
    for (const lane of lanes) streamsOf.set(lane.name, await this.#streamsOf(lane));
    let read = 0;
    const total = [...this.#streams.values()].reduce((sum, one) => sum + one.lastSequence - one.firstSequence + 1, 0);
    for (const info of this.#streams.values()) {
      const before = read;
      let tallies = new Tallies();
      const begin = () => {
        read = before;
        tallies = new Tallies();
      };
      const take = (headers: Buffer) => {
        this.#take(headers, tallies);
        if ((++read & 1023) === 0) this.progress(read, total);
      };
      const options = { filters: [], headersOnly: true };
      await readFrom(this.#parts, info, Math.max(1, info.firstSequence), options, begin, take);
      this.#tallies.join(tallies);
    }
    const declared = [...known, ...(await this.#declaredAtHub(ledgerSubject))];
    return lanes.map((lane) => this.#judge(lane, streamsOf.get(lane.name) ?? [], declared));
  }

  async #streamsOf({ name, subjects, stream }: Produced): Promise<string[]> {
    const { jetStream } = this.#parts;
    const names = new Set<string>();
    if (stream !== null) names.add(stream);
    else {
      for (const subject of subjects) for (const found of await jetStream.streamsOf(subject)) names.add(found);
    }
    const there: string[] = [];
    for (const one of names) {
      const info = this.#streams.get(one) ?? (await jetStream.streamInfo(one));
      if (!info) continue;
      this.#streams.set(one, info);
      there.push(one);
    }
    if (stream !== null && there.length === 0) {
      throw new GatewayError('no_stream', `the hub has no stream ${stream}, where lane ${name} goes`);
    }
    return there;
  }

  #take(headers: Buffer, tallies: Tallies): void {
    const id = recordId(headerValue(headers, 'Petiole-Id'));
    if (id?.epoch === this.#epoch) {
      const tally = tallies.of(id.lane);
      if (!tally.received.add(id.sequence)) tally.duplicates++;
      else if (id.sequence < tally.newest) tally.outOfOrder++;
      else tally.newest = id.sequence;
      return;
    }
    if (id?.gateway === this.#gateway) tallies.formerOf(id.lane).add(id.sequence);
    const mark = recordId(headerValue(headers, WATERMARK));
    if (mark?.epoch !== this.#epoch) return;
    const tally = tallies.of(mark.lane);
    tally.watermark = Math.max(tally.watermark, mark.sequence);
  }

  async #declaredAtHub(subject: string): Promise<Declared[]> {
    const name = await this.#parts.jetStream.streamOf(subject);
    const info = name === null ? null : await this.#parts.jetStream.streamInfo(name);
    let found: Declared[] = [];
    if (!info || info.lastSequence === 0) return found;
    const options = { filters: [subject], headersOnly: false };
    const begin = () => {
      found = [];
    };
    await readFrom(this.#parts, info, Math.max(1, info.firstSequence), options, begin, (_, payload) => {
      const row = rowOf(payload);
      if (row?.epoch === this.#epoch) found.push(row);
    });
    return found;
  }

  #judge({ name, lastSequence, cursor }: Produced, streams: string[], declared: readonly Declared[]): LaneAudit {
    const tally = this.#tallies.ofEpoch.get(name);
    const received = tally?.received ?? new Ranges();
    // Behind the first number of this epoch another one's may have been given again.
    const begin = [...received][0]?.[0] ?? cursor + 1;
    const former = new Ranges();
    for (const [first, last] of this.#tallies.former.get(name) ?? [])
      if (first < begin) former.add(first, Math.min(last, begin - 1));
    const accounted = new Ranges();
    const lost = new Ranges();
    const unassigned = new Ranges();
    let refused = 0;
    let unnamed = 0;
    for (const { lane, reason, first, last, count } of declared) {
      if (lane !== name) continue;
      if ((first === null || last === null) && reason === 'forgotten') unnamed += count;
      else if (first === null || last === null) refused += count;
      // Numbers without a message, or with one that the hub has: nothing was lost.
      else if (reason === 'unassigned') unassigned.add(first, last);
      else lost.add(first, last);
    }
    const used = new Ranges();
    for (const [first, last] of [...received, ...former]) used.add(first, last);
    const unused = [...unassigned].reduce((sum, [first, last]) => sum + sizeOf(used.missing(first, last)), 0);
    for (const [first, last] of [...used, ...lost, ...unassigned]) accounted.add(first, last);
    const waiting = sizeOf(accounted.missing(cursor + 1, lastSequence));
    let gaps = accounted.missing(1, cursor);
    // A stream that begins behind its first message has forgotten some: those before the oldest that is left.
    const forgot = streams.some((one) => (this.#streams.get(one)?.firstSequence ?? 1) > 1);
    const oldest = [...received][0]?.[0] ?? cursor + 1;
    const old = forgot ? gaps.filter(([, last]) => last < oldest) : [];
    gaps = gaps.filter((gap) => !old.includes(gap));
    return {
      lane: name,
      streams,
      produced: lastSequence - unused,
      received: used.count,
      former: former.count,
      unused,
      declared: lost.count,
      refused,
      unnamed,
      waiting,
      missing: gaps.slice(0, SHOWN_MAX),
      missingCount: sizeOf(gaps),
      duplicates: tally?.duplicates ?? 0,
      outOfOrder: tally?.outOfOrder ?? 0,
      watermark: tally?.watermark ?? 0,
      unprovable: sizeOf(old),
    };
  }
}

function sizeOf(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** `<gateway>.<epoch>.<lane>.<sequence>`; null where it is none. */
function recordId(id: string | null): { gateway: string; epoch: string; lane: string; sequence: number } | null {
  const [gateway, epoch, lane, digits] = id?.split('.') ?? [];
  const sequence = Number(digits);
  return gateway === undefined || epoch === undefined || lane === undefined || !Number.isSafeInteger(sequence)
    ? null
    : { gateway, epoch, lane, sequence };
}

/** Null where the message is no ledger row. */
function rowOf(payload: Buffer): (Declared & { epoch: unknown }) | null {
  try {
    const { epoch, lane, reason, count, first, last } = JSON.parse(payload.toString()) as { [field: string]: unknown };
    if (typeof lane !== 'string' || typeof count !== 'number') return null;
    const number = (value: unknown) => (typeof value === 'number' ? value : null);
    return { epoch, lane, reason: String(reason), count, first: number(first), last: number(last) };
  } catch {
    return null;
  }
}
