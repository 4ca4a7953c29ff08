import type { Headroom } from '../core/headroom.ts';
import type { Drain, Sender } from './drain.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Hub, LossReason, Records } from './ports.ts';
import type { RecordSource } from './record-source.ts';
import type { Routes } from './routes.ts';
import type { UploadHeaders } from './upload-headers.ts';

/** Payload bytes in flight at the most: what a slow link takes minutes for need not be sent again. */
export const IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Records without their PubAck, by how long that takes: what a stream has to work off keeps a hub on a small machine from
 * live messages. Fewer than the least would not be answered sooner, and cost speed where the machine is busy.
 */
export const UNANSWERED = { first: 64, min: 64, apart: 16, slackMs: 2, aloneSlackMs: 50 } as const;

/** What stays the same from pass to pass of a lane. */
export interface PassLane {
  readonly index: number;
  readonly own: boolean;
  readonly isForeign: boolean;
  readonly window: number;
  /** How many of the window may be unanswered, so that the hub is not kept from all else. */
  readonly unanswered: Headroom;
  readonly ackTimeoutMs: number;
  readonly hub: Hub;
  readonly records: Records;
  readonly jetStream: JetStream;
  readonly proofs: Map<string, number>;
  /** Stream → how far it is known to have been in this run, whoever wrote there. */
  readonly ends: Map<string, number>;
  readonly routes: Routes;
  readonly source: RecordSource;
  readonly headers: UploadHeaders;
  /** Whose turn it is, and how fast the link may be used. */
  readonly drain: Drain;
  /** As what the lane joined it. */
  readonly sender: Sender;
  served(subject: string): readonly string[];
  /** The hub has so many more records. */
  acknowledged(count: number, duplicate: boolean): void;
  idle(): void;
  /** This hub does not let the lane commit batches: for some time it goes on without them. */
  batchesRefused(why: string, hint: string): void;
  /** Records that the hub will never take. */
  lose(first: number, last: number, reason: LossReason, detail: string): void;
}

/** What the reconciliation says about the records behind the cursor. */
export interface Known {
  /** These are at the hub. */
  readonly stored: Set<number>;
  /** So is everything up to here, by the lane's watermark; 0 where there is none. */
  readonly upTo: number;
  /** So are the next so many records. */
  readonly skip: number;
  /** Streams in which nothing of the lane is, besides these. */
  readonly streams: readonly StreamInfo[];
}
