import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { storeError } from './store-error.ts';

/** The store's file and folder; SQLite's companions have its name and a suffix. */
export const FILE = 'petiole.db';
export const SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;

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

/** Renames a store with its companions. */
export function moveStore(from: string, to: string): void {
  for (const suffix of SUFFIXES) if (existsSync(from + suffix)) renameSync(from + suffix, to + suffix);
  syncFolder(dirname(from));
}

/** Bytes of the store with its WAL, and what is free to us on its file system. */
export function spaceOf(folder: string): { fileBytes: number; freeBytes: number } {
  let fileBytes = 0;
  for (const suffix of ['', '-wal']) fileBytes += Math.max(0, sizeOf(join(folder, FILE) + suffix));
  const { bavail, bsize } = statfsSync(folder);
  return { fileBytes, freeBytes: bavail * bsize };
}
