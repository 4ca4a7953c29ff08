import type { LedgerRow, Loss } from './losses.ts';
import type { SessionChanges } from './session-changes.ts';
import type { Page, SessionLoad } from './session-table.ts';

/** What passes between the main thread and the writer thread. Buffers are transferred, never copied. */

/** How one lane is bounded; from the configuration. */
export interface LaneSettings {
  readonly name: string;
  readonly bytesMax: number;
  /** 0: records do not expire. */
  readonly ageMaxMs: number;
  readonly full: 'refuse' | 'drop-oldest';
  /** 1 is the most important; default 5. Where the disk is full for all, the least important lane makes room first. */
  readonly priority?: number;
  /** Deflates batches where that pays. Release 0.1.0 can't read them. */
  readonly compress?: boolean;
}

/** Bounds of the retained messages, in memory and so on the disk. */
export interface RetainedLimits {
  readonly countMax: number;
  readonly bytesMax: number;
}

export interface WriterSettings {
  /** Folder of the store; made where it is missing. */
  readonly folder: string;
  readonly gateway: string;
  readonly lanes: readonly LaneSettings[];
  /** Index of the lane that carries the ledger's own messages, and their subject. */
  readonly ledgerLane: number;
  readonly ledgerSubject: string;
  /** Free space that the file system must keep; below it lanes do not grow. */
  readonly reserveBytes: number;
  readonly keep: KeepSettings;
  /** Null: those on the disk stay there unread. */
  readonly retained?: RetainedLimits | null;
  /** Bounds of the persistent sessions together; null: those on the disk stay there unread. */
  readonly sessions?: { readonly bytesMax: number } | null;
}

export interface CommitBatch {
  lane: number;
  count: number;
  /** Bytes used of `buffer`. */
  length: number;
  newestMs: number;
  /**
   * Session of the reader that takes the records from memory once they are committed, so that they may be in flight from
   * then on; 0 for none.
   */
  reader: number;
  buffer: Buffer;
  /** Numbers up to here are given, on disk or not: the batch is numbered behind them. */
  after?: number;
  /** Its records got the numbers behind `after` before, and may be at the hub under them. */
  isNumbered?: boolean;
}

/** Numbers of a lane that may be given before anything of them is on disk: a start after a crash goes on behind them. */
export interface Reservation {
  readonly lane: number;
  /** Up to here they are used, or on disk. */
  readonly given: number;
  readonly to: number;
}

/** How far the hub has acknowledged a lane, and where in which stream that was. */
export interface Watermark {
  lane: number;
  /** Every record up to here is at the hub or in the ledger. */
  cursor: number;
  positions: Position[];
  /** Records behind the cursor may be at the hub alone: the saver was at work when the box stopped without warning. */
  isSparse?: boolean;
  /** At the opening: under which other epochs the hub may have records of the lane, and up to which. */
  formers?: readonly Former[];
  /** At the opening and after a rewind: numbers of which only the hub may have the record (see unkept.ts). */
  unkept?: readonly Numbers[];
  /** What the cursor passes without its being at the hub. In the same commit, so that it is declared once. */
  losses: Loss[];
}

/** No record of the lane behind its cursor lies in the stream at or before `sequence`. */
export interface Position {
  stream: string;
  /** The stream's creation time as the hub words it: tells a stream that was made anew. */
  created: string;
  sequence: number;
  /** All that the cursor has passed lies at or before it; without it `sequence` is that, too. */
  reach?: number;
}

/** For how long, and how much of a lane, what the hub has acknowledged is kept. */
export interface KeepSettings {
  /** 0: it is not kept. */
  readonly ms: number;
  readonly bytesMax: number;
}

/** Records up to `last` may be at the hub under this epoch: the store was salvaged since. */
export interface Former {
  readonly epoch: string;
  readonly last: number;
}

/** A stream has less than it had acknowledged. */
export interface Rollback {
  readonly stream: string;
  /** As the stream is now. */
  readonly created: string;
  /** Up to here it still has what it acknowledged; 0 where that is not known. */
  readonly has: number;
  readonly lastSequence: number;
  /** The stream is the lane's own: each of its messages is the lane's next record. */
  readonly isOwn: boolean;
  /** The newest record of the lane that it still has, and nothing of the lane behind that lies up to `before`; null: not known. */
  readonly newest: { readonly record: number; readonly before: number } | null;
}

/** Numbers behind the cursor that were acknowledged and that the store has no record of (see unkept.ts). */
export type Numbers = readonly [first: number, last: number];

/** A number of a source whose messages in this lane are journaled; see taken.ts. */
export interface TakenNumber {
  readonly source: string;
  readonly number: number;
  readonly lane: string;
}

/** The same while its messages are in a batch of a commit. */
export interface TakenNote extends TakenNumber {
  readonly batch: number;
}

/** What a commit does to the numbers, applied in this order. */
export interface TakenChanges {
  readonly dropped: readonly string[];
  readonly forgotten: readonly { readonly source: string; readonly through: number }[];
  readonly noted: readonly TakenNote[];
}

