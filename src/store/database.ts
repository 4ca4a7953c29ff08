import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import {
  asideOf,
  FILE,
  makeFolder,
  moveStore,
  noteEnded,
  noteRunning,
  pruneAside,
  removeStore,
  sizeOf,
  spaceOf,
  syncFolder,
  wasRunning,
} from './files.ts';
import { metaOf, setMeta } from './meta.ts';
import { migrate } from './migrations.ts';
import { type Salvaged, salvage } from './salvage.ts';
import { isDamage, sqliteCode, storeError, unreadable } from './store-error.ts';
import { readWal } from './wal-file.ts';

/**
 * Opens the one SQLite file. WAL with `synchronous=FULL`: a commit returns after fsync of the WAL, and a power cut
 * leaves the last commit whole. The lock is exclusive, so a second box on the same folder is told so, and SQLite needs
 * no shared-memory file.
 */

/** Pages written back at once by an automatic checkpoint: 8 MiB of WAL. Pages that trim frees are often reused before. */
export const CHECKPOINT_PAGES = 2048;
/** Page cache of the writer, in KiB: the interior pages and the freelist of a large store fit. */
const CACHE_KIB = 2048;
/** A store up to this size is checked page by page at the start; a larger one as it is read, so that the box is up soon. */
const CHECKED_BYTES_MAX = 16 * 1024 * 1024;

export interface OpenStore<T> {
  db: Database.Database;
  epoch: string;
  /** What was wrong with the file that was found, '' when nothing. */
  note: string;
  /** What `load` made of it. */
  parts: T;
}

/**
 * Opens, checks, migrates and loads. A file with which that cannot be done, or that is not to be trusted (`distrust`
 * says why), is kept aside, what is readable of it is salvaged into a new one, and a new epoch begins. Throws
 * store_locked, or store_failed and disk_full where no file can be opened at all.
 */
export function openStore<T>(folder: string, load: (db: Database.Database) => T, distrust = ''): OpenStore<T> {
  makeFolder(folder);
  const path = join(folder, FILE);
  try {
    // A salvaged store takes its place in two renames, and the power may go between them.
    if (sizeOf(path) < 0 && sizeOf(newOf(path)) > 0) moveStore(newOf(path), path);
    if (distrust !== '') throw unreadable(distrust);
    return { ...openFile(path, load), note: '' };
  } catch (error) {
    const code = sqliteCode(error);
    if (code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED') {
      throw new GatewayError('store_locked', `${path} is in use by another process`, {
        retriable: false,
        cause: error,
        hint: 'stop the other box, or give this one its own gateway.data folder',
      });
    }
    if (!isDamage(error)) throw storeError(error, `cannot open ${path}`);
    return renew(path, load, error instanceof Error ? error.message : String(error));
  }
}

/** After a clean end there is no log; see `noteRunning`. */
export function closeStore(db: Database.Database, folder: string): void {
  noteEnded(folder);
  db.close();
}

function newOf(path: string): string {
  return `${path}.new`;
}

function openFile<T>(
  path: string,
  load: (db: Database.Database) => T,
): { db: Database.Database; epoch: string; parts: T } {
  const folder = join(path, '..');
  const size = sizeOf(path);
  const log = sizeOf(`${path}-wal`);
  const isRunning = wasRunning(folder);
  // An empty file is what a power cut right after the first start leaves; with a log beside it, it was more once.
  if (size <= 0 && (log > 0 || isRunning)) throw unreadable(size < 0 ? 'the file is gone' : 'the file is empty');
  const db = new Database(path, { timeout: 0 });
  try {
    prepare(db, size <= 0);
    // Only now that nobody else has it open.
    if (isRunning && log < 0) throw unreadable('its write-ahead log is gone');
    checkLog(path);
    if (size > 0 && size <= CHECKED_BYTES_MAX) {
      const found = String(db.pragma('quick_check(1)', { simple: true }));
      if (found !== 'ok') throw unreadable(found);
    }
    migrate(db);
    const epoch = epochOf(db);
    const parts = load(db);
    if (size <= 0) syncFolder(folder);
    noteRunning(folder);
    return { db, epoch, parts };
  } catch (error) {
    closeQuietly(db);
    const kept = keptLog(path);
    // Closing has written back what it took for whole, and removed the log.
    if (existsSync(kept)) renameSync(kept, `${path}-wal`);
    throw error;
  }
}

