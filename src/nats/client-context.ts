import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Router } from '../core/router.ts';
import type { BlockPool } from './client-encoder.ts';
import type { ClientCounters } from './client-fault.ts';
import type { Tally } from './client-output.ts';
import type { DuplicateWindow } from './duplicate-window.ts';

export interface ClientPortOptions {
  /** An address or a name; '::' for all. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** The address is the default and nobody asked for it: where it is taken, the box does without the port. */
  readonly isDefault: boolean;
  readonly connectionsMax: number;
  /** Headers and payload of one message. */
  readonly payloadBytesMax: number;
  /** Of one client. */
  readonly subscriptionsMax: number;
  /** Two of ours unanswered end the connection. */
  readonly pingIntervalMs: number;
  /** How long a `Nats-Msg-Id` is remembered. */
  readonly duplicateWindowMs: number;
  /** From the connection to its CONNECT. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Bytes that may wait for one client; beyond it is cut. Default 4 MiB. */
  readonly pendingBytesMax?: number;
  /** The same for all clients together; beyond it the slowest is cut. Default 32 MiB. */
  readonly pendingBytesTotalMax?: number;
}

/** What the port needs of the journal. */
export interface Lanes {
  /** The lane that takes this message, -1 for none (live only). */
  laneOf(message: Message): number;
  /** What the lane's PubAcks name as their stream. */
  streamOf(lane: number): string;
}

/** What the port needs of the leaf link. */
export interface Hub {
  readonly up: boolean;
}

/** What all connections of the port share. */
export interface ClientContext {
  readonly router: Router;
  readonly lanes: Lanes;
  /** Null without an upstream. */
  readonly hub: () => Hub | null;
  readonly log: Log;
  readonly options: Required<ClientPortOptions>;
  /** Shown in INFO. */
  readonly server: { readonly id: string; readonly name: string; readonly jetstream: boolean };
  readonly counters: ClientCounters;
  readonly pool: BlockPool;
  readonly pending: Tally;
  /** What the subscriptions of all clients cost the tree. */
  readonly subscribed: { filters: number; tokens: number };
  readonly duplicates: DuplicateWindow;
  /** More waits for all clients than may: the slowest is cut. */
  relieve(): void;
  /** True the first time that this client has this fault: worth a line of the log. */
  isNew(client: string, fault: string): boolean;
}
