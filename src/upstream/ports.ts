import type { GatewayError } from '../core/errors.ts';

/** What the forwarder needs of the leaf link. */
export interface Hub {
  readonly up: boolean;
  /** False while its output is at its bound; the forwarder hears of the end of it by `drained()`. */
  readonly writable: boolean;
  /** Live messages use the link too. */
  readonly isShared: boolean;
  /** 'no-interest': nobody at the hub takes the subject. Headers and payload are copied before it returns. */
  forward(
    subject: string,
    reply: string,
    headers: Buffer,
    payload: Buffer,
    served: readonly string[],
  ): 'sent' | 'no-interest' | 'not-connected' | 'forbidden' | 'too-large' | 'full';
  /** Rejects with not_connected or request_timeout. */
  request(subject: string, payload: string, timeoutMs: number): Promise<{ headers: Buffer; payload: Buffer }>;
  /** A subject or a filter of the box, as the hub knows it: they differ under `upstream.prefix`. */
  nameAtHub(subject: string): string;
  /** The other way round. */
  nameHere(subject: string): string;
  /** Ends the connection, so that a new one is made. */
  cut(reason: GatewayError): void;
}

export interface UpRecord {
  readonly sequence: number;
  readonly subject: string;
  readonly receivedAtMs: number;
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** Records that were committed together. */
export interface Batch {
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  /** Null at the end; throws RangeError where the stored bytes make no sense. */
  next(): UpRecord | null;
  /** Gives the memory back. */
  done(): void;
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

export type LossReason = 'undecodable' | 'oversize';

/** A record that the hub will never take. */
export interface Loss {
  lane: number;
  reason: LossReason;
  count: number;
  first: number;
  last: number;
  detail: string;
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
  /** See NewestRecord; null where it is not known. */
  readonly newest: { readonly record: number; readonly before: number } | null;
}

/** What the forwarder needs of the journal; lanes go by their index. */
export interface Records {
  readonly epoch: string;
  /** Up to `end` the lane has nothing behind `after` but these batches. */
  read(lane: number, after: number): Promise<{ batches: Batch[]; end: number }>;
  /**
   * `isSparse`: some records behind the cursor may be at the hub alone. `formers`: records up to `last` may be there under
   * these epochs. `unkept`: numbers behind the cursor that had been acknowledged, and of which the journal has no record.
   */
  resume(lane: number): {
    cursor: number;
    positions: readonly Position[];
    lastSequence: number;
    isSparse?: boolean;
    formers?: readonly { epoch: string; last: number }[];
    unkept?: readonly (readonly [first: number, last: number])[];
  };
  /** The cursor passes `count` more records. */
  acknowledge(lane: number, cursor: number, count: number): void;
  place(lane: number, position: Position): Promise<void>;
  /**
   * The stream has less than it had acknowledged. The lane goes back as far as it has kept what was acknowledged; `isShort`
   * where that is not far enough. Rejects where the journal can't write.
   */
  rewind(lane: number, rollback: Rollback): Promise<{ isBack: boolean; isShort: boolean }>;
  /**
   * Of the unkept numbers the hub has `stored` and those up to `upTo`; `isAll`: and no others, so that they are declared
   * lost. Rejects where the journal can't write.
   */
  settle(lane: number, stored: ReadonlySet<number>, upTo: number, isAll: boolean): Promise<void>;
  release(lane: number, end: number): void;
  /** Goes to the ledger when the cursor passes it. */
  lose(loss: Loss): void;
  follow(lane: number, tail: { wants(): number; take(batch: Batch, session: number): void; more(): void }): void;
}
