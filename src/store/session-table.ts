import type Database from 'better-sqlite3';
import type { BatchResult } from './protocol.ts';
import {
  type Delivery,
  flagsOf,
  RELEASED_FLAG,
  readFlags,
  type SessionChanges,
  step,
  unpackDeliveries,
} from './session-changes.ts';

/** Rows of one read: a client that returns gets its first messages soon, and no read holds up a commit for long. */
const READ_ROWS = 128;
const READ_BYTES = 256 * 1024;

/** A session as the main thread gets it at the start. */
export interface SessionLoad {
  id: number;
  clientId: string;
  data: string;
  queue: { count: number; bytes: number; last: number };
  received: number[];
}

/** Deliveries of a session, oldest first; up to `through` there are no others. `isEnd`: nor are there any behind. */
export interface Page {
  deliveries: Delivery[];
  through: number;
  isEnd: boolean;
}

interface DeliveryRow {
  sequence: number;
  flags: number;
  identifier: number;
  expiresMs: number;
  bytes: number;
  share: string;
  subject: string;
  headers: Buffer;
  payload: Buffer;
}

/** The persistent sessions in SQLite, on the writer thread. */
export class SessionTable {
  readonly #db: Database.Database;
  readonly #put: Database.Statement;
  readonly #drops: readonly Database.Statement[];
  readonly #insert: Database.Statement;
  readonly #release: Database.Statement;
  readonly #remove: Database.Statement;
  readonly #receive: Database.Statement;
  readonly #forget: Database.Statement;
  readonly #select: Database.Statement<[number, number], DeliveryRow>;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#put = db.prepare(
      'INSERT INTO session (id, client, data) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data',
    );
    this.#drops = [
      db.prepare('DELETE FROM session WHERE id = ?'),
      db.prepare('DELETE FROM delivery WHERE session = ?'),
      db.prepare('DELETE FROM received WHERE session = ?'),
    ];
    this.#insert = db.prepare(
      'INSERT OR REPLACE INTO delivery (session, sequence, flags, identifier, expires_ms, bytes, share, subject, headers, payload) ' +
        'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#release = db.prepare(
      `UPDATE delivery SET flags = flags | ${RELEASED_FLAG}, headers = x'', payload = x'' WHERE session = ? AND sequence = ?`,
    );
    this.#remove = db.prepare('DELETE FROM delivery WHERE session = ? AND sequence = ?');
    this.#receive = db.prepare('INSERT OR IGNORE INTO received (session, identifier) VALUES (?, ?)');
    this.#forget = db.prepare('DELETE FROM received WHERE session = ? AND identifier = ?');
    this.#select = db.prepare(
      'SELECT sequence, flags, identifier, expires_ms AS expiresMs, bytes, share, subject, headers, payload ' +
        `FROM delivery WHERE session = ? AND sequence > ? ORDER BY sequence LIMIT ${READ_ROWS}`,
    );
  }

  /** Rows of no session, which a damaged store may have left, go: another session may get that number. */
  load(): SessionLoad[] {
    this.#db.exec('DELETE FROM delivery WHERE session NOT IN (SELECT id FROM session)');
    this.#db.exec('DELETE FROM received WHERE session NOT IN (SELECT id FROM session)');
    const sessions = this.#db
      .prepare<[], { id: number; clientId: string; data: string }>('SELECT id, client AS clientId, data FROM session')
      .all();
    const loads = new Map<number, SessionLoad>(
      sessions.map((row) => [row.id, { ...row, queue: { count: 0, bytes: 0, last: 0 }, received: [] }]),
    );
    const queues = this.#db
      .prepare<[], { session: number; count: number; bytes: number; last: number }>(
        'SELECT session, count(*) AS count, sum(bytes) AS bytes, max(sequence) AS last FROM delivery GROUP BY session',
      )
      .all();
    for (const { session, ...queue } of queues) {
      const load = loads.get(session);
      if (load) load.queue = queue;
    }
    const received = this.#db
      .prepare<[], { session: number; identifier: number }>('SELECT session, identifier FROM received')
      .all();
    for (const { session, identifier } of received) loads.get(session)?.received.push(identifier);
    return [...loads.values()];
  }

  /**
   * Within the transaction of a commit; `results` say which messages of it are kept: the packet identifier of one that is
   * not must not be taken for known.
   */
  apply({ drops, rows, steps, received, packed }: SessionChanges, results: readonly BatchResult[]): void {
    for (const id of drops) for (const statement of this.#drops) statement.run(id);
    for (const { id, clientId, data } of rows) this.#put.run(id, clientId, data);
    for (let i = 0; i < steps.length; i += 3) {
      const [kind, session, number] = steps.slice(i, i + 3);
      if (kind === step.release) this.#release.run(session, number);
      else if (kind === step.remove) this.#remove.run(session, number);
      else this.#forget.run(session, number);
    }
    for (let i = 0; i < received.length; i += 3) {
      const [session, identifier, batch = 0] = received.slice(i, i + 3);
      if (!results[batch]?.failure) this.#receive.run(session, identifier);
    }
    if (packed !== null) this.#enqueue(Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength), drops);
  }

  #enqueue(packed: Buffer, drops: readonly number[]): void {
    const gone = new Set(drops);
    for (const { session, delivery } of unpackDeliveries(packed)) {
      if (gone.has(session)) continue;
      const { content, sequence, identifier, expiresMs, bytes, share } = delivery;
      const { subject, headers, payload } = content;
      const flags = flagsOf(delivery);
      this.#insert.run(session, sequence, flags, identifier, expiresMs, bytes, share, subject, headers, payload);
    }
  }

  /** What stands behind `after`, oldest first, as much as fits in one read. */
  read(session: number, after: number): Page {
    const deliveries: Delivery[] = [];
    let through = after;
    let total = 0;
    for (const { flags, subject, headers, payload, ...rest } of this.#select.iterate(session, after)) {
      if (total > 0 && total + rest.bytes > READ_BYTES) return { deliveries, through, isEnd: false };
      total += rest.bytes;
      through = rest.sequence;
      deliveries.push({ ...rest, ...readFlags(flags), content: { subject, headers, payload } });
    }
    return { deliveries, through, isEnd: deliveries.length < READ_ROWS };
  }
}
