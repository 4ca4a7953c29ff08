import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import Database from 'better-sqlite3';
import { NO_HEADERS } from '../../src/core/message.ts';
import type { Journal } from '../../src/store/journal.ts';
import type { Record } from '../../src/store/record.ts';
import { drain, laneOf, message, openJournal, produce, storedLedger } from '../support/journal.ts';
import { Lifetime } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const LANES = [
  { name: 'a', subjects: ['a.>'] },
  { name: 'b', subjects: ['b.>'] },
];
const RETAINED = { countMax: 1_000, bytesMax: 16 * 1024 * 1024 };
const COUNT = 1_000;
/** What the hub has acknowledged of lane a. */
const ACKED = 300;
const STREAM = { stream: 'A', created: 'monday', sequence: 42 };
const PAGE = 4096;
/** Of the files: more than one round of the checkpoint has moved into the main one, and commits lie in the log. */
const text = (n: number) => String(n).padEnd(400, '.');

/** A store as a killed box leaves it, made once: main file, log and mark. */
const life = new Lifetime();
let base = '';
let epoch = '';
before(async () => {
  const folder = tempDir(life, 'journal');
  const journal = await openJournal(life, { folder, lanes: LANES, retained: RETAINED });
  epoch = journal.epoch;
  await produce(journal, 0, COUNT / 2, (n) => message('a.x', text(n)), { ahead: 50 });
  await journal.stop();
  const second = await openJournal(life, { folder, lanes: LANES, retained: RETAINED });
  await produce(second, 0, COUNT / 2, (n) => message('a.x', text(n)), { first: COUNT / 2 + 1, ahead: 50 });
  await produce(second, 1, COUNT, (n) => message('b.y', text(n)), { ahead: 50 });
  for (let i = 0; i < 20; i++) {
    const row = { ...message(`state.${i}`, `value ${i}`), headers: NO_HEADERS };
    assert.equal(second.retained?.keep(row, 1, 0), null);
  }
  await second.records.place(0, STREAM);
  second.records.acknowledge(0, ACKED, ACKED);
  await second.records.place(0, { ...STREAM, created: 'tuesday' });
  await waitFor('the cursor', () => laneOf(second, 0).persistedCursor === ACKED);
  await produce(second, 1, 3, (n) => message('b.y', text(n)), { first: COUNT + 1, ahead: 1 });
  base = tempDir(life, 'base');
  cpSync(folder, base, { recursive: true });
});
after(() => life.end());

type Damage = (folder: string, random: SeededRandom) => void;
const file = (folder: string) => join(folder, 'petiole.db');
const wal = (folder: string) => `${file(folder)}-wal`;

function change(path: string, work: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  work(bytes);
  writeFileSync(path, bytes);
}

/** With the log taken in, so that what is done to the main file is not covered by it. */
function settled(folder: string): void {
  const db = new Database(file(folder));
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  rmSync(join(folder, 'petiole.running'), { force: true });
}

/** What is done, and the fewest of all 2,003 records that must survive it; -1: nothing is amiss, and the epoch stays. */
const damages: [string, Damage, number][] = [
  ['is as a killed box left it', () => undefined, -1],
  ['lost its -shm', (folder) => rmSync(`${file(folder)}-shm`, { force: true }), -1],
  [
    'was cut in the middle',
    (folder) => {
      settled(folder);
      truncateSync(file(folder), Math.floor(statSync(file(folder)).size / 2 / PAGE) * PAGE);
    },
    800,
  ],
  [
    'has a header of zeroes',
    (folder) => {
      settled(folder);
      change(file(folder), (bytes) => bytes.fill(0, 0, 100));
    },
    2_003,
  ],
  [
    'has a first page of zeroes',
    (folder) => {
      settled(folder);
      change(file(folder), (bytes) => bytes.fill(0, 0, PAGE));
    },
    2_003,
  ],
  [
    'has a page of zeroes in the middle',
    (folder, random) => {
      settled(folder);
      change(file(folder), (bytes) => {
        const at = Math.floor(random.between(3, bytes.length / PAGE - 1)) * PAGE;
        bytes.fill(0, at, at + PAGE);
      });
    },
    1_500,
  ],
  [
    'has a flipped bit in the header',
    (folder) => {
      settled(folder);
      change(file(folder), (bytes) => bytes.writeUInt8(bytes.readUInt8(3) ^ 8, 3));
    },
    2_003,
  ],
  [
    'has flipped bits in its pages',
    (folder, random) => {
      settled(folder);
      change(file(folder), (bytes) => {
        for (let i = 0; i < 20; i++) {
          const at = Math.floor(random.between(PAGE, bytes.length));
          bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (i % 8)), at);
        }
      });
    },
    500,
  ],
  [
    'has a flipped bit early in its log',
    (folder) => change(wal(folder), (bytes) => bytes.writeUInt8(bytes.readUInt8(PAGE * 3) ^ 1, PAGE * 3)),
    1_900,
  ],
  ['lost its log', (folder) => rmSync(wal(folder)), 500],
  ['has 0 bytes', (folder) => truncateSync(file(folder), 0), 1_400],
  ['is gone, but not its log', (folder) => rmSync(file(folder)), 1_400],
  [
    'is another database',
    (folder) => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
      const db = new Database(file(folder));
      db.exec("PRAGMA user_version = 2; CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')");
      db.close();
    },
    0,
  ],
  [
    'is of a release to come that broke with this one',
    (folder) => {
      settled(folder);
      const db = new Database(file(folder));
      db.exec("INSERT INTO meta VALUES ('readable_by', '99'), ('schema', '99') ON CONFLICT DO UPDATE SET value = '99'");
      db.close();
    },
    2_003,
  ],
];

