import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { readWal } from './wal-file.ts';

/**
 * The pages of a damaged SQLite file, read without SQLite, which gives up at the first wrong byte. Each page that still
 * is one gives its rows. Format: "Database File Format" of sqlite.org, sections 1.5, 1.6 and 2.
 */

/** What the store is made with; the header of the file may be gone. */
const PAGE_BYTES = 4096;
/** Longer values are not ours: a batch is smaller than the largest packet by far. */
const VALUE_BYTES_MAX = 80 * 1024 * 1024;

const TABLE_LEAF = 0x0d;
const TABLE_INTERIOR = 0x05;
const INDEX_LEAF = 0x0a;
const INDEX_INTERIOR = 0x02;

export type Value = number | string | Buffer | null;

export interface Row {
  /** 0 in tables without one. */
  rowid: number;
  values: Value[];
}

export class PageFile {
  readonly #fd: number;
  readonly #wal: number | null;
  readonly #fromWal = new Map<number, number>();
  readonly #pageBytes: number;
  readonly count: number;
  /** Pages that the disk did not give. */
  unreadable = 0;

  constructor(path: string) {
    const { frames, pageBytes } = readWal(`${path}-wal`);
    // Where only the log is left, it has some of the pages.
    this.#fd = openSync(existsSync(path) ? path : '/dev/null', 'r');
    this.#wal = frames.length > 0 ? openSync(`${path}-wal`, 'r') : null;
    this.#pageBytes = pageBytes || PAGE_BYTES;
    let count = Math.ceil(fstatSync(this.#fd).size / this.#pageBytes);
    for (const { page, at } of frames) {
      this.#fromWal.set(page, at);
      count = Math.max(count, page);
    }
    this.count = count;
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#wal !== null) closeSync(this.#wal);
  }

  /** The newest version of the page; null where there is none. Pages count from 1. */
  page(number: number): Buffer | null {
    if (number < 1 || number > this.count) return null;
    const page = Buffer.alloc(this.#pageBytes);
    const at = this.#fromWal.get(number);
    try {
      if (at !== undefined && this.#wal !== null) readSync(this.#wal, page, 0, page.length, at);
      else readSync(this.#fd, page, 0, page.length, (number - 1) * this.#pageBytes);
      return page;
    } catch {
      this.unreadable++;
      return null;
    }
  }

  /** Numbers of the pages under this one; none where it is a leaf or no page of a tree. */
  children(number: number): number[] {
    const page = this.page(number);
    const start = number === 1 ? 100 : 0;
    if (!page || (page[start] !== TABLE_INTERIOR && page[start] !== INDEX_INTERIOR)) return [];
    const children = cellsOf(page, start, 12).map((at) => page.readUInt32BE(at));
    return [...children, page.readUInt32BE(start + 8)];
  }

  /** The rows on this page that can be read; interior pages of an index hold rows too. */
  *rows(number: number): Generator<Row> {
    const page = this.page(number);
    if (!page) return;
    const start = number === 1 ? 100 : 0;
    const type = page[start];
    if (type !== TABLE_LEAF && type !== INDEX_LEAF && type !== INDEX_INTERIOR) return;
    for (const at of cellsOf(page, start, type === INDEX_INTERIOR ? 12 : 8)) {
      const row = this.#row(page, type === INDEX_INTERIOR ? at + 4 : at, type === TABLE_LEAF);
      if (row) yield row;
    }
  }

  #row(page: Buffer, at: number, isTable: boolean): Row | null {
    try {
      const cell = new Cursor(page, at);
      const length = cell.varint();
      const rowid = isTable ? cell.varint() : 0;
      if (length > VALUE_BYTES_MAX) return null;
      const record = this.#payload(page, cell.at, length, isTable);
      return record && { rowid, values: valuesOf(record) };
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  /** What does not fit on the page goes on in a chain of others. */
  #payload(page: Buffer, at: number, length: number, isTable: boolean): Buffer | null {
    const usable = this.#pageBytes;
    const most = isTable ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23;
    if (length <= most) return at + length <= page.length ? page.subarray(at, at + length) : null;
    const least = Math.floor(((usable - 12) * 32) / 255) - 23;
    const split = least + ((length - least) % (usable - 4));
    const local = split <= most ? split : least;
    const whole = Buffer.alloc(length);
    let filled = page.copy(whole, 0, at, at + local);
    let next = page.readUInt32BE(at + local);
    while (filled < length) {
      const more = this.page(next);
      if (!more) return null;
      filled += more.copy(whole, filled, 4);
      next = more.readUInt32BE(0);
    }
    return whole;
  }
}

/** Offsets of the cells that lie within the page. */
function cellsOf(page: Buffer, start: number, headerBytes: number): number[] {
  const count = page.readUInt16BE(start + 3);
  const first = start + headerBytes;
  if (first + count * 2 > page.length) return [];
  return Array.from({ length: count }, (_, i) => page.readUInt16BE(first + i * 2)).filter(
    (at) => at >= first + count * 2 && at + 4 <= page.length,
  );
}

class Cursor {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Throws RangeError where the bytes end. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < 9; i++) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw new RangeError('a number ends outside of the page');
      if (i === 8) return value * 256 + byte;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return value;
  }
}

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8] as const;

/** Throws RangeError where the bytes are no record. */
function valuesOf(record: Buffer): Value[] {
  const header = new Cursor(record, 0);
  const headerBytes = header.varint();
  if (headerBytes > record.length) throw new RangeError('the header of a record is too long');
  const values: Value[] = [];
  let at = headerBytes;
  while (header.at < headerBytes) {
    const type = header.varint();
    const bytes = type >= 12 ? Math.floor((type - 12) / 2) : type === 7 ? 8 : (INTEGER_BYTES[type] ?? 0);
    if (at + bytes > record.length) throw new RangeError('a record ends within a value');
    values.push(oneValue(record, type, at, bytes));
    at += bytes;
  }
  return values;
}

function oneValue(record: Buffer, type: number, at: number, bytes: number): Value {
  if (type === 0) return null;
  if (type === 8) return 0;
  if (type === 9) return 1;
  if (type === 7) return record.readDoubleBE(at);
  if (type === 6) return Number(record.readBigInt64BE(at));
  if (type < 6) return record.readIntBE(at, bytes);
  return type % 2 === 0 ? record.subarray(at, at + bytes) : record.toString('utf8', at, at + bytes);
}
