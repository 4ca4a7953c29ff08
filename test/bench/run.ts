import type { AuditReport } from '../support/stream-audit.ts';
import type { Ground } from './phases.ts';
import type { Sheet } from './sheet.ts';

/** The box's column. */
export const BOX = 'petiole';

/** One round of the benchmark, as its phases see it. */
export interface Run {
  readonly sheet: Sheet;
  readonly ground: Ground;
  /** Part of the counts; 1 but for a quick run. */
  readonly scale: number;
  readonly isQuick: boolean;
  /** From 0. */
  readonly round: number;
  /** The table of the project's goals: longer under load, and looked into less often. */
  readonly isTable: boolean;
  readonly withBox: boolean;
  readonly withPeers: boolean;
  wanted(phase: string): boolean;
  /** One phase that fails must not cost the figures of the others. */
  attempt(what: string, work: () => Promise<void>): Promise<void>;
  /** Shows what was lost, doubled or disordered; the box's faults fail the run. */
  judge(section: string, name: string, report: AuditReport): void;
}
