import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { FILE, makeFolder, moveStore, sizeOf, syncFolder } from './files.ts';
import { migrate } from './migrations.ts';
import { sqliteCode, storeError, unreadable } from './store-error.ts';

/**
 * Opens the one SQLite file. WAL with `synchronous=FULL`: a commit returns after fsync of the WAL, and a power cut
 * leaves the last commit whole. The lock is exclusive, so a second box on the same folder is told so, and SQLite needs
 * no shared-memory file.
 */

/** Pages written back at once by an automatic checkpoint: 8 MiB of WAL. Pages that trim frees are often reused before. */
const CHECKPOINT_PAGES = 2048;
/** Page cache of the writer, in KiB: the interior pages and the freelist of a large store fit. */
const CACHE_KIB = 2048;

export interface OpenStore<T> {
  db: Database.Database;
  epoch: string;
  /** What was wrong with the file that was found, '' when nothing. */
  note: string;
  /** What `load` made of it. */
  parts: T;
}

/** Opens, migrates and loads; a file with which that cannot be done is moved aside and a new epoch begins. */
export function openStore<T>(folder: string, load: (db: Database.Database) => T): OpenStore<T> {
  makeFolder(folder);
  const path = join(folder, FILE);
  try {
    // An empty file is what a power cut right after the first start leaves; with a WAL beside it, it was more once.
    if (sizeOf(path) === 0 && sizeOf(`${path}-wal`) > 0) throw unreadable('the file is empty');
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
    if (code !== 'SQLITE_CORRUPT' && code !== 'SQLITE_NOTADB' && code !== 'STORE_UNREADABLE') {
      throw storeError(error, `cannot open ${path}`);
    }
    const kept = quarantine(path);
    const why = error instanceof Error ? error.message : String(error);
    return {
      ...openFile(path, load),
      note: `the store could not be read (${why}); it is kept as ${kept} and a new one begun`,
    };
  }
}

function openFile<T>(
  path: string,
  load: (db: Database.Database) => T,
): { db: Database.Database; epoch: string; parts: T } {
  const fresh = sizeOf(path) <= 0;
  const db = new Database(path, { timeout: 0 });
  try {
    // Takes effect only before the first table is made, so it stands first.
    if (fresh) db.pragma('auto_vacuum = INCREMENTAL');
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma('temp_store = MEMORY');
    migrate(db);
    const epoch = readEpoch(db);
    const parts = load(db);
    if (fresh) syncFolder(join(path, '..'));
    return { db, epoch, parts };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** The epoch marks this store for ever: a box that lost its disk never reuses a record id. */
function readEpoch(db: Database.Database): string {
  const row = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'epoch'").get();
  if (row) return row.value;
  const epoch = BigInt(`0x${randomBytes(6).toString('hex')}`)
    .toString(36)
    .padStart(10, '0');
  db.prepare("INSERT INTO meta (key, value) VALUES ('epoch', ?)").run(epoch);
  return epoch;
}

/** Moves the file and its companions aside, never deletes them. Returns the new name. */
function quarantine(path: string): string {
  const stamp = new Date()
    .toISOString()
    .replaceAll(/[^0-9]/g, '')
    .slice(0, 14);
  let kept = `${path}.damaged-${stamp}`;
  for (let n = 1; existsSync(kept); n++) kept = `${path}.damaged-${stamp}-${n}`;
  moveStore(path, kept);
  return kept;
}