/** The error that led here is the one to tell of. */
function closeQuietly(db: Database.Database): void {
  try {
    db.close();
  } catch {
    // The process holds a file open for nothing, and the next opening says what is the matter.
  }
}

function prepare(db: Database.Database, isNew: boolean): void {
  // Takes effect only before the first table is made, so it stands first.
  if (isNew) db.pragma('auto_vacuum = INCREMENTAL');
  db.pragma('locking_mode = EXCLUSIVE');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.pragma(`cache_size = -${CACHE_KIB}`);
  db.pragma('temp_store = MEMORY');
}

/** SQLite ends the log at the first wrong checksum, as after a power cut; where more than that cut is missing, we say so. */
function checkLog(path: string): void {
  const { lostCommits } = readWal(`${path}-wal`);
  if (lostCommits < 2) return;
  copyFileSync(`${path}-wal`, keptLog(path));
  throw unreadable(`its write-ahead log is damaged: ${lostCommits} commits lie behind a wrong checksum`);
}

function keptLog(path: string): string {
  return `${path}-wal.kept`;
}

/** The epoch marks this store for ever: a box that lost its disk never reuses a record id. */
function epochOf(db: Database.Database): string {
  const known = metaOf(db, 'epoch');
  if (known !== null) return known;
  const epoch = BigInt(`0x${randomBytes(6).toString('hex')}`)
    .toString(36)
    .padStart(10, '0');
  setMeta(db, 'epoch', epoch);
  return epoch;
}

/** A new store in place of a damaged one, which is kept aside as it was. */
function renew<T>(path: string, load: (db: Database.Database) => T, why: string): OpenStore<T> {
  const folder = join(path, '..');
  const aside = asideOf(path);
  try {
    removeStore(newOf(path));
    pruneAside(path);
    // Those kept aside are worth less than what is to be salvaged.
    if (spaceOf(folder).freeBytes < 2 * Math.max(0, sizeOf(path))) pruneAside(path, 0);
    const salvaged = refill(path);
    noteEnded(folder);
    const isLeft = Math.max(sizeOf(path), sizeOf(`${path}-wal`)) >= 0;
    if (isLeft) moveStore(path, aside);
    moveStore(newOf(path), path);
    pruneAside(path);
    const kept = isLeft ? `the damaged file is kept beside it as ${basename(aside)}` : 'nothing of it is left';
    return { ...openFile(path, load), note: `the store could not be read (${why}): ${salvaged}; ${kept}` };
  } catch (error) {
    throw isDamage(error) || sqliteCode(error) !== ''
      ? storeError(error, `cannot make a new store in ${folder}`)
      : error;
  }
}

/** Fills the new file; says what came over. */
function refill(path: string): string {
  const db = new Database(newOf(path), { timeout: 0 });
  let salvaged: Salvaged | null = null;
  let note = '';
  try {
    prepare(db, true);
    migrate(db);
    epochOf(db);
    if (Math.max(sizeOf(path), sizeOf(`${path}-wal`)) > 0) salvaged = salvage(path, db);
    // Under their new identity the hub would not know them: what it has acknowledged is not sent again.
    db.exec('DELETE FROM watermark; DELETE FROM total');
  } catch (error) {
    // What fits is kept; without a place for even an empty store there is none.
    if (db.inTransaction) db.exec('ROLLBACK');
    if (Number(db.pragma('user_version', { simple: true })) === 0) throw error;
    note = `, then ${error instanceof Error ? error.message : error}`;
  } finally {
    db.close();
  }
  if (!salvaged) return `a new one is begun${note}`;
  if (salvaged.note !== '') note += `, ${salvaged.note}`;
  return `${salvaged.records} records and ${salvaged.rows} other rows are in a new one${note}`;
}
