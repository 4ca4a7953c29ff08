import { GatewayError } from '../core/errors.ts';
import { type Bundle, type BundleHead, createBundle, openBundle } from '../store/bundle.ts';
import { type Damage, FOREIGN, type LaneSummary, StoreFile } from '../store/store-file.ts';
import { configOf, folderOf, type JournalOptions, passphraseOf } from './journal-options.ts';
import { Progress } from './progress.ts';
import { snapshotOf } from './running-box.ts';

/** The `petiole journal` commands that work on the file of a box that is stopped. Each gives its exit code. */

export function print(json: boolean, value: unknown, text: () => string): void {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text()}\n`);
}

export function withStore<T>(options: JournalOptions, work: (store: StoreFile) => T): T {
  const store = StoreFile.open(folderOf(options));
  try {
    return work(store);
  } finally {
    store.close();
  }
}

/** The lanes that are asked for; throws where there is no such one. */
function lanesOf(store: StoreFile, lane: string | undefined): LaneSummary[] {
  const lanes = store.lanes();
  if (lane === undefined) return lanes;
  const found = lanes.filter(({ name }) => name === lane);
  if (found.length > 0) return found;
  const hint = `its lanes are ${lanes.map(({ name }) => name).join(', ')}`;
  throw new GatewayError('config_invalid', `the journal has no lane ${lane}`, { hint, retriable: false });
}

export function tableOf(lanes: readonly Omit<LaneSummary, 'positions'>[]): string {
  const rows = [
    ['lane', 'waiting', 'bytes', 'last', 'at the hub', 'evicted', 'expired', 'refused'],
    ...lanes.map(({ name, depth, bytes, lastSequence, cursor, evicted, expired, refused }) =>
      [name, depth, bytes, lastSequence, cursor, evicted, expired, refused].map(String),
    ),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  return rows.map(line).join('\n');
}

/** Of a running box by its status page. */
export async function stats(options: JournalOptions): Promise<number> {
  try {
    return withStore(options, (store) => {
      const lanes = lanesOf(store, options.lane);
      const ledger = store.ledger();
      showStats(options.json, `${store.path}, the box is stopped`, store.epoch, lanes, ledger);
      return 0;
    });
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'store_locked') throw error;
    const { store, lanes, ledger } = await snapshotOf(configOf(options), error);
    const found = lanes.filter(({ name }) => options.lane === undefined || name === options.lane);
    const rows = found.map(({ name, depth, bytes, lastSequence, ackedSequence: cursor, counters }) => {
      const { evicted, expired, refused } = counters;
      return { name, depth, bytes, lastSequence, cursor, evicted, expired, refused };
    });
    showStats(options.json, 'the box is running', store.epoch, rows, ledger);
    return 0;
  }
}

function showStats(
  json: boolean,
  where: string,
  epoch: string,
  lanes: readonly Omit<LaneSummary, 'positions'>[],
  ledger: readonly unknown[],
): void {
  print(json, { epoch, lanes, ledger }, () =>
    [`Journal of epoch ${epoch} (${where})`, tableOf(lanes), `${ledger.length} rows in the ledger`].join('\n'),
  );
}

/** 1 where something is damaged. */
export function verify(options: JournalOptions): number {
  return withStore(options, (store) => {
    const damage: Damage[] = [];
    const lanes = lanesOf(store, options.lane);
    const progress = new Progress(
      'verifying',
      lanes.reduce((sum, { depth }) => sum + depth, 0),
    );
    let records = 0;
    for (const { name } of lanes) {
      for (const _ of store.records(name, 0, (one) => damage.push(one))) {
        records++;
        progress.step();
      }
    }
    progress.end();
    const file = store.integrity().filter((line) => line !== 'ok');
    const sound = damage.length === 0 && file.length === 0;
    print(options.json, { sound, records, damage, file }, () =>
      [
        ...file.map((line) => `The file: ${line}`),
        ...damage.map(({ lane, first, last, what }) => `Lane ${lane}, records ${first} to ${last}: ${what}`),
        sound ? `Sound: ${records} records read and checked` : `Damaged; ${records} records can be read`,
      ].join('\n'),
    );
    return sound ? 0 : 1;
  });
}

export async function exportTo(options: JournalOptions, file: string): Promise<number> {
  const { gateway } = configOf(options);
  const passphrase = options.seal || options.passphraseFile ? await passphraseOf(options) : null;
  return withStore(options, (store) => {
    const lanes = lanesOf(store, options.lane).filter(({ depth }) => depth > 0);
    const head: BundleHead = {
      gateway: gateway.name,
      epoch: store.epoch,
      madeMs: Date.now(),
      lanes: lanes.map(({ name, cursor, lastSequence: last, positions }) => ({ name, cursor, last, positions })),
    };
    const format = options.format === 'sqlite' ? 'sqlite' : 'ndjson';
    const bundle = createBundle(file, head, { format, passphrase });
    const damage: Damage[] = [];
    const total = lanes.reduce((sum, { depth }) => sum + depth, 0);
    const progress = new Progress('exporting', total);
    let records = 0;
    try {
      for (const { name, cursor } of lanes) {
        for (const record of store.records(name, cursor, (one) => damage.push(one))) {
          bundle.write({ lane: name, ...record });
          records++;
          progress.step();
        }
      }
      bundle.end();
    } catch (error) {
      bundle.drop();
      throw error;
    }
    progress.end();
    // Only what is safely in the bundle: what could not be read stays, for the box to declare.
    if (options.move && damage.length === 0)
      for (const { name, lastSequence } of lanes) store.trim(name, lastSequence, null);
    const moved = options.move && damage.length === 0;
    print(options.json, { file, records, lanes: head.lanes, damage, moved }, () =>
      [
        ...damage.map(({ lane, first, last, what }) => `Lane ${lane}, records ${first} to ${last} left out: ${what}`),
        `${records} records of ${lanes.length} lanes in ${file}${moved ? '; the box has let go of them' : ''}`,
      ].join('\n'),
    );
    return damage.length === 0 ? 0 : 1;
  });
}

/** Puts the records of a bundle into a store; gives how many were new. */
export function put(store: StoreFile, { head, records }: Bundle): { lane: string; taken: number }[] {
  return head.lanes.map(({ name, cursor, positions }) => {
    const identity = name.startsWith(FOREIGN) ? name.slice(FOREIGN.length) : `${head.gateway}.${head.epoch}.${name}`;
    if (identity.split('.')[1] === store.epoch) {
      throw new GatewayError('config_invalid', `the records of ${identity} are this box's own`, {
        hint: 'it sends them itself: start it; or import them at another box, or `petiole journal send` them',
        retriable: false,
      });
    }
    const progress = new Progress(`importing ${identity}`, 0);
    function* ofLane() {
      for (const record of records()) {
        if (record.lane !== name) continue;
        progress.step();
        yield record;
      }
    }
    const taken = store.takeIn({ identity, cursor, positions }, ofLane());
    progress.end();
    return { lane: FOREIGN + identity, taken };
  });
}

