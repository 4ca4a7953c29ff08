import type { Message } from '../../core/message.ts';
import type { LineSettings, PortIdentity } from '../options.ts';
import type { RelayBoard } from './firmware/relay.ts';

/** A port with a board, as the configuration hands it in; times in milliseconds. */
export interface BridgePortOptions {
  readonly name: string;
  readonly identity: PortIdentity;
  readonly line: LineSettings;
  readonly silenceMs: number;
  readonly recorderBytes: number;
  /** Subject of the board: entities and its own relative subjects are below it. */
  readonly prefix: string;
  /** Filters of what it may publish, and subscribe to, beside what is below `prefix`. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** How long the board may take for a command, or a request that names no time. */
  readonly timeoutMs: number;
}

/** What the bridge needs of the store. */
export interface BridgeStore {
  readonly taken: {
    readonly sources: readonly string[];
    /** Numbers up to this one do not come again. */
    forget(source: string, through: number): void;
    drop(source: string): void;
  };
  /**
   * Publishes, within `publish`, what a source sent under a number: in each lane all of it is kept or nothing, with the note
   * that it is there. False where the disk is too far behind: nothing was published.
   */
  take(source: string, number: number, count: number, bytes: number, publish: () => void): boolean;
  /** Whether the lane of this message has what came under the number. */
  hasTaken(source: string, number: number, message: Message): boolean;
  /** Enters what will never come into the loss ledger, once for each number; `number` null: it has none. */
  lost(where: string, count: number, detail: string, source: string, number: number | null): Promise<void>;
  /** A small value of an earlier run; null for none. */
  mark(name: string): string | null;
  setMark(name: string, value: string): Promise<void>;
}

/** What a board's port needs beside what every port does. */
export interface BridgeContext {
  readonly gateway: string;
  readonly store: BridgeStore;
  /** Whether the wall clock is right. */
  readonly isClockTrusted: () => boolean;
  /** Who sends images to boards. */
  readonly firmware: { up(port: string, board: RelayBoard): void; down(port: string): void };
  /** Sources that a port holds now: another board of the same identity must not drop them. */
  readonly activeSources: Set<string>;
}

/** What the status shows of a board. Times ending in `Ms` are wall clock unless they name a span. */
export interface BoardStatus {
  /** It has said something within its keep-alive time, or said that it would sleep. */
  readonly isThere: boolean;
  readonly sleepsUntilMs: number | null;
  readonly identity: string;
  readonly hardware: string;
  readonly firmware: string;
  readonly version: string;
  /** SHA-256 of its image; '' where it does not know. */
  readonly hash: string;
  readonly isOnTrial: boolean;
  readonly check: 'crc32c' | 'crc16';
  readonly frameBytesMax: number;
  readonly window: number;
  readonly resetReason: string;
  readonly bootCount: number;
  /** Resets seen since the box started. */
  readonly resets: number;
  readonly uptimeMs: number;
  /** What the board had to throw away since its reset. */
  readonly lost: number;
  readonly subscriptions: readonly string[];
  readonly entities: readonly EntityStatus[];
  readonly counters: Readonly<Record<BoardCounter, number>>;
}

export interface EntityStatus {
  readonly name: string;
  readonly unit: string;
  readonly type: string;
  readonly isWritable: boolean;
  /** As on its subject; null before the first. */
  readonly value: unknown;
  readonly atMs: number | null;
}

/**
 * gaps: numbered frames that did not come when they were expected. duplicates: that came again. lostFrames: others that
 * the sequence misses. beyondWindow, strayChannel, unknownTypes, unknownFlags, malformed: frames that were not used.
 * refused: for good. busy: to come again. handshakes, values, published, requests, replies: what was served. dropped:
 * messages for the board for which it had no time or its frame no room. lateReplies: nobody waited any more.
 */
export const boardCounters = [
  'handshakes',
  'values',
  'published',
  'requests',
  'replies',
  'gaps',
  'duplicates',
  'lostFrames',
  'beyondWindow',
  'strayChannel',
  'unknownTypes',
  'unknownFlags',
  'malformed',
  'refused',
  'busy',
  'dropped',
  'lateReplies',
] as const;
export type BoardCounter = (typeof boardCounters)[number];
export type BoardCounters = Record<BoardCounter, number>;
