import { RAW_LEAF } from './raw-leaf.ts';
import { BOX } from './run.ts';
import type { RowOptions, Sheet } from './sheet.ts';

/** A figure of the box as a part of a peer's, of the same run, and what it must reach. */
interface Ratio {
  /** What the section's name begins with, up to its colon. */
  readonly phase: string;
  readonly label: string;
  readonly peer: string;
  readonly goal?: RowOptions;
}

const rate = 'messages/s';
const cpu = 'CPU s per 100,000';
const edgeCpu = 'CPU s of the edge per 100,000';

const ratios: readonly Ratio[] = [
  { phase: 'ingest-1', label: rate, peer: 'mosquitto', goal: { atLeast: 1 } },
  { phase: 'ingest-50', label: rate, peer: 'mosquitto', goal: { atLeast: 1 } },
  { phase: 'ingest-500', label: rate, peer: 'mosquitto', goal: { atLeast: 1 } },
  { phase: 'ingest-50', label: rate, peer: 'nats sync always', goal: { atLeast: 40 } },
  { phase: 'ingest-50', label: rate, peer: 'nats-server' },
  { phase: 'ingest-50', label: rate, peer: 'aedes', goal: { atLeast: 1.2 } },
  { phase: 'ingest-50', label: cpu, peer: 'nats-server', goal: { atMost: 0.4 } },
  { phase: 'ingest-50', label: cpu, peer: 'mosquitto' },
  { phase: 'ingest-50', label: cpu, peer: 'mosquitto sqlite', goal: { atMost: 1 } },
  { phase: 'edge-full', label: 'messages/s into the stream', peer: 'nats leaf', goal: { atLeast: 1.5 } },
  { phase: 'edge-500', label: 'p99, ms', peer: 'nats leaf', goal: { atMost: 1.2 } },
  { phase: 'edge-5000', label: edgeCpu, peer: 'nats leaf', goal: { atMost: 0.8 } },
  { phase: 'drain (read-back)', label: rate, peer: RAW_LEAF, goal: { atLeast: 0.7 } },
  { phase: 'drain (own)', label: rate, peer: RAW_LEAF, goal: { atLeast: 0.7 } },
  { phase: 'drain (atomic)', label: rate, peer: RAW_LEAF, goal: { atLeast: 0.7 } },
  { phase: 'fan-out-0', label: 'deliveries/s', peer: 'mosquitto', goal: { atLeast: 0.5 } },
  { phase: 'fan-out-0', label: 'deliveries/s', peer: 'aedes', goal: { atLeast: 1 } },
  { phase: 'fan-out-1', label: 'deliveries/s', peer: 'mosquitto', goal: { atLeast: 0.5 } },
  { phase: 'fan-out-1', label: 'deliveries/s', peer: 'aedes', goal: { atLeast: 1 } },
];

/** Of what this round has measured, at its end; a peer that did not get through the load has no row to compare with. */
export function setRatios(sheet: Sheet, saver: string): void {
  const asked: readonly (Ratio & { readonly of?: string })[] = [
    ...ratios,
    // The one or the other, as mosquitto 2.1 can be had.
    { phase: 'edge-5000', label: edgeCpu, peer: 'bridge sqlite', of: saver, goal: { atMost: 1 } },
    { phase: 'edge-5000', label: edgeCpu, peer: 'mosquitto bridge', of: saver, goal: { atMost: 1 } },
  ];
  for (const { phase, label, peer, goal = {}, of = BOX } of asked) {
    const section = sheet.sectionOf(phase);
    const [own, other] = [sheet.get(section, label, of), sheet.get(section, label, peer)];
    if (own === undefined || other === undefined || other === 0) continue;
    const what = of === BOX ? label : `${label}, ${of}`;
    sheet.set(section, `ratio to ${peer}: ${what}`, BOX, own / other, { digits: 2, ...goal });
  }
}