export async function importFrom(options: JournalOptions, file: string): Promise<number> {
  const bundle = await openBundle(file, () => passphraseOf(options));
  // Read whole before anything is taken of it: a bundle that was cut off is none.
  for (const _ of bundle.records());
  const store = StoreFile.make(folderOf(options));
  try {
    const lanes = put(store, bundle);
    print(options.json, { lanes }, () =>
      [
        ...lanes.map(({ lane, taken }) => `${taken} new records in lane ${lane}`),
        'They go up when the box is started.',
      ].join('\n'),
    );
    return 0;
  } finally {
    store.close();
  }
}

export function trim(options: JournalOptions): number {
  const { lane, through } = options;
  const end = through === undefined ? 0 : through === 'all' ? Number.MAX_SAFE_INTEGER : Number(through);
  if (through !== undefined && (lane === undefined || !(Number.isSafeInteger(end) && end > 0) || !options.yes)) {
    const hint = 'give --lane NAME, --through SEQUENCE (or all), and --yes: what the hub does not have is lost';
    throw new GatewayError('config_invalid', 'records are not thrown away by accident', { hint, retriable: false });
  }
  return withStore(options, (store) => {
    const [found] = lane === undefined ? [] : lanesOf(store, lane);
    const lost = found ? store.trim(found.name, end, 'trimmed by an operator') : 0;
    store.vacuum();
    print(options.json, { lost }, () =>
      lost > 0 ? `${lost} records thrown away; the ledger tells the hub` : 'Free space given back; nothing thrown away',
    );
    return 0;
  });
}
