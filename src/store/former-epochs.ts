import type Database from 'better-sqlite3';
import { metaOf, setMeta } from './meta.ts';
import type { Former } from './protocol.ts';

/**
 * The epochs that a salvaged store had before. A record that came over is at the hub under the identity that it had then, if
 * it is there; the number of one that was lost may be given again. One row of `meta`, newest epoch first.
 */
const KEY = 'formerly';
/** Epochs of which the hub may still have something behind a cursor. */
const EPOCHS_MAX = 8;

interface Stored {
  epoch: string;
  /** By name of the lane: the last sequence that came over. */
  lanes: Record<string, number>;
}

/** Of a store that was filled from one of this `epoch`: `lanes` with the last sequences that came over. */
export function noteFormer(
  db: Database.Database,
  epoch: string,
  lanes: readonly { name: string; last_sequence: number }[],
): void {
  const now = Object.fromEntries(lanes.map(({ name, last_sequence }) => [name, last_sequence]));
  // What has not come over this time counts no more for the epochs before, either.
  const before = all(db).map((former) => ({
    epoch: former.epoch,
    lanes: Object.fromEntries(
      Object.entries(former.lanes).map(([name, last]) => [name, Math.min(last, now[name] ?? 0)]),
    ),
  }));
  const formers: Stored[] = [{ epoch, lanes: now }, ...before].slice(0, EPOCHS_MAX);
  setMeta(db, KEY, JSON.stringify(formers));
}

/** By name of a lane, under which epochs the hub may have something of it. */
export function formersIn(db: Database.Database): (lane: string) => Former[] {
  const formers = all(db);
  return (lane) =>
    formers.flatMap(({ epoch, lanes }) => {
      const last = lanes[lane] ?? 0;
      return last > 0 ? [{ epoch, last }] : [];
    });
}

function all(db: Database.Database): Stored[] {
  const value = metaOf(db, KEY);
  return value === null ? [] : (JSON.parse(value) as Stored[]);
}
