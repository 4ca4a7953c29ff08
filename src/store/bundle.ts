import { createHash, type Hash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';
import { SEALED, Sealer, unseal } from './bundle-cipher.ts';
import { syncFolder } from './files.ts';
import type { Position } from './protocol.ts';
import type { Record } from './record.ts';

/**
 * Records on their way by hand: what a box could not send, on a stick. A bundle is lines of JSON (plain or sealed), or an
 * SQLite file for who wants to look into it.
 *
 *   {"petiole_bundle":1,"gateway","epoch","made_ms","lanes":[{"name","cursor","last","positions"}]}
 *   {"lane","seq","subject","time_ms","headers"?,"payload"}      headers and payload in base64
 *   {"end":true,"records","sha256"}                              of all the lines before
 */
export interface BundleHead {
  gateway: string;
  epoch: string;
  madeMs: number;
  lanes: { name: string; cursor: number; last: number; positions: Position[] }[];
}

export interface BundleRecord extends Record {
  lane: string;
}

export interface BundleSink {
  write(record: BundleRecord): void;
  /** Syncs it and gives it its name: a bundle is whole or not there. */
  end(): void;
  /** Takes away what was begun. */
  drop(): void;
}

const CHUNK_BYTES = 256 * 1024;
/** The largest packet in base64, with its subject and headers. */
const LINE_BYTES_MAX = 256 * 1024 * 1024;
const SQLITE_MAGIC = 'SQLite format 3\0';

/** `passphrase` null: plain. Throws config_invalid where the file is there already. */
export function createBundle(
  path: string,
  head: BundleHead,
  { format, passphrase }: { format: 'ndjson' | 'sqlite'; passphrase: string | null },
): BundleSink {
  if (existsSync(path)) {
    throw new GatewayError('config_invalid', `${path} is there already`, {
      hint: 'give another name',
      retriable: false,
    });
  }
  return format === 'sqlite' ? new SqliteSink(path, head) : new LineSink(path, head, passphrase);
}

class LineSink implements BundleSink {
  readonly #path: string;
  readonly #part: string;
  readonly #fd: number;
  readonly #sealer: Sealer | null;
  readonly #hash: Hash = createHash('sha256');
  #waiting: Buffer[] = [];
  #bytes = 0;
  #records = 0;

  constructor(path: string, head: BundleHead, passphrase: string | null) {
    this.#path = path;
    this.#part = `${path}.part`;
    this.#fd = openSync(this.#part, 'w', 0o600);
    this.#sealer = passphrase === null ? null : new Sealer(passphrase, (bytes) => this.#put(bytes));
    const { gateway, epoch, madeMs, lanes } = head;
    this.#line({ petiole_bundle: 1, gateway, epoch, made_ms: madeMs, lanes });
  }

  write({ lane, sequence, subject, receivedAtMs, headers, payload }: BundleRecord): void {
    const block = headers.length > 0 ? { headers: headers.toString('base64') } : {};
    this.#line({ lane, seq: sequence, subject, time_ms: receivedAtMs, ...block, payload: payload.toString('base64') });
    this.#records++;
  }

  #line(value: object): void {
    const line = Buffer.from(`${JSON.stringify(value)}\n`);
    this.#hash.update(line);
    this.#waiting.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= CHUNK_BYTES) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#bytes = 0;
    if (this.#sealer) this.#sealer.write(bytes);
    else this.#put(bytes);
  }

  #put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  end(): void {
    const sha256 = this.#hash.copy().digest('hex');
    this.#line({ end: true, records: this.#records, sha256 });
    this.#flush();
    this.#sealer?.end();
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    renameSync(this.#part, this.#path);
    syncFolder(dirname(this.#path));
  }

  drop(): void {
    rmSync(this.#part, { force: true });
  }
}

class SqliteSink implements BundleSink {
  readonly #path: string;
  readonly #part: string;
  readonly #db: Database.Database;
  readonly #insert: Database.Statement;

  constructor(path: string, { gateway, epoch, madeMs, lanes }: BundleHead) {
    this.#path = path;
    this.#part = `${path}.part`;
    rmSync(this.#part, { force: true });
    this.#db = new Database(this.#part);
    this.#db.exec(
      'CREATE TABLE bundle (head TEXT NOT NULL);' +
        'CREATE TABLE record (lane TEXT NOT NULL, sequence INTEGER NOT NULL, subject TEXT NOT NULL, ' +
        'time_ms INTEGER NOT NULL, headers BLOB NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (lane, sequence)); BEGIN',
    );
    const head = JSON.stringify({ petiole_bundle: 1, gateway, epoch, made_ms: madeMs, lanes });
    this.#db.prepare('INSERT INTO bundle VALUES (?)').run(head);
    this.#insert = this.#db.prepare('INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)');
  }

  write({ lane, sequence, subject, receivedAtMs, headers, payload }: BundleRecord): void {
    this.#insert.run(lane, sequence, subject, receivedAtMs, headers, payload);
  }

  end(): void {
    this.#db.exec('COMMIT');
    this.#db.close();
    renameSync(this.#part, this.#path);
    syncFolder(dirname(this.#path));
  }

  drop(): void {
    this.#db.close();
    rmSync(this.#part, { force: true });
  }
}

export interface Bundle {
  head: BundleHead;
  /** In the order of each lane; ends with store_corrupt where the bundle is not whole. */
  records(): Generator<BundleRecord>;
}

/** `passphrase` is asked for only where the bundle is sealed. */
export async function openBundle(path: string, passphrase: () => Promise<string>): Promise<Bundle> {
  let start: Buffer;
  try {
    const fd = openSync(path, 'r');
    start = Buffer.alloc(SEALED.length);
    start = start.subarray(0, readSync(fd, start, 0, SEALED.length, 0));
    closeSync(fd);
  } catch (cause) {
    throw new GatewayError('store_failed', `cannot read ${path}`, { cause, hint: String(cause), retriable: false });
  }
  if (start.toString('latin1').startsWith(SQLITE_MAGIC)) return openSqlite(path);
  const secret = start.equals(SEALED) ? await passphrase() : null;
  const lines = () => linesOf(path, secret);
  const first = lines().next();
  if (first.done) throw notWhole(path);
  return { head: headOf(path, first.value), records: () => recordsOf(path, lines()) };
}

function openSqlite(path: string): Bundle {
  const all = <T>(sql: string): T => {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    try {
      return db.prepare(sql).all() as T;
    } finally {
      db.close();
    }
  };
  const [row] = all<{ head: string }[]>('SELECT head FROM bundle');
  if (!row) throw notWhole(path);
  return {
    head: headOf(path, Buffer.from(row.head)),
    *records() {
      const db = new Database(path, { readonly: true, fileMustExist: true });
      try {
        const rows = db.prepare('SELECT lane, sequence, subject, time_ms, headers, payload FROM record ORDER BY 1, 2');
        for (const one of rows.iterate() as Iterable<BundleRecord & { time_ms: number }>) {
          yield { ...one, receivedAtMs: one.time_ms };
        }
      } finally {
        db.close();
      }
    },
  };
}

function headOf(path: string, line: Buffer): BundleHead {
  const { petiole_bundle, gateway, epoch, made_ms, lanes } = parsed(path, line);
  if (petiole_bundle !== 1 || typeof gateway !== 'string' || typeof epoch !== 'string' || !Array.isArray(lanes)) {
    throw new GatewayError('store_corrupt', `${path} is no bundle of a journal`, { retriable: false });
  }
  return { gateway, epoch, madeMs: Number(made_ms), lanes: lanes as BundleHead['lanes'] };
}

function* recordsOf(path: string, lines: Generator<Buffer>): Generator<BundleRecord> {
  const hash = createHash('sha256');
  let count = -1;
  for (const line of lines) {
    const value = count < 0 ? {} : parsed(path, line);
    if (value.end === true) {
      if (value.records !== count || value.sha256 !== hash.digest('hex')) throw notWhole(path);
      return;
    }
    hash.update(line).update('\n');
    if (count++ < 0) continue;
    const { lane, seq, subject, time_ms, headers, payload } = value;
    if (typeof lane !== 'string' || typeof subject !== 'string' || !Number.isSafeInteger(seq)) throw notWhole(path);
    yield {
      lane,
      sequence: Number(seq),
      subject,
      receivedAtMs: Number(time_ms),
      headers: typeof headers === 'string' ? Buffer.from(headers, 'base64') : NO_HEADERS,
      payload: Buffer.from(String(payload), 'base64'),
    };
  }
  throw notWhole(path);
}

function* linesOf(path: string, passphrase: string | null): Generator<Buffer> {
  const fd = openSync(path, 'r');
  try {
    const read = (bytes: number): Buffer => {
      const chunk = Buffer.alloc(bytes);
      let got = 0;
      for (let now = -1; now !== 0 && got < bytes; got += now) now = readSync(fd, chunk, got, bytes - got, null);
      return chunk.subarray(0, got);
    };
    if (passphrase !== null) read(SEALED.length);
    let rest: Buffer = Buffer.alloc(0);
    for (const chunk of passphrase === null ? chunks(read) : unseal(passphrase, read)) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10, from)) {
        yield rest.subarray(from, at);
        from = at + 1;
      }
      rest = rest.subarray(from);
      if (rest.length > LINE_BYTES_MAX) throw notWhole(path);
    }
  } finally {
    closeSync(fd);
  }
}

/** Of a plain bundle. */
function* chunks(read: (bytes: number) => Buffer): Generator<Buffer> {
  for (let chunk = read(CHUNK_BYTES); chunk.length > 0; chunk = read(CHUNK_BYTES)) yield chunk;
}

function parsed(path: string, line: Buffer): { [field: string]: unknown } {
  try {
    const value: unknown = JSON.parse(line.toString());
    if (typeof value === 'object' && value !== null) return value as { [field: string]: unknown };
  } catch {
    // Told below, with what is no object.
  }
  throw notWhole(path);
}

function notWhole(path: string): GatewayError {
  const hint = 'it was cut off or changed on its way: export it again';
  return new GatewayError('store_corrupt', `${path} is not a whole bundle`, { hint, retriable: false });
}
