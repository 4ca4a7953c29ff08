import type { Receipt } from '../core/router.ts';
import type { Content } from './publish-encoder.ts';

/** A message on its way to one session, at QoS 1 or 2. */
export interface Delivery {
  /** Counts up within the session; the packet identifier follows from it, so that both survive a restart. */
  sequence: number;
  readonly content: Content;
  readonly qos: number;
  /** Subscription Identifier; 0 for none. */
  readonly identifier: number;
  /** The retain flag of its PUBLISH. */
  readonly retain: boolean;
  /** Wall clock, milliseconds since 1970; 0: it does not expire. */
  readonly expiresMs: number;
  /** What it counts for in the bounds. */
  readonly bytes: number;
  /** Share name as a queue group; '' where a subscription of the session's own asked for it. */
  readonly share: string;
  /** QoS 2: its PUBREC has come, and what is left is PUBREL and PUBCOMP. */
  isReleased: boolean;
}

/** Who is told that a delivery is on disk. */
export interface DeliveryOwner {
  /** Number of its session in the store. */
  readonly id: number;
  /** `kept` false: the commit failed, and the publisher was told so. */
  committed(delivery: Delivery, kept: boolean): void;
}

/** A stored session, without its queue: `queue` says what that holds. */
export interface StoredSession {
  readonly id: number;
  readonly clientId: string;
  /** What the edge wrote with `change`. */
  readonly data: string;
  readonly queue: { readonly count: number; readonly bytes: number; readonly last: number };
  /** Packet identifiers of QoS 2 messages that have a PUBREC and no PUBREL yet. */
  readonly received: readonly number[];
}

/** Writes itself when a commit is sent off, so that of many changes only the last is written. */
export interface SessionRow {
  readonly id: number;
  readonly clientId: string;
  readonly data: string;
}

/**
 * What the edge needs of the store for persistent sessions. Every call is taken at once and is on disk with the next
 * commit, which is also the one of the messages that are journaled in the same turn.
 */
export interface SessionStore {
  /** What was on the disk when the store was opened; handed out once. */
  takeStored(): StoredSession[];
  /** Called when the store is opened while the box runs; `isAnew`: it has lost some of what it had. */
  listen(listener: { opened(isAnew: boolean): void }): void;
  /** A number that no session has had. */
  nextId(): number;
  /** The row is new, or another. */
  change(row: SessionRow): void;
  /** Ends a session with all it holds, which was `bytes`. */
  drop(id: number, bytes: number): void;
  /** False where the bound of the whole box, or the free-space reserve of the disk, allows no more. */
  hasRoom(bytes: number): boolean;
  enqueue(owner: DeliveryOwner, delivery: Delivery): void;
  /** Its PUBREC has come: the payload is not needed any more. */
  release(id: number, sequence: number): void;
  /** It is complete. Goes to disk with the next commit, and is not worth one of its own at once. */
  remove(id: number, sequence: number, bytes: number): void;
  /** Publishes a QoS 2 message and notes its packet identifier in the same commit; `publish` says whether it was taken. */
  receive(id: number, packetIdentifier: number, publish: () => boolean): void;
  /** Its PUBREL has come. */
  forget(id: number, packetIdentifier: number): void;
  /** Tells the receipt when all that was handed over up to now is on disk. */
  after(receipt: Receipt, token: number, reached: number): void;
  /** A receipt that is passed on only then. */
  saved(receipt: Receipt): Receipt;
  /** Deliveries on the disk behind a sequence, oldest first; up to `through` there are no others, and none behind `isEnd`. */
  read(id: number, after: number): Promise<{ deliveries: Delivery[]; through: number; isEnd: boolean }>;
  /** Of all sessions together. */
  status(): { bytes: number; bytesMax: number };
}