export type Request =
  /** `epoch`: to which the watermarks belong. `retained`: packed changes (see retained-rows.ts). */
  | {
      kind: 'commit';
      epoch: string;
      batches: CommitBatch[];
      watermarks: Watermark[];
      retained: Uint8Array | null;
      sessions: SessionChanges | null;
      taken: TakenChanges | null;
      reserved: readonly Reservation[];
      /** So many of the batches were held by the saver; what sessions and sources took counts from behind them. */
      held: number;
    }
  /** Blobs behind `after`, as many as fit in `bytesMax` and in the doubt window (see lanes.ts). */
  | { kind: 'read'; id: number; lane: number; after: number; bytesMax: number }
  /** The same for somebody who only looks: nothing is taken for sent by it. */
  | { kind: 'look'; id: number; lane: number; after: number; bytesMax: number }
  /** Deliveries of a session behind `after`. */
  | { kind: 'session'; id: number; session: number; after: number }
  /** The forwarder has forgotten what it read and had not sent; what it may have sent ends at `end`. */
  | { kind: 'release'; lane: number; end: number }
  /** A small value that outlives the process, such as how far a consumer has come. Alone in its transaction. */
  | { kind: 'mark'; id: number; name: string; value: string }
  /** Messages that never came, for the ledger; with a number once, with its note. Alone in its transaction. */
  | { kind: 'lost'; id: number; where: string; count: number; detail: string; source: string; number: number | null }
  /** Points of the plots; of each span only the newest `pointsMax` stay. */
  | { kind: 'keep-history'; points: readonly HistoryPoint[]; pointsMax: readonly number[] }
  | { kind: 'history'; id: number; span: number }
  /** Takes the cursor back to before what the hub has lost; see grace.ts. */
  | { kind: 'rewind'; id: number; lane: number; cursor: number; rollback: Rollback }
  /** What the hub lacks of the lane's unkept numbers; `isAll`: of all of them that is known, and these are lost. */
  | { kind: 'settle'; id: number; lane: number; lacking: readonly Numbers[]; isAll: boolean }
  /** Whether the wall clock is right: nothing expires while it is not. */
  | { kind: 'clock'; isTrusted: boolean }
  | { kind: 'declare' }
  | { kind: 'state' }
  /** `given`: by lane, the last number given; [] where the writer gave them all. */
  | { kind: 'stop'; epoch: string; watermarks: Watermark[]; given: readonly number[] };

export interface StoreFailure {
  code: 'lane_full' | 'disk_full' | 'store_failed' | 'store_locked';
  message: string;
  hint: string;
}

/** `first` is the sequence of the first record, 0 where the batch was not kept. */
export interface BatchResult {
  first: number;
  failure: StoreFailure | null;
  /** The batch is in the doubt window, so its reader may have it; otherwise it is read from disk in its turn. */
  handed: boolean;
}

export interface LaneState {
  name: string;
  /** Records that the persisted cursor has not passed. */
  depth: number;
  bytes: number;
  /** Acknowledged and still kept, beside `bytes`. */
  keptBytes: number;
  lastSequence: number;
  persistedCursor: number;
  /** Arrival time of the newest record in the oldest batch; null when empty. */
  oldestMs: number | null;
  evicted: number;
  expired: number;
  refused: number;
}

export interface StoreState {
  fileBytes: number;
  freeBytes: number;
  /** Free space is below the reserve: lanes do not grow. */
  reserveReached: boolean;
  failure: StoreFailure | null;
  /** Newest first, bounded. */
  ledger: LedgerRow[];
  /** Losses that no journaled ledger message tells of yet. */
  undeclared: number;
}

export interface ReadBlob {
  first: number;
  count: number;
  bytes: Buffer;
}

/** `data` is of whoever keeps it; `span` counts from 0. */
export interface HistoryPoint {
  readonly span: number;
  readonly atMs: number;
  readonly data: string;
}

export type Reply =
  /** Retained messages of the store, in pieces, all before `ready`. */
  | { kind: 'retained'; chunk: Uint8Array }
  /** Persistent sessions, likewise. */
  | { kind: 'sessions'; sessions: SessionLoad[] }
  /** The store is open; again after it had to be closed at runtime, and then perhaps with another epoch. */
  | {
      kind: 'ready';
      epoch: string;
      /** Configured lanes first, then lanes that only the store still knows and that have records to send. */
      lanes: LaneState[];
      watermarks: Watermark[];
      store: StoreState;
      marks: [name: string, value: string][];
      taken: TakenNumber[];
      /** Retained messages that are beyond the limits and stay on the disk. */
      retainedLeft: number;
      /** The main thread had them from an earlier opening: its own count, and are written into this store. */
      retainedKnown: boolean;
      /** What was wrong with the store that was found, '' when nothing. */
      note: string;
    }
  /** Somebody must mend something: the box does not start. */
  | { kind: 'failed'; failure: StoreFailure }
  /** The disk gives no store; it is tried again, and `ready` comes when there is one. */
  | { kind: 'unavailable'; lanes: LaneState[]; store: StoreState; failure: StoreFailure }
  | {
      kind: 'committed';
      results: BatchResult[];
      batches: CommitBatch[];
      lanes: LaneState[];
      commitMs: number;
      /** Nothing of this commit was kept, watermarks neither. */
      failure: StoreFailure | null;
    }
  | { kind: 'marked'; id: number; failure: StoreFailure | null }
  | ({ kind: 'deliveries'; id: number } & Page)
  /** Up to `end` the lane has nothing but these blobs. */
  | { kind: 'blobs'; id: number; blobs: ReadBlob[]; end: number }
  /** Oldest first; none where the store failed. */
  | { kind: 'points'; id: number; points: HistoryPoint[] }
  | { kind: 'state'; lanes: LaneState[]; store: StoreState }
  /**
   * Where the lane stands now; null: it is there already, or the store failed. `isShort`: the stream lost more than the
   * lane can go back over.
   */
  | { kind: 'rewound'; id: number; watermark: Watermark | null; isShort: boolean; failure: StoreFailure | null };
