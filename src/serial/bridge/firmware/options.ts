import type { Manifest } from './image.ts';

/** `firmware:` of the configuration; null for what was not written. */
export interface FirmwareOptions {
  /** Ed25519 public keys as base64url of 32 bytes: an image must be signed by one of them. */
  readonly keys: readonly string[];
  /** Bucket of the hub's object store. */
  readonly bucket: string | null;
  readonly isApprovedAtOnce: boolean;
  /** Cron expressions of the minutes in which images are sent; none: always. */
  readonly windows: readonly string[];
  readonly allowsOlder: boolean;
  readonly imageBytesMax: number;
  readonly cacheBytesMax: number;
  /** From the start of the trial to the HELLO with the new hash. */
  readonly confirmTimeoutMs: number;
}

/**
 * How far an image is on its way to a board:
 *
 *   offered ─▶ approved ─▶ waiting ⇄ transferring ─▶ verifying ─▶ trial ─▶ confirmed
 *      │           │          │           │              │          └────▶ reverted    the board went back to what it had
 *      └───────────┴──────────┴───────────┴──────────────┴───────────────▶ failed, cancelled
 *
 * waiting: for its window, or for the board to be there. A fall of the box or of the board leads back from transferring
 * and verifying to waiting, and the transfer goes on where the board has stored it to.
 */
export const transferStates = [
  'offered',
  'approved',
  'waiting',
  'transferring',
  'verifying',
  'trial',
  'confirmed',
  'reverted',
  'failed',
  'cancelled',
] as const;
export type TransferState = (typeof transferStates)[number];

/** Those in which something may still happen. */
export const openStates: ReadonlySet<TransferState> = new Set<TransferState>([
  'offered',
  'approved',
  'waiting',
  'transferring',
  'verifying',
  'trial',
]);

/** An image on its way to the board of one port. Plain data: this is also what the store keeps. */
export interface Transfer {
  readonly state: TransferState;
  /** Hash of the image. */
  readonly sha256: string;
  readonly target: string;
  readonly version: string;
  /** Bytes of the image, and how many of them the board has stored. */
  readonly size: number;
  readonly offset: number;
  /** What the board ran when it was offered. */
  readonly versionBefore: string;
  readonly hashBefore: string;
  /** Why it failed, was taken back or waits. */
  readonly reason: string;
  /** Wall clock of the last change of state. */
  readonly sinceMs: number;
  /** Who offered and who approved or cancelled it. */
  readonly offeredBy: string;
  readonly approvedBy: string;
}

export interface FirmwareStatus {
  /** Images in the cache. */
  readonly images: readonly Manifest[];
  /** The last transfer of each port, in the order of the configuration. */
  readonly transfers: readonly (Transfer & { readonly port: string })[];
  /** Why the hub's bucket could not be read; '' where it could. */
  readonly bucketError: string;
}
