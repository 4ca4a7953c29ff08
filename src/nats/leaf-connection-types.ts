import type { GatewayError } from '../core/errors.ts';
import type { Identity } from './connect-fields.ts';
import type { DialOptions } from './dial.ts';
import type { HubAddress } from './hub-addresses.ts';
import type { LeafConnection } from './leaf-connection.ts';
import type { Secrets } from './proof.ts';

export interface LeafConnectionOptions extends DialOptions, Identity, Secrets {
  readonly address: HubAddress;
  readonly pingIntervalMs: number;
  /** The hub's account that the box expects; null: any. */
  readonly account: string | null;
  /** `$LDS.<random>`, the same for the life of the process. */
  readonly loopSubject: string;
}

/** Called synchronously, in stream order. */
export interface LeafConnectionEvents {
  /** CONNECT is accepted: the whole local interest is to be written now, ahead of the PING whose PONG means up. */
  accepted(connection: LeafConnection): void;
  up(connection: LeafConnection): void;
  message(subject: string, reply: string, queues: readonly string[], headers: Buffer, payload: Buffer): void;
  /** A message above the box's own limit was skipped. */
  oversize(subject: string, bytes: number): void;
  /** LS+ or LS-, once up. */
  interestChanged(): void;
  /** LS-, once up: a stream may have lost its server, or the hub may be shutting down. */
  interestWithdrawn(connection: LeafConnection): void;
  /** A later INFO: permissions, limits, addresses. */
  infoChanged(connection: LeafConnection): void;
  drained(): void;
  /** The hub complains and stays. */
  complaint(text: string): void;
  /** Once, and only after `up`. */
  down(reason: GatewayError): void;
}
