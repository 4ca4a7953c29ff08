import type Database from 'better-sqlite3';
import type { Lane } from './lane-table.ts';
import type { KeepSettings, Position, Rollback } from './protocol.ts';

/**
 * How long a lane keeps what the hub has acknowledged. A PubAck is no fsync: a hub that loses power comes back with less
 * than it had acknowledged, and is sent the rest again. To know the rest, each cursor that went to disk is kept as a
 * watermark, with where its streams stood then, as long as the records behind it are; the first is where the lane began.
 *
 *        watermarks   cursor (on disk)   cursor (in memory)
 *   ─────┤■■■■┤■■■■■■■┤■■■■■■■■■■■■■■■■■■┤─────────────────
 *    gone  kept        not trimmed yet
 */

interface Row {
  cursor: number;
  positions: string;
}

export interface Step {
  readonly cursor: number;
  /** Monotonic: a wall clock that jumps must not empty it. */
  readonly atMs: number;
}

/** Where a lane goes back to. */
export interface WayBack {
  readonly cursor: number;
  readonly positions: readonly Position[];
  /** The stream lost more than that. */
  readonly isShort: boolean;
}

export class Grace {
  readonly #keep: KeepSettings;
  readonly #insert: Database.Statement;
  readonly #all: Database.Statement<[number], Row>;
  readonly #deleteBefore: Database.Statement;
  readonly #deleteFrom: Database.Statement;

  constructor(db: Database.Database, keep: KeepSettings) {
    this.#keep = keep;
    this.#insert = db.prepare('INSERT OR REPLACE INTO watermark (lane, cursor, positions) VALUES (?, ?, ?)');
    this.#all = db.prepare('SELECT cursor, positions FROM watermark WHERE lane = ? ORDER BY cursor');
    this.#deleteBefore = db.prepare('DELETE FROM watermark WHERE lane = ? AND cursor < ?');
    this.#deleteFrom = db.prepare('DELETE FROM watermark WHERE lane = ? AND cursor > ?');
  }

  /** How long ago they were acknowledged is not known after a start: their time begins anew. */
  load(lane: Lane, nowMs: number): void {
    lane.steps = this.#all.all(lane.id).map(({ cursor }) => ({ cursor, atMs: nowMs }));
  }

  /** The cursor is about to go to disk for the first time that counts: so far back the way goes. */
  begin(lane: Lane, positions: readonly Position[], nowMs: number): void {
    if (lane.steps.length === 0 && positions.length > 0) this.note(lane, positions, nowMs);
  }

  /** The cursor has gone to disk. */
  note(lane: Lane, positions: readonly Position[], nowMs: number): void {
    if (this.#keep.ms === 0) return;
    this.#insert.run(lane.id, lane.cursor, JSON.stringify(positions));
    lane.steps = [...lane.steps, { cursor: lane.cursor, atMs: nowMs }];
  }

  /** Up to here the time of what was acknowledged is over. */
  over(lane: Lane, nowMs: number): number {
    if (this.#keep.ms === 0) return lane.cursor;
    return lane.steps.findLast(({ atMs }) => atMs <= nowMs - this.#keep.ms)?.cursor ?? 0;
  }

  /** More than may be kept of one lane: small lanes need their space for what is to be sent. */
  isTooMuch(lane: Lane): boolean {
    return lane.keptBytes > Math.min(this.#keep.bytesMax, lane.settings.bytesMax / 4);
  }

  /** The records up to `end` are gone, and so is the way back to before them. */
  gone(lane: Lane, end: number): void {
    const base = lane.steps.findIndex(({ cursor }) => cursor >= end);
    if (base <= 0) return;
    lane.steps = lane.steps.slice(base);
    this.#deleteBefore.run(lane.id, lane.steps[0]?.cursor ?? 0);
  }

  /**
   * The newest watermark whose position in the stream the hub still has; the cursor on disk with its `positions` is one too:
   * that in memory is ahead of it. Where it has none of them, the newest record that the stream still has, if that is known;
   * else the oldest watermark, and the lane goes back too short: what the hub lost before that, nobody can name. Those
   * behind it are forgotten. Null where the lane stays: a stream that was made anew may be meant to be empty, and is sent
   * nothing again where nothing is to be kept.
   */
  back(lane: Lane, positions: Position[], { stream, created, has, newest: last }: Rollback): WayBack | null {
    const isAnew = positions.some((position) => position.stream === stream && position.created !== created);
    if (this.#keep.ms === 0 && isAnew) return null;
    const newest = { cursor: lane.cursor, positions };
    const rows = this.#all.all(lane.id).map(({ cursor, positions }) => {
      return { cursor, positions: JSON.parse(positions) as Position[] };
    });
    if (rows.at(-1)?.cursor !== lane.cursor) rows.push(newest);
    // Where the lane had not met the stream yet, nothing of it was there to be lost.
    const isHad = ({ positions }: { positions: Position[] }) => {
      const then = positions.find((position) => position.stream === stream);
      return !then || (then.created === created && (then.reach ?? then.sequence) <= has);
    };
    let found = rows.findLast(isHad) ?? rows[0] ?? newest;
    let isShort = !isHad(found) && found.cursor > 0;
    if (isShort && last && positions.length === 1) {
      isShort = false;
      if (last.record < found.cursor)
        found = { cursor: last.record, positions: [{ stream, created, sequence: last.before }] };
    }
    lane.steps = lane.steps.filter(({ cursor }) => cursor <= found.cursor);
    this.#deleteFrom.run(lane.id, found.cursor);
    return { ...found, isShort };
  }
}
