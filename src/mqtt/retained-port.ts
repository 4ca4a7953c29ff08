import type { GatewayError } from '../core/errors.ts';
import type { Message } from '../core/message.ts';
import type { Receipt } from '../core/router.ts';

/** A message that is sent to whoever subscribes to its subject. */
export interface RetainedMessage {
  readonly subject: string;
  readonly headers: Buffer;
  readonly payload: Buffer;
  readonly qos: number;
  /** Client identifier of its publisher, for No Local. */
  readonly client: string;
  /** Wall clock, milliseconds since 1970; 0 for never. */
  readonly expiresMs: number;
}

/** Walks through retained messages; null for a step that found none. */
export type RetainedWalk = Iterator<RetainedMessage | null>;

/** What the edge needs of the store for retained messages. */
export interface RetainedStore {
  /** Sets, replaces or (empty payload) clears; an error where a bound forbids it. */
  keep(message: Message, qos: number, expiresMs: number): GatewayError | null;
  clear(subject: string): void;
  /** A receipt that also waits until what was kept up to now is on disk. */
  after(receipt: Receipt): Receipt;
  /** By subject filter. */
  matching(filter: string): RetainedWalk;
  status(): RetainedStatus;
}

export interface RetainedStatus {
  count: number;
  countMax: number;
  bytes: number;
  bytesMax: number;
  /** On the disk and beyond the limits: not delivered. */
  left: number;
}
