import { GatewayError } from '../core/errors.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';
import type { Commits, Passengers } from './commits.ts';
import { MESSAGE_COST } from './gathering.ts';
import type { JournalLane } from './journal-types.ts';
import { LaneMatch } from './lane-match.ts';
import type { LaneStates } from './lane-states.ts';
import { LATE_SUFFIX, LateParts } from './late-parts.ts';
import { RECORD_OVERHEAD_MAX } from './record.ts';

/** Bytes that may wait for the disk. Publishers hold what is not acknowledged, so refusing beyond this loses nothing. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;
/** From here on publishers should wait for their receipts before they are read on. */
const BEHIND_BYTES = QUEUE_BYTES_MAX / 2;
/** QoS 0 is shed from here on, so that the rest of the room is for what will be acknowledged. */
const SHED_BYTES = (QUEUE_BYTES_MAX / 4) * 3;

/** What comes in: whether there is room for it, and where it goes: its lane, the part of that, the saver or the disk. */
export class Admission {
  /** Everything is refused. */
  isStopping = false;
  readonly #match: LaneMatch;
  readonly #parts: LateParts;
  readonly #lanes: LaneStates;
  readonly #commits: Commits;
  readonly #passengers: Passengers;
  /** Deliveries to persistent sessions as of the last append: what they take goes to disk. */
  #enqueued = 0;
  /** A source's messages go to disk, with the note that they are taken. */
  #isTaking = false;
  #isLinked = false;

  constructor(rules: readonly JournalLane[], lanes: LaneStates, commits: Commits, passengers: Passengers) {
    this.#match = new LaneMatch(rules);
    this.#parts = new LateParts(rules);
    this.#lanes = lanes;
    this.#commits = commits;
    this.#passengers = passengers;
  }

  get isLinked(): boolean {
    return this.#isLinked;
  }

  /** Only with the link does a live-first lane take messages itself, and may the hub's PubAck be a receipt. */
  set isLinked(isLinked: boolean) {
    this.#isLinked = isLinked;
    if (this.#passengers.saver) this.#passengers.saver.isLinked = isLinked;
  }

  /** See LaneMatch. */
  laneOf(message: Message): number {
    return this.#match.laneOf(message);
  }

  /** So much waits for the disk that publishers should wait too. */
  get isBehind(): boolean {
    return this.#commits.bytes > BEHIND_BYTES;
  }

  /** See Journal. */
  append(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): void {
    if (this.isStopping) {
      receipt?.refused(token, new GatewayError('stopping', 'the box is stopping'));
      return;
    }
    if (this.#commits.bytes > (message.qos === 0 ? SHED_BYTES : QUEUE_BYTES_MAX)) {
      const hint = 'use a faster card or disk, or send less';
      receipt?.refused(
        token,
        new GatewayError('queue_full', 'messages come in faster than the disk takes them', { hint }),
      );
      return;
    }
    const part = this.#partOf(lane);
    if (!this.#hold(part, message, receipt, token, reached)) {
      this.#commits.gathering.add(part, message, receipt, token, reached);
    }
    this.#commits.schedule();
  }

  /** See Journal. */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean {
    const room = bytes + count * Math.max(RECORD_OVERHEAD_MAX, MESSAGE_COST);
    if (this.isStopping || this.#commits.bytes + room > QUEUE_BYTES_MAX) return false;
    this.#isTaking = true;
    try {
      for (const [lane, batch] of this.#commits.gathering.together(count, room, publish)) {
        this.#passengers.taken.note({ source, number, lane: this.#baseName(lane), batch });
      }
    } finally {
      this.#isTaking = false;
    }
    return true;
  }

  /** See Journal. */
  hasTaken(source: string, number: number, message: Message): boolean {
    const lane = this.laneOf(message);
    return lane >= 0 && this.#passengers.taken.has(source, number, this.#baseName(lane));
  }

  /** A lane is one with its late part here: what came while there was no link comes again when there is one. */
  #baseName(lane: number): string {
    const name = this.#lanes.of(lane)?.name ?? '';
    return name.endsWith(LATE_SUFFIX) ? name.slice(0, -LATE_SUFFIX.length) : name;
  }

  /** True where the saver takes it; not what a session on the disk takes with the same commit, and nothing out of turn. */
  #hold(lane: number, message: Message, receipt: Receipt | null, token: number, reached: number): boolean {
    const { saver, sessions } = this.#passengers;
    if (!saver) return false;
    const enqueued = sessions?.enqueued ?? 0;
    const isQueued = enqueued !== this.#enqueued;
    this.#enqueued = enqueued;
    if (isQueued || this.#isTaking || this.#commits.gathering.has(lane)) return false;
    return saver.add(lane, message, receipt, token, reached);
  }

  #partOf(lane: number): number {
    if (!this.#parts.isParted(lane)) return lane;
    const { bytes = 0, depth = 0 } = this.#lanes.of(lane) ?? {};
    // Not by their numbers, of which a crash may have left some unused.
    return this.#parts.partOf(lane, this.#isLinked, depth - this.#lanes.cursors.unsaved(lane), bytes);
  }
}
