import type Database from 'better-sqlite3';
import { unreadable } from './store-error.ts';

/**
 * The shape of the store, and who can read it. Migrations only add: tables and indexes that a release without them
 * leaves alone. So an update can be rolled back with the queue intact, and updated again later.
 *
 *   user_version      what 0.1.0 looks at: it opens 2 and lower, and never runs a migration beyond its own
 *   meta.schema       how many migrations have run
 *   meta.readable_by  how many a release must know to open the store
 */

interface Migration {
  readonly sql: string;
  /**
   * Only on one that is not an addition: releases that don't know it must not open the store. That ends the rollback to
   * the release before, so it is announced one release ahead.
   */
  readonly breaking?: true;
}

/** Numbered by their place. One that has been released is never changed. */
const migrations: readonly Migration[] = [
  {
    sql: `
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
  -- id is the lane in the high bits and the first sequence in the low ones (see batch-table.ts).
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
  },
  {
    sql: `
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
  },
  {
    sql: `
  -- A persistent MQTT session; data is JSON of the edge.
  CREATE TABLE session (id INTEGER PRIMARY KEY, client TEXT NOT NULL, data TEXT NOT NULL);
  -- A QoS 1 or 2 message on its way to a session.
  CREATE TABLE delivery (
    session INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    -- QoS, retain 4, released 8.
    flags INTEGER NOT NULL,
    identifier INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    share TEXT NOT NULL,
    subject TEXT NOT NULL,
    headers BLOB NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (session, sequence)
  ) WITHOUT ROWID;
  -- Packet identifiers of QoS 2 messages from a session that are not released.
  CREATE TABLE received (session INTEGER NOT NULL, identifier INTEGER NOT NULL, PRIMARY KEY (session, identifier))
  WITHOUT ROWID;
  `,
  },
  {
    sql: `
  -- Cursors of a lane that were on disk, with where its streams stood: the way back where a hub has lost something.
  CREATE TABLE watermark (
    lane INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    -- JSON of protocol.ts, Position[].
    positions TEXT NOT NULL,
    PRIMARY KEY (lane, cursor)
  ) WITHOUT ROWID;
  `,
  },
  {
    sql: `
  -- What a lane's batches add up to, so that a start need not look at each of them. cursor, evicted and expired are those
  -- of the lane row when it was counted: where they differ, a release without this table was here, and it is counted anew.
  CREATE TABLE total (
    lane INTEGER PRIMARY KEY,
    -- Batches that begin behind it are not counted.
    reached INTEGER NOT NULL,
    records INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    kept_records INTEGER NOT NULL,
    kept_bytes INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    evicted INTEGER NOT NULL,
    expired INTEGER NOT NULL
  );
  `,
  },
  {
    sql: `
  -- Numbers of a source that sends until it has a receipt, whose messages in this lane are journaled (see taken.ts).
  CREATE TABLE taken (source TEXT NOT NULL, number INTEGER NOT NULL, lane TEXT NOT NULL, PRIMARY KEY (source, number, lane))
  WITHOUT ROWID;
  `,
  },
  {
    sql: `
  -- What the box was like, for the plots of the status page; span 0 is the hour, 1 the day, 2 the week. data is JSON of ops.
  CREATE TABLE history (
    span INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (span, at_ms)
  ) WITHOUT ROWID;
  `,
  },
  {
    sql: `
  -- How far a lane's cursor has passed records in a stream beyond its position there; it counts only with that sequence, so
  -- that a position which a release without this table has moved has none.
  CREATE TABLE reach (
    lane INTEGER NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    reach INTEGER NOT NULL,
    PRIMARY KEY (lane, stream)
  ) WITHOUT ROWID;
  `,
  },
];

/** The highest `user_version` that release 0.1.0 opens; what has run beyond it is in `meta.schema`. */
const USER_VERSION_MAX = 2;

/** Brings the store up to this release. Throws STORE_UNREADABLE for a store of a release that broke with this one. */
export function migrate(db: Database.Database): void {
  const done = schemaOf(db);
  for (let next = done; next < migrations.length; next++) {
    db.exec('BEGIN IMMEDIATE');
    db.exec(migrations[next]?.sql ?? '');
    const set = db.prepare(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    );
    set.run('schema', String(next + 1));
    if (migrations[next]?.breaking) set.run('readable_by', String(next + 1));
    db.pragma(`user_version = ${Math.min(next + 1, USER_VERSION_MAX)}`);
    db.exec('COMMIT');
  }
}

/** How many migrations have run on this store. */
function schemaOf(db: Database.Database): number {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version === 0) return 0;
  const meta = db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?');
  const schema = Number(meta.get('schema')?.value ?? version);
  const readableBy = Number(meta.get('readable_by')?.value ?? (version > USER_VERSION_MAX ? version : 0));
  if (readableBy > migrations.length) {
    throw unreadable(`the store needs a release that knows schema ${readableBy}, this one knows ${migrations.length}`);
  }
  return schema;
}
