import { Ranges as Accounted } from '../../src/core/ranges.ts';
import { WATERMARK } from '../../src/upstream/watermark.ts';
import { readStream } from '../support/hub-stream.ts';
import type { Ranges } from '../support/ranges.ts';
import { type AuditReport, StreamAudit } from '../support/stream-audit.ts';
import { LEDGER_STREAM, type Rig, STREAM } from './rig.ts';

export interface Verdict {
  published: number;
  acked: number;
  resent: number;
  audit: AuditReport;
  /** Sequences of records that are not in the stream, whether anybody had a PUBACK for them or not, nor declared unassigned. */
  missing: number;
  /** Stores that numbered the records: a second one would mean that the first was lost. */
  epochs: number;
  /** Ledger messages of losses: this rig gives no reason to lose anything. */
  declared: number;
  /** What the senders objected to. */
  errors: string[];
  /** Fault by fault; empty where the promise was kept. */
  faults: string[];
}

/** Drains the box, reads the whole stream, and compares it with what the senders were told. */
export async function judge(rig: Rig): Promise<Verdict> {
  await rig.untilDrained();
  const acked: Record<string, Ranges> = Object.assign({}, ...rig.loads.map(({ ackedRanges }) => ackedRanges));
  const sum = (of: 'sent' | 'acked' | 'resent') => rig.loads.reduce((total, load) => total + load[of], 0);
  const stream = new StreamAudit();
  const accounted = new Accounted();
  await readStream(rig.reader, STREAM, ({ payload, id, header }) => {
    if (header(WATERMARK).length > 0) return;
    stream.add(payload, id);
    const sequence = Number(id.slice(id.lastIndexOf('.') + 1));
    if (Number.isSafeInteger(sequence)) accounted.add(sequence);
  });
  let declared = 0;
  await readStream(rig.reader, LEDGER_STREAM, ({ payload }) => {
    const row = JSON.parse(Buffer.from(payload).toString()) as { reason: string; first: number; last: number };
    if (row.reason === 'unassigned') accounted.add(row.first, row.last);
    else declared++;
  });
  const audit = stream.report(acked);
  const lanes = Object.values(audit.lanes);
  const verdict: Verdict = {
    published: sum('sent'),
    acked: sum('acked'),
    resent: sum('resent'),
    audit,
    missing: accounted
      .missing(1, Math.max(0, ...lanes.map(({ lastSequence }) => lastSequence)))
      .reduce((total, [first, last]) => total + last - first + 1, 0),
    epochs: lanes.length,
    declared,
    errors: rig.loads.flatMap(({ errors }) => errors),
    faults: [],
  };
  verdict.faults.push(...faultsOf(verdict));
  return verdict;
}

function faultsOf({ audit, missing, epochs, declared, errors }: Verdict): string[] {
  const counts: [what: string, count: number, samples?: string[]][] = [
    ['lost', audit.lost, audit.lostSamples],
    ['duplicated', audit.duplicated, audit.duplicatedSamples],
    ['out of lane order', audit.outOfOrder, audit.outOfOrderSamples],
    ['without an id', audit.withoutId],
    ['of nobody', audit.foreign],
    ['missing sequences', missing],
    ['declared lost', declared],
    ['more stores than one', Math.max(0, epochs - 1)],
    ['wrong answers to the senders', errors.length, errors],
  ];
  return counts
    .filter(([, count]) => count > 0)
    .map(([what, count, samples = []]) => `${count} ${what}${samples.length > 0 ? `: ${samples.join(', ')}` : ''}`);
}

/** The counts as lines. */
export function tableOf({ published, acked, resent, audit, missing, declared }: Verdict): string {
  const rows: [what: string, count: number][] = [
    ['published', published],
    ['PUBACKed', acked],
    ['sent again by the senders', resent],
    ['in the stream', audit.messages],
    ['journaled twice, as QoS 1 lets it be', audit.repeated],
    ['in the stream without a PUBACK', audit.unacked],
    ['lost', audit.lost],
    ['duplicated by record id', audit.duplicated],
    ['out of lane order', audit.outOfOrder],
    ['without an id', audit.withoutId],
    ['missing sequences', missing],
    ['declared lost', declared],
  ];
  return rows.map(([what, count]) => `${what.padEnd(38)}${count.toLocaleString('en-US').padStart(10)}`).join('\n');
}
