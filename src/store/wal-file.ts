import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * The write-ahead log as it lies there, read without SQLite: which page versions it holds, and whether what was synced is
 * whole. SQLite itself passes over everything behind the first wrong checksum without a word, because that is what a
 * power cut leaves. Format: "WAL-mode File Format" of sqlite.org, sections 1-4.
 */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The lowest bit says that checksums take words as big-endian. */
const MAGIC = 0x377f0682;
/** A log that is larger was not written by the box: its automatic checkpoint holds it near 8 MiB. */
const WAL_BYTES_MAX = 512 * 1024 * 1024;

export interface Frame {
  page: number;
  /** Where its bytes begin in the file. */
  at: number;
}

export interface WalFile {
  pageBytes: number;
  /** Frames of this round of the log, in their order; those behind a wrong checksum too. */
  frames: Frame[];
  /**
   * Commits behind the first wrong checksum. One may be what a power cut tore; a second one was begun only after the fsync
   * of the first, so two mean that something was damaged that had been safe.
   */
  lostCommits: number;
}

const EMPTY: WalFile = { pageBytes: 0, frames: [], lostCommits: 0 };

export function readWal(path: string): WalFile {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return EMPTY;
  }
  try {
    return parse(fd, fstatSync(fd).size);
  } catch {
    // The disk does not give it: as good as gone.
    return EMPTY;
  } finally {
    closeSync(fd);
  }
}

function parse(fd: number, size: number): WalFile {
  if (size < HEADER_BYTES || size > WAL_BYTES_MAX) return EMPTY;
  const header = Buffer.alloc(HEADER_BYTES);
  readSync(fd, header, 0, HEADER_BYTES, 0);
  const magic = header.readUInt32BE(0);
  const pageBytes = header.readUInt32BE(8);
  if ((magic & ~1) >>> 0 !== MAGIC || pageBytes < 512 || pageBytes > 65_536) return EMPTY;
  const sum = new Checksum((magic & 1) === 1);
  sum.add(header.subarray(0, 24));
  let isWhole = sum.equals(header.readUInt32BE(24), header.readUInt32BE(28));
  const frames: Frame[] = [];
  let lostCommits = 0;
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const frame = Buffer.alloc(frameBytes);
  for (let at = HEADER_BYTES; at + frameBytes <= size; at += frameBytes) {
    if (readSync(fd, frame, 0, frameBytes, at) < frameBytes) break;
    // What is left of an earlier round has another salt.
    if (frame.compare(header, 16, 24, 8, 16) !== 0) break;
    if (isWhole) {
      sum.add(frame.subarray(0, 8));
      sum.add(frame.subarray(FRAME_HEADER_BYTES));
      isWhole = sum.equals(frame.readUInt32BE(16), frame.readUInt32BE(20));
    }
    const isCommit = frame.readUInt32BE(4) > 0;
    if (!isWhole && isCommit) lostCommits++;
    frames.push({ page: frame.readUInt32BE(0), at: at + FRAME_HEADER_BYTES });
  }
  return { pageBytes, frames, lostCommits };
}

class Checksum {
  readonly #isBigEndian: boolean;
  #a = 0;
  #b = 0;

  constructor(isBigEndian: boolean) {
    this.#isBigEndian = isBigEndian;
  }

  add(bytes: Buffer): void {
    let [a, b] = [this.#a, this.#b];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < bytes.length; i += 8) {
      a = (a + view.getUint32(i, !this.#isBigEndian) + b) >>> 0;
      b = (b + view.getUint32(i + 4, !this.#isBigEndian) + a) >>> 0;
    }
    [this.#a, this.#b] = [a, b];
  }

  equals(a: number, b: number): boolean {
    return this.#a === a && this.#b === b;
  }
}
