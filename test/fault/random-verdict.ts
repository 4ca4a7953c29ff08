import { WATERMARK } from '../../src/upstream/watermark.ts';
import { readStream } from '../support/hub-stream.ts';
import { countRanges, type Ranges } from '../support/ranges.ts';
import { type AuditReport, StreamAudit } from '../support/stream-audit.ts';
import { LEDGER_STREAM, type Rig, STREAM } from './rig.ts';

/**
 * The model of what must be at the hub at the end of an episode:
 *
 *   every message whose sender had a PUBACK, or a row of the ledger that owns up to its loss;
 *   every record once, in the order of its lane;
 *   every number that the box gave out, under the identity of one of its stores, or a row of the ledger that names it. After
 *   a damaged file the next store goes on behind what the hub has: below that, the numbers are there by the old identity.
 *
 * Only a damaged file may lose anything: the other faults give no reason to. With the flash saver, numbers that a crash left
 * unused are named as `unassigned`; a full disk may refuse what was given a number; and a hub that is put back while the box
 * loses what it keeps in memory may have had what nobody else had. That is named as `forgotten`, but for what a killed box
 * had a receipt for after its last word to the disk: whether it had, nobody can know, so its numbers are `unassigned`.
 */
export interface RandomVerdict {
  acked: number;
  audit: AuditReport;
  /** Records that the ledger declares lost: not those numbers that nobody had a receipt for. */
  declared: number;
  epochs: number;
  faults: string[];
  /** What the ledger says, row by row. */
  told: string[];
}

interface Row {
  epoch: string;
  lane: string;
  reason: string;
  count: number;
  first: number | null;
  last: number | null;
  detail: string;
}

/** What the episode gave reason to. */
export interface Excuses {
  wasDamaged: boolean;
  /** Messages with a number may have been refused. */
  hasRefused: boolean;
  /** The hub may have lost what it alone had. */
  isForgotten: boolean;
}

export async function judgeRandom(rig: Rig, { wasDamaged, hasRefused, isForgotten }: Excuses): Promise<RandomVerdict> {
  await rig.untilDrained();
  const acked: Record<string, Ranges> = Object.assign({}, ...rig.loads.map(({ ackedRanges }) => ackedRanges));
  const stream = new StreamAudit();
  const numbers = new Set<number>();
  await readStream(rig.reader, STREAM, ({ payload, id, header }) => {
    if (header(WATERMARK).length > 0) return;
    stream.add(payload, id);
    numbers.add(Number(id.slice(id.lastIndexOf('.') + 1)));
  });
  const rows = new Map<string, Row>();
  await readStream(rig.reader, LEDGER_STREAM, ({ payload }) => {
    const row = JSON.parse(Buffer.from(payload).toString()) as Row;
    rows.set(`${row.epoch}.${row.lane}.${row.reason}.${row.first}.${row.last}`, row);
  });
  const audit = stream.report(acked);
  const sumOf = (is: (reason: string) => boolean) =>
    [...rows.values()].filter(({ reason }) => is(reason)).reduce((sum, { count }) => sum + count, 0);
  const declared = sumOf((reason) => reason !== 'unassigned' && !(hasRefused && reason === 'refused'));
  const forgotten = sumOf((reason) => reason === 'forgotten');
  const named = sumOf((reason) => reason !== 'unassigned' || isForgotten);
  const faults: string[] = [];
  const must = (isSo: boolean, text: string) => {
    if (!isSo) faults.push(text);
  };
  must(audit.lost <= named, `${audit.lost} acknowledged messages lost, ${named} declared: ${audit.lostSamples}`);
  must(audit.duplicated === 0, `${audit.duplicated} records twice: ${audit.duplicatedSamples}`);
  must(audit.outOfOrder === 0, `${audit.outOfOrder} records out of order: ${audit.outOfOrderSamples}`);
  must(audit.foreign === 0 && audit.withoutId === 0, `${audit.foreign} of nobody, ${audit.withoutId} without an id`);
  const lanes = Object.entries(audit.lanes);
  const reasonless = declared - (isForgotten ? forgotten : 0);
  must(wasDamaged || reasonless === 0, `${reasonless} records declared lost, and no file was damaged`);
  must(wasDamaged || lanes.length <= 1, `${lanes.length} stores, and no file was damaged`);
  const [, { lastSequence = 0 } = {}] = lanes.at(-1) ?? [];
  let unnamed = 0;
  for (const { first, last, count } of rows.values()) {
    if (first === null || last === null) unnamed += count;
    else for (let n = first; n <= last; n++) numbers.add(n);
  }
  const missing = Array.from({ length: lastSequence }, (_, i) => i + 1).filter((n) => !numbers.has(n));
  must(
    missing.length <= unnamed,
    `${missing.length} numbers missing, ${unnamed} declared without one: ${missing.slice(0, 3)}`,
  );
  const errors = rig.loads.flatMap((load) => load.errors);
  must(errors.length === 0, `wrong answers to the senders: ${errors.slice(0, 3)}`);
  const sum = Object.values(acked).reduce((total, ranges) => total + countRanges(ranges), 0);
  const told = [...rows.values()].map(({ epoch, lane, reason, count, first, last, detail }) => {
    return `${epoch} ${lane} ${reason} ${count}: ${first}-${last} ${detail}`;
  });
  return { acked: sum, audit, declared, epochs: lanes.length, faults, told };
}
