import type { Backoff } from '../core/backoff.ts';
import type { GatewayError } from '../core/errors.ts';
import type { HttpProxy } from './http-proxy.ts';
import type { ClockFloor } from './hub-certificate.ts';
import type { HubInfo } from './hub-info.ts';

/** PEM files, read again at every connect so that they can be renewed; null: the system's roots, no certificate. */
export interface LeafTls {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** TLS before the hub's INFO, as a hub with `handshake_first` demands. */
  readonly handshakeFirst: boolean;
}

export interface LeafOptions {
  /** Gateway name: leaf server name and, since every box is a cluster of its own, cluster name at the hub. */
  readonly name: string;
  /** Stable and unique for this box. */
  readonly serverId: string;
  /**
   * `nats://`, `nats-leaf://` or `tls://host[:port]`, default port 7422; `ws://` or `wss://host[:port][/path]`, default
   * port 80 or 443. `tls://` and `wss://` demand TLS.
   */
  readonly urls: readonly string[];
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
  /** Seed of an NKey user, `SU…`. */
  readonly nkeySeed: string | null;
  /** Path of a credentials file (JWT and seed), read again at every connect so that it can be renewed. */
  readonly credentials: string | null;
  readonly tls: LeafTls;
  readonly proxy: HttpProxy | null;
  /** The account of the hub that the box expects; null: any. */
  readonly account: string | null;
  /** Other leaves' interest is not wanted. */
  readonly isolate: boolean;
  /** Tokens before the box's subjects at the hub; '' for none. */
  readonly prefix: string;
  /** Filters of what is never taken from the hub, and never sent to it; as the box names its subjects. */
  readonly denyImports: readonly string[];
  readonly denyExports: readonly string[];
  readonly pingIntervalMs: number;
  /** Bound of each step of connecting: TCP, proxy, TLS, WebSocket, INFO, the answer to CONNECT, the first PONG. */
  readonly connectTimeoutMs: number;
  /** For a clock that is behind; absent: certificates are checked by the wall clock alone. */
  readonly clockFloor?: ClockFloor;
  /** `${inboxPrefix}.>` is announced once per connection for the box's own requests and PubAcks. */
  readonly inboxPrefix: string;
  /** Waits between attempts; default: `hubBackoff`. */
  readonly backoff?: Backoff;
}

/** Called synchronously and in stream order; must not throw. */
export interface LeafListener {
  /** The handshake is complete and with it the hub's interest table. */
  up(hub: HubInfo, epoch: number): void;
  down(reason: GatewayError): void;
  /**
   * A message from the hub that is not for the box's own inbox. `queues` are the queue groups the hub chose. `shownAs`
   * is the subject that subscribers see: it differs from `subject` only for messages of a JetStream consumer.
   */
  message(
    subject: string,
    reply: string,
    headers: Buffer,
    payload: Buffer,
    queues: readonly string[],
    shownAs: string,
  ): void;
  /**
   * A message on the box's own inbox; `token` is the subject after `${inboxPrefix}.`. The hot path of PubAcks. A
   * consumer's message has its acknowledgement's subject as `reply`, and `shownAs` is its subject in the stream, as the hub
   * names it; both are '' otherwise.
   */
  inbox(token: string, headers: Buffer, payload: Buffer, reply: string, shownAs: string): void;
  /** The hub's interest or permissions changed; at most once per tick. */
  interestChanged(): void;
  /** The output fell below its low mark after `writable` had been false. */
  drained(): void;
}

/**
 * 'sent': handed to the connection. 'no-interest': nobody at the hub wants it. 'forbidden': outside the hub's
 * permissions, denied by the configuration or not a legal subject. 'too-large': above what the hub takes. 'full': the output is at its bound.
 */
export type PublishResult = 'sent' | 'no-interest' | 'not-connected' | 'forbidden' | 'too-large' | 'full';

export interface Traffic {
  messages: number;
  /** Headers and payloads, without subjects and framing. */
  bytes: number;
}

/** For the status page: no secrets, bounded in size. */
export interface LeafStatus {
  readonly state: 'idle' | 'connecting' | 'up' | 'waiting' | 'stopped';
  /** The hub in use or tried last; without credentials. */
  readonly url: string | null;
  readonly hub: HubInfo | null;
  /** Wall clock of the last change between up and not up, milliseconds since 1970. */
  readonly sinceMs: number;
  readonly epoch: number;
  readonly rttMs: number | null;
  /** While up: what limits the link (a hub without headers, or too old for isolation), null if nothing does. */
  readonly lastError: { readonly code: string; readonly message: string; readonly hint: string } | null;
  readonly attempts: number;
  readonly reconnects: number;
  readonly retryInMs: number | null;
  readonly in: Readonly<Traffic>;
  readonly out: Readonly<Traffic>;
  /** Messages not sent, by cause; messages of the hub above the box's own limit, and those that `denyImports` names. */
  readonly drops: Readonly<Record<Exclude<PublishResult, 'sent'> | 'oversize' | 'denied', number>>;
  /** Local filters, those of them announced, and the hub's. */
  readonly interest: { readonly local: number; readonly announced: number; readonly hub: number };
  readonly queuedBytes: number;
}