const numberOf = ({ payload }: Record) => Number.parseInt(payload.toString(), 10);

/** What a lane has from its first batch on, without an acknowledgement. */
async function readAll(journal: Journal, lane: number): Promise<Record[]> {
  const records: Record[] = [];
  for (let from = 0; ; ) {
    const { batches, end } = await journal.records.read(lane, from);
    for (const batch of batches) for (let record = batch.next(); record; record = batch.next()) records.push(record);
    if (batches.length === 0) return records;
    from = end;
  }
}

describe('a store that', () => {
  for (const [what, damage, least] of damages) {
    it(`${what} opens, with what is readable of it and an account of the rest`, async (scope) => {
      const random = new SeededRandom(11);
      const folder = tempDir(scope, 'damaged');
      cpSync(base, folder, { recursive: true });
      damage(folder, random);
      const journal = await openJournal(scope, { folder, lanes: LANES, retained: RETAINED });
      // What only hit batches is found when these are read.
      const isWhole = least < 0 || ([500, 1_500].includes(least) && journal.epoch === epoch);
      assert.equal(journal.epoch === epoch, isWhole);
      assert.equal(
        readdirSync(folder).some((name) => name.includes('damaged')),
        !isWhole,
      );

      // Every record that is there is one that was written, with its old number, once and in order.
      let found = 0;
      for (const lane of [0, 1]) {
        const records = await readAll(journal, lane);
        const odd = records.find((record, i) => {
          const isBehind = i > 0 && record.sequence <= (records[i - 1]?.sequence ?? 0);
          return isBehind || numberOf(record) !== record.sequence;
        });
        assert.equal(odd, undefined);
        found += records.length;
        const { lastSequence, cursor } = journal.records.resume(lane);
        assert.equal(cursor, lane === 0 && journal.records.resume(0).positions.length > 0 ? ACKED : 0);
        const { accepted } = await produce(journal, lane, 1, () => message('a.x', text(lastSequence + 1)));
        assert.equal(accepted.length, 1, 'it takes messages');
        assert.equal(journal.records.resume(lane).lastSequence, lastSequence + 1);
      }
      // Whole batches are kept, so some records that the hub has are among them.
      assert(found >= (least < 0 ? 2_003 : least) - ACKED, `${found} found`);
      if (isWhole || least === 2_003) {
        assert.equal(journal.retained?.status().count, 20);
        assert.deepEqual(
          journal.records.resume(0).positions.map(({ stream, created }) => [stream, created]),
          [['A', 'tuesday']],
        );
      }
      await journal.stop();
      const rows = storedLedger(folder);
      if (isWhole) {
        assert.equal(rows.length > 0, least >= 0);
        return;
      }
      const [note] = rows.filter(({ lane }) => lane === '*');
      assert.equal(note?.reason, 'corrupt');
      assert.match(note?.detail ?? '', /could not be read/);
      // Between what is there nothing is missing that the ledger does not name.
      const again = await openJournal(scope, { folder, lanes: LANES, retained: RETAINED });
      assert.equal(again.epoch, journal.epoch, 'the second start finds nothing amiss');
      const named = new Set<string>();
      for (const { lane, first, last } of rows) {
        for (let n = first ?? 1; n <= (last ?? 0); n++) named.add(`${lane}.${n}`);
      }
      for (const [lane, name] of ['a', 'b'].entries()) {
        const { cursor } = again.records.resume(lane);
        const there = new Set((await drain(again, lane)).map(({ sequence }) => sequence));
        for (let n = cursor + 1; n <= again.records.resume(lane).lastSequence; n++) {
          assert(
            there.has(n) !== named.has(`${name}.${n}`),
            `${name}.${n}: ${there.has(n)}, ${named.has(`${name}.${n}`)}`,
          );
        }
      }
    });
  }

  it('is damaged again and again leaves a bounded number of files behind', async (scope) => {
    const folder = tempDir(scope, 'damaged');
    for (let round = 0; round < 6; round++) {
      const journal = await openJournal(scope, { folder, lanes: LANES });
      await produce(journal, 0, 1, () => message('a.x', text(1)));
      await journal.stop();
      writeFileSync(file(folder), 'garbage');
    }
    assert.equal(readdirSync(folder).filter((name) => name.includes('damaged')).length, 3);
  });
});

it('a damaged store tells of each number that the saver had set aside once', async (scope) => {
  const folder = tempDir(scope, 'saver');
  const saver = { holdMs: 60_000 };
  const journal = await openJournal(scope, { folder, saver });
  journal.linked = true;
  await produce(journal, 0, 100, (n) => message('a', String(n)), { ahead: 10 });
  const left = tempDir(scope, 'left');
  cpSync(folder, left, { recursive: true });
  settled(left);
  change(file(left), (bytes) => bytes.write('no store', 0));
  const second = await openJournal(scope, { folder: left, saver });
  assert.notEqual(second.epoch, journal.epoch);
  const { lastSequence } = laneOf(second, 0);
  assert(lastSequence > 4_000, 'the numbers go on behind what was set aside');
  await second.stop();
  const rows = storedLedger(left).filter(({ first }) => first !== null);
  const told = rows.reduce((sum, { count }) => sum + count, 0);
  assert.equal(told, lastSequence - 100);
  assert.match(rows[0]?.detail ?? '', /or at the hub alone, or never used/);
});
