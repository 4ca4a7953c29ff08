import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';

/**
 * Opens the one SQLite file. WAL with `synchronous=FULL`: a commit returns after fsync of the WAL, and a power cut
 * leaves the last commit whole. The lock is exclusive, so a second box on the same folder is told so, and SQLite needs
 * no shared-memory file.
 */

const FILE = 'petiole.db';
/** Pages written back at once by an automatic checkpoint: 8 MiB of WAL. Pages that trim frees are often reused before. */
const CHECKPOINT_PAGES = 2048;
/** Page cache of the writer, in KiB: the interior pages and the freelist of a large store fit. */
const CACHE_KIB = 2048;

/** Numbered migrations; `user_version` is how many have run. Each leaves a store that the release before can read. */
const migrations: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last_sequence INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    evicted INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0
  );
  -- id is the lane in the high bits and the first sequence in the low ones (see lanes.ts).
  CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    newest_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    codec INTEGER NOT NULL,
    data BLOB NOT NULL
  );
  CREATE TABLE position (
    lane INTEGER NOT NULL,
    stream TEXT NOT NULL,
    created TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (lane, stream)
  ) WITHOUT ROWID;
  CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    at_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    declared INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX ledger_undeclared ON ledger (id) WHERE declared = 0;
  `,
  `
  -- A rowid table: payloads may be large, and a new value of a known subject leaves the index alone.
  CREATE TABLE retained (
    subject TEXT PRIMARY KEY,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    client TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    -- 0: it does not expire.
    expires_ms INTEGER NOT NULL
  );
  `,
];

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

/** Level by level: Node's own recursive mkdir never ends, and eats all memory, where /proc refuses a folder. */
function makeFolder(folder: string): void {
  const missing: string[] = [];
  for (let at = resolve(folder); !existsSync(at); at = dirname(at)) missing.push(at);
  try {
    for (const level of missing.reverse()) mkdirSync(level, { mode: 0o750 });
  } catch (error) {
    throw storeError(error, `cannot make the data folder ${folder}`);
  }
}

/** -1 where there is no such file. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}

function unreadable(why: string): Error {
  return Object.assign(new Error(why), { code: 'STORE_UNREADABLE' });
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

function migrate(db: Database.Database): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > migrations.length + 1) {
    throw unreadable(`the store has version ${version}, this release knows ${migrations.length}`);
  }
  for (let next = version; next < migrations.length; next++) {
    db.exec('BEGIN IMMEDIATE');
    db.exec(migrations[next] ?? '');
    db.pragma(`user_version = ${next + 1}`);
    db.exec('COMMIT');
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
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, kept + suffix);
  }
  syncFolder(join(path, '..'));
  return kept;
}

/** A new or renamed file survives a power cut only once its folder is synced too. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Bytes of the store with its WAL, and what is free to us on its file system. */
export function spaceOf(folder: string): { fileBytes: number; freeBytes: number } {
  let fileBytes = 0;
  for (const suffix of ['', '-wal']) fileBytes += Math.max(0, sizeOf(join(folder, FILE) + suffix));
  const { bavail, bsize } = statfsSync(folder);
  return { fileBytes, freeBytes: bavail * bsize };
}

function sqliteCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** The folder is not one, or is not ours to write. */
const UNUSABLE = /^(EACCES|EPERM|EROFS|EEXIST|ENOENT|ENOTDIR|SQLITE_(READONLY|CANTOPEN|PERM).*)$/;

/** What SQLite or the file system says, in the words of the catalogue. */
export function storeError(error: unknown, what: string): GatewayError {
  const code = sqliteCode(error);
  const message = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
    return new GatewayError('disk_full', message, {
      cause: error,
      hint: 'free space on the disk of gateway.data, or lower the max_bytes of the lanes',
    });
  }
  const hint = UNUSABLE.test(code)
    ? 'gateway.data must be a folder that the user running the box may write to'
    : 'see the kernel log for errors of the disk or card';
  return new GatewayError('store_failed', message, { cause: error, hint });
}
