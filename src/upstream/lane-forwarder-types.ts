import type { Stamp } from '../core/clock.ts';
import type { Drain } from './drain.ts';
import type { DrainHold } from './drain-hold.ts';
import type { Hub, Records } from './ports.ts';
import type { Inbox } from './read-back.ts';

export type LaneState = 'waiting-for-link' | 'reconciling' | 'sending' | 'idle' | 'blocked' | 'paused';

/** How the lane is kept exact, by what its stream allows. */
export type Procedure = 'own-stream' | 'atomic-batch' | 'read-back';

export interface LaneForwarderOptions {
  readonly index: number;
  readonly name: string;
  readonly gateway: string;
  readonly priority: number;
  /** The part of a live-first lane that waited for the link: it goes behind the lane itself. */
  readonly isLate?: boolean;
  readonly subjects: readonly string[];
  readonly stream: { readonly name: string; readonly own: boolean } | null;
  /** A record that is older when it is sent says so in its headers. */
  readonly historicalAfterMs: number;
  /** Records in flight at the most. */
  readonly window: number;
  readonly ackTimeoutMs: number;
}

export interface LaneForwarderParts {
  readonly hub: Hub;
  readonly records: Records;
  readonly inbox: Inbox;
  readonly drain: Drain;
  readonly hold: DrainHold;
  /** Queue groups on a subject that have a member on the box. */
  served(subject: string): readonly string[];
  /** When a record came in; null where its own stamp is right. */
  stamp?(lane: string, sequence: number, receivedAtMs: number): Stamp | null;
  /** Reply subject of publishes: lane, pass and slot follow. */
  readonly ackPrefix: string;
}
