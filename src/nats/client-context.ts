import type { Authenticator } from '../core/authenticator.ts';
import type { ListenerOptions } from '../core/listen.ts';
import type { Log } from '../core/log.ts';
import type { Message } from '../core/message.ts';
import type { Router } from '../core/router.ts';
import type { ClientConnection } from './client-connection.ts';
import type { BlockPool } from './client-encoder.ts';
import type { ClientCounters } from './client-fault.ts';
import type { Tally } from './client-output.ts';
import type { DuplicateWindow } from './duplicate-window.ts';

export interface ClientPortOptions {
  readonly listeners: readonly ListenerOptions[];
  /** The address of the first is the default and nobody asked for it: where it is taken, the box does without. */
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
  /** A control line without its end; subjects, sids and the JSON of CONNECT have to fit. */
  readonly controlLineBytesMax: number;
  /** From the connection to the end of its login. */
  readonly connectTimeoutMs: number;
  /** Bytes that may wait for one client; beyond it is cut. */
  readonly pendingBytesMax: number;
  /** The same for all clients together; beyond it the slowest is cut. */
  readonly pendingBytesTotalMax: number;
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

/** What a connection is told first, which may be before its TLS. */
export interface Greeting {
  readonly clientId: number;
  /** To be signed by who has an NKey; '' where nobody has. */
  readonly nonce: string;
  /** The words have been said already, in clear. */
  readonly isSaid: boolean;
  info(isLameDuck: boolean): string;
}

/** What all connections of the port share. */
export interface ClientContext {
  readonly router: Router;
  /** Null: there are no users, and who may connect may do everything. */
  readonly authenticator: Authenticator | null;
  readonly lanes: Lanes;
  /** Null without an upstream. */
  readonly hub: () => Hub | null;
  readonly log: Log;
  readonly options: ClientPortOptions;
  /** Shown in INFO. */
  readonly server: { readonly id: string; readonly name: string; readonly jetstream: boolean };
  readonly counters: ClientCounters;
  readonly pool: BlockPool;
  readonly pending: Tally;
  /** Receivers that what is being read has found behind. */
  readonly behind: Set<ClientConnection>;
  /** What the subscriptions of all clients cost the tree. */
  readonly subscribed: { filters: number; tokens: number };
  readonly duplicates: DuplicateWindow;
  nextClientId(): number;
  /** More waits for all clients than may: the slowest is cut. */
  relieve(): void;
  /** True the first time that this client has this fault: worth a line of the log. */
  isNew(client: string, fault: string): boolean;
}
