import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sqliteCode, storeError } from './store-error.ts';

/** The store's file; SQLite's companions have its name and a suffix. */
export const FILE = 'petiole.db';
const SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;
/** There while a box has the store open: without a clean end there must be a write-ahead log. */
const RUNNING = 'petiole.running';
/** Stores that are kept aside, each as large as the one in use: the newest, for who wants to look into it. */
const DAMAGED_MAX = 3;

/**
 * Makes the folder, so that it survives a power cut. Level by level: Node's own recursive mkdir never ends, and eats all
 * memory, where /proc refuses a folder.
 */
export function makeFolder(folder: string): void {
  const missing: string[] = [];
  for (let at = resolve(folder); !existsSync(at); at = dirname(at)) missing.push(at);
  try {
    for (const level of missing.reverse()) {
      mkdirSync(level, { mode: 0o750 });
      syncFolder(dirname(level));
    }
  } catch (error) {
    throw storeError(error, `cannot make the data folder ${folder}`);
  }
}

/** -1 where there is no such file. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}

/** A new or renamed file survives a power cut only once its folder is synced too. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export function noteRunning(folder: string): void {
  if (existsSync(join(folder, RUNNING))) return;
  writeFileSync(join(folder, RUNNING), '');
  syncFolder(folder);
}

/** Before the store is closed: closing removes the log. */
export function noteEnded(folder: string): void {
  rmSync(join(folder, RUNNING), { force: true });
  syncFolder(folder);
}

export function wasRunning(folder: string): boolean {
  return existsSync(join(folder, RUNNING));
}

export function removeStore(path: string): void {
  for (const suffix of SUFFIXES) rmSync(path + suffix, { force: true });
}

/** Renames a store with its companions; they go first, so that none is left beside another store. */
export function moveStore(from: string, to: string): void {
  for (const suffix of SUFFIXES.toReversed()) if (existsSync(from + suffix)) renameSync(from + suffix, to + suffix);
  syncFolder(dirname(from));
}

/** A name for a damaged store to be kept under. */
export function asideOf(path: string): string {
  const stamp = new Date().toISOString().replaceAll(/[^0-9]/g, '');
  let aside = `${path}.damaged-${stamp}`;
  for (let n = 1; existsSync(aside); n++) aside = `${path}.damaged-${stamp}-${n}`;
  return aside;
}

/** Removes the oldest of the stores kept aside, so that `keep` of them are left. */
export function pruneAside(path: string, keep = DAMAGED_MAX): void {
  const begin = `${path.slice(dirname(path).length + 1)}.damaged-`;
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(begin));
  const stores = [...new Set(names.map((name) => name.replace(/-(wal|shm|journal)$/, '')))].sort();
  for (const name of stores.slice(0, Math.max(0, stores.length - keep))) removeStore(join(dirname(path), name));
}

/** Bytes of the store with its WAL, and what is free to us on its file system. */
export function spaceOf(folder: string): { fileBytes: number; freeBytes: number } {
  let fileBytes = 0;
  for (const suffix of ['', '-wal']) fileBytes += Math.max(0, sizeOf(join(folder, FILE) + suffix));
  const { bavail, bsize } = statfsSync(folder);
  return { fileBytes, freeBytes: bavail * bsize };
}

/** What a folder says that is not there, not ours, or none; a disk that fails has other words. */
const FORBIDDEN = /^(EACCES|EPERM|ENOENT|ENOTDIR|EEXIST)$/;

/** True where the user must mend something first: no right to write, or no folder. False where the disk fails us. */
export function isForbidden(folder: string, error: unknown): boolean {
  if (FORBIDDEN.test(sqliteCode(error))) return true;
  for (const path of [folder, join(folder, FILE)]) {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
    } catch (error) {
      if (/^(EACCES|EPERM|ENOTDIR)$/.test(sqliteCode(error))) return true;
    }
  }
  return statSync(join(folder, FILE), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
