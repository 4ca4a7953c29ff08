import type { Ranges } from '../support/ranges.ts';
import type { Scope } from '../support/scope.ts';
import type { AuditReport } from '../support/stream-audit.ts';

/** A system under load: the box, or somebody to compare it with. */
export interface Contender {
  name: string;
  /** What its PUBACK promises. */
  receipt: string;
  /** Part of the messages that it gets, so that one that syncs for each message does not take minutes. */
  share: number;
  /** Compared only where there are so many; absent: everywhere. */
  connections?: number;
  /** Starts it with an empty store below `dir`. */
  start(scope: Scope, dir: string): Promise<Contestant>;
}

/** One running contender. */
export interface Contestant {
  mqttPort: number;
  pid: number;
  /** Empties what it kept for its subscriber or for the hub, and judges it. */
  collect(acked: Record<string, Ranges>): Promise<Collection>;
}

export interface Collection {
  report: AuditReport;
  /** Messages per second while it was emptied. */
  rate: number;
}
