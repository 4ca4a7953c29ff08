import type Database from 'better-sqlite3';
import { CHECKPOINT_PAGES } from './database.ts';
import { spaceOf } from './files.ts';
import type { Lanes } from './lanes.ts';

/** SQLite's default, which the store is made with. */
const PAGE_BYTES = 4096;
/** Two rounds of the write-ahead log. */
const TIGHT_BYTES = 16 * 1024 * 1024;
/** Near the reserve: 256 KiB of log. */
const TIGHT_CHECKPOINT_PAGES = 64;
const LOOK_BYTES_MIN = 64 * 1024;

/** The space around the store, and what the lanes may take of it: the disk always keeps the reserve. */
export class FreeSpace {
  readonly #settings: { readonly folder: string; readonly reserveBytes: number };
  #space = { fileBytes: 0, freeBytes: 0 };
  /** Near the reserve. */
  isTight = false;
  /** Written since the last look, and after how much there is another: a flood fills a disk fast. */
  #unseenBytes = 0;
  #lookAfterBytes = LOOK_BYTES_MIN;

  constructor(settings: { readonly folder: string; readonly reserveBytes: number }) {
    this.#settings = settings;
  }

  get state(): { fileBytes: number; freeBytes: number } {
    return this.#space;
  }

  get isLookDue(): boolean {
    return this.#unseenBytes >= this.#lookAfterBytes;
  }

  /** One commit: a page, and for each batch another beside its bytes. */
  wrote(batches: readonly { readonly length: number }[]): void {
    this.#unseenBytes += batches.reduce((sum, { length }) => sum + length + PAGE_BYTES, PAGE_BYTES);
  }

  /** Returns how many pages of the file are free inside it. */
  look({ db, lanes }: { db: Database.Database; lanes: Lanes }): number {
    this.#space = spaceOf(this.#settings.folder);
    const { freeBytes } = this.#space;
    const { reserveBytes } = this.#settings;
    // Near the reserve the log is kept short: what it holds is on the disk twice, and it would eat a small reserve.
    const isTight = freeBytes < reserveBytes + TIGHT_BYTES;
    if (isTight !== this.isTight) {
      this.isTight = isTight;
      db.pragma(`wal_autocheckpoint = ${isTight ? TIGHT_CHECKPOINT_PAGES : CHECKPOINT_PAGES}`);
      if (isTight) db.pragma('wal_checkpoint(TRUNCATE)');
    }
    this.#unseenBytes = 0;
    this.#lookAfterBytes = Math.max(LOOK_BYTES_MIN, Math.min(TIGHT_BYTES, (freeBytes - reserveBytes) / 4));
    const freePages = Number(db.pragma('freelist_count', { simple: true }));
    lanes.room.reserveReached = this.#space.freeBytes < this.#settings.reserveBytes;
    lanes.room.spareBytes = freePages * PAGE_BYTES;
    return freePages;
  }
}
