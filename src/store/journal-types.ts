import type { LaneRule } from './lane-match.ts';
import type { Mended } from './mended.ts';
import type { LaneSettings, LaneState, StoreFailure, StoreState, WriterSettings } from './protocol.ts';
import type { SaverSettings, SaverStatus } from './saver.ts';

/** `late`: index of the lane that keeps what can't go up at once; see late-parts.ts. */
export type JournalLane = LaneSettings & LaneRule & { readonly late?: number };

export interface JournalOptions extends Omit<WriterSettings, 'lanes'> {
  readonly lanes: readonly JournalLane[];
  /** Absent or null: every receipt waits for the disk. */
  readonly saver?: SaverSettings | null;
}

export interface JournalStatus {
  epoch: string;
  commits: number;
  commitP50Ms: number;
  commitP99Ms: number;
  queuedMessages: number;
  /** Null where every receipt waits for the disk. */
  saver: SaverStatus | null;
  store: StoreState | null;
  failure: StoreFailure | null;
  /** Null where the store was never damaged. */
  mended: Mended | null;
  lanes: (LaneState & { cursor: number })[];
}
