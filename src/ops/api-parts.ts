import type { LogRing } from '../core/log-ring.ts';
import type { Message } from '../core/message.ts';
import type { Receipt, Subscription } from '../core/router.ts';
import type { Monitor } from './monitor.ts';
import type { Settings } from './settings.ts';

/** What the API needs of the parts of the box; the gateway hands in objects that fit. */

/** Of the router. */
export interface Bus {
  /** Everything that passes, without being an interest in it; null ends it. */
  watch(tap: ((message: Message) => void) | null): void;
  publish(message: Message, receipt: Receipt | null): number;
  subscribe(subscription: Subscription): void;
  unsubscribe(subscription: Subscription): void;
  /** Whether a lane takes it; its name, '' for none. */
  laneOf(message: Message): string;
  /** Keeps it as the retained message of its subject; an error where that is off or a bound forbids it. */
  retain(message: Message): Error | null;
}

/** Of the journal. */
export interface RecordsSource {
  readonly laneNames: readonly string[];
  /** What a lane has behind a sequence, oldest first; looking changes nothing. */
  look(lane: number, after: number): AsyncIterable<StoredRecord>;
}

export interface StoredRecord {
  readonly sequence: number;
  readonly subject: string;
  readonly receivedAtMs: number;
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** Ends connections; false where there is no such one. */
export interface Kicks {
  mqtt(clientId: string): boolean;
  nats(clientId: number): boolean;
}

/** Of the serial edge: null where there is no such port. */
export type Sniff = (port: string, taken: (direction: 'in' | 'out', bytes: Buffer) => void) => (() => void) | null;

/** Each may be absent, as in a test: what needs it answers 404 then. */
export interface ApiParts {
  readonly gateway?: string;
  readonly version?: string;
  readonly bus?: Bus;
  readonly records?: RecordsSource;
  readonly kicks?: Kicks;
  readonly sniff?: Sniff;
  readonly logs?: LogRing;
  readonly monitor?: Monitor;
  readonly settings?: Settings;
}
