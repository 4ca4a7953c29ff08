import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { SeededRandom } from './seeded-random.ts';

/** What a power cut makes of writes that were not synced. */
export const fates = ['dropped', 'torn', 'reordered', 'kept'] as const;
export type Fate = (typeof fates)[number];

/** Disks write whole sectors. */
const SECTOR = 512;
const HEAD_BYTES = 15;

interface Change {
  op: 'W' | 'T';
  at: number;
  data: Buffer;
}

/** The bytes of a file; it grows in place, since a log of megabytes is played into it. */
class Content {
  #bytes: Buffer;
  #length: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#length = bytes.length;
  }

  change({ op, at, data }: Change): void {
    const end = op === 'T' ? at : at + data.length;
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(end * 2);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    if (op === 'T' && end < this.#length) this.#bytes.fill(0, end, this.#length);
    this.#length = op === 'T' ? end : Math.max(this.#length, end);
    if (op === 'W') data.copy(this.#bytes, at);
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** What is on the disk for sure, and what came since the last fsync. */
interface Inode {
  synced: Content;
  pending: Change[];
}

type Entry = { path: string; inode: Inode | null };

/**
 * Plays the log of a ruled disk back, and knows at each point what would be left if the power went. POSIX and no kinder:
 * what a file holds is safe after its fsync, that there is such a file after an fsync of its folder. Changes of folders
 * keep their order, as journaling file systems do; writes do not.
 */
export class PowerCut {
  readonly #root: string;
  readonly #log: Buffer;
  #at = 0;
  /** What names lead to, as the process sees it. */
  readonly #names = new Map<string, Inode>();
  /** The same on the disk for sure; folders have null. */
  readonly #synced = new Map<string, Inode | null>();
  /** Changes of folders that are not synced, in their order; an inode of undefined is a removal. */
  #pending: { path: string; inode: Inode | null | undefined }[] = [];

  /** `before`: a copy of what lay below the root when the log began. */
  constructor(log: Buffer, root: string, before: string) {
    this.#log = log;
    this.#root = root;
    for (const { path, inode } of entriesOf(before)) {
      this.#synced.set(path, inode);
      if (inode) this.#names.set(path, inode);
    }
  }

  /** Goes on to where the log had `length` bytes; only forward. */
  advance(length: number): void {
    while (this.#at + HEAD_BYTES <= length) {
      const head = this.#log.subarray(this.#at, this.#at + HEAD_BYTES);
      const pathLength = head.readUInt16LE(1);
      const op = String.fromCharCode(head[0] ?? 0);
      const dataLength = head.readUInt32LE(11);
      const pathEnd = this.#at + HEAD_BYTES + pathLength;
      const end = pathEnd + (op === 'W' || op === 'N' ? dataLength : 0);
      if (end > length) return;
      const path = this.#log.toString('utf8', this.#at + HEAD_BYTES, pathEnd);
      this.#at = end;
      this.#apply(op, relative(this.#root, path), Number(head.readBigUInt64LE(3)), this.#log.subarray(pathEnd, end));
    }
  }

  #apply(op: string, path: string, at: number, data: Buffer): void {
    const inode = this.#names.get(path);
    switch (op) {
      case 'C': {
        const made: Inode = { synced: new Content(Buffer.alloc(0)), pending: [] };
        this.#names.set(path, made);
        this.#pending.push({ path, inode: made });
        return;
      }
      case 'M':
        this.#pending.push({ path, inode: null });
        return;
      case 'U':
        this.#names.delete(path);
        this.#pending.push({ path, inode: undefined });
        return;
      case 'N': {
        const to = relative(this.#root, data.toString('utf8'));
        assert(inode, `${path} is known`);
        this.#names.delete(path);
        this.#names.set(to, inode);
        this.#pending.push({ path: to, inode }, { path, inode: undefined });
        return;
      }
      case 'W':
      case 'T':
        // A file that was unlinked meanwhile is nobody's loss.
        inode?.pending.push({ op, at, data });
        return;
      case 'S':
        if (inode) {
          for (const pending of inode.pending) inode.synced.change(pending);
          inode.pending = [];
        } else this.#syncFolder(path);
        return;
      default:
        assert.fail(`operation ${op} in the log`);
    }
  }

  #syncFolder(folder: string): void {
    const isHere = ({ path }: { path: string }) => parentOf(path) === folder;
    for (const entry of this.#pending.filter(isHere)) this.#set(this.#synced, entry);
    this.#pending = this.#pending.filter((entry) => !isHere(entry));
  }

  #set(entries: Map<string, Inode | null>, { path, inode }: { path: string; inode: Inode | null | undefined }): void {
    if (inode === undefined) entries.delete(path);
    else entries.set(path, inode);
  }

  /** Writes what would be left into `folder`, which is new. */
  cut(folder: string, fate: Fate, random: SeededRandom): void {
    const entries = new Map(this.#synced);
    const survives = (share = 0.5) => fate === 'kept' || (fate !== 'dropped' && random.chance(share));
    for (const entry of this.#pending) {
      if (!survives(0.7)) break;
      this.#set(entries, entry);
    }
    mkdirSync(folder, { recursive: true });
    for (const [path, inode] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
      // What is in a folder that is lost is lost with it.
      if (parentOf(path) !== '' && !entries.has(parentOf(path))) {
        entries.delete(path);
        continue;
      }
      if (inode === null) mkdirSync(join(folder, path), { recursive: true });
      else writeFileSync(join(folder, path), this.#left(inode, fate, survives));
    }
  }

  #left({ synced, pending }: Inode, fate: Fate, survives: () => boolean): Buffer {
    if (pending.length === 0) return synced.bytes;
    const content = new Content(Buffer.from(synced.bytes));
    for (const { op, at, data } of pending) {
      if (op === 'T' || fate !== 'torn') {
        if (survives()) content.change({ op, at, data });
        continue;
      }
      for (let from = 0; from < data.length; from += SECTOR) {
        if (survives()) content.change({ op, at: at + from, data: data.subarray(from, from + SECTOR) });
      }
    }
    return content.bytes;
  }
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === '.' ? '' : parent;
}

/** Files and folders below `folder`, by their path relative to it. */
function entriesOf(folder: string): Entry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return {
      path: relative(folder, path),
      inode: entry.isDirectory() ? null : { synced: new Content(readFileSync(path)), pending: [] },
    };
  });
}
