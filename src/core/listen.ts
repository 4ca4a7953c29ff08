import type { Duplex } from 'node:stream';
import type { Log } from './log.ts';

/*
 * How an edge takes connections without knowing what they come through: it asks for a listener (`Listen`), and gets
 * peers whose transport is a stream of bytes. The gateway hands in the listeners of src/listen.
 */

export interface ListenerAddress {
  /** An address or a name; '::' for all. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
}

export interface ListenerOptions extends ListenerAddress {
  /** Whether one may connect without a user name or a certificate. */
  readonly anonymous: boolean;
  readonly tls?: ListenerTls | null;
  readonly websocket?: ListenerWebSocket | null;
}

/** Paths of PEM files, read once at start. */
export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Authorities of client certificates; null where none are asked for. */
  readonly ca: string | null;
  readonly clientCertificates: 'none' | 'optional' | 'required';
  /** TLS at once, also where the protocol has words in clear before it (NATS: `handshake_first`). */
  readonly first?: boolean;
}

export interface ListenerWebSocket {
  readonly path: string;
  /** Of the web pages that may connect, such as `https://panel.example`; on loopback those of this machine may anyway.
   * None: those of any page, except on loopback. */
  readonly origins?: readonly string[];
}

/** What a connection needs of its socket: TCP and TLS sockets have it, and the stream of a WebSocket's bytes. */
export type Transport = Pick<
  Duplex,
  'cork' | 'destroy' | 'end' | 'on' | 'pause' | 'resume' | 'uncork' | 'writableLength' | 'write'
> & {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
};

/** A new connection, and what its listener knows of it. */
export interface Peer {
  readonly transport: Transport;
  /** The listener takes it without a user name or certificate. */
  readonly isAnonymousAllowed: boolean;
  /** Names in its client certificate, where it has one that an authority of the listener has signed. */
  readonly certificateNames: readonly string[];
}

/** Bounds of what a connection may do before its listener hands it out. */
export interface HandshakeBounds {
  readonly timeoutMs: number;
  /** Connections of one listener. */
  readonly connectionsMax: number;
  /** A WebSocket message; it may hold several packets or operations, or a part of one [MQTT-6.0.0-2]. */
  readonly messageBytesMax: number;
}

/** The beginning of a TCP connection, before TLS. */
export type Opening = Pick<Duplex, 'write' | 'on'> & Pick<Transport, 'remoteAddress' | 'remotePort'>;

/** What a listener tells its edge. */
export interface ListenerEvents {
  readonly log: Log;
  accept(peer: Peer): void;
  /** Where TLS follows words in clear (NATS): says them. Absent, or not called, where TLS comes first. */
  greet?(opening: Opening): void;
  /** The listener itself: out of file descriptors, for example. */
  failed(error: Error): void;
  /** A TLS handshake that came to nothing. */
  handshakeFailed(error: Error): void;
  /** A connection that did not become one of the edge's protocol. */
  refused(why: string): void;
}

/** One address that takes connections: TCP, TLS, WebSocket, or WebSocket over TLS. */
export interface Listener {
  /** Where it listens: the port is known only now where it was given as 0. Null while it does not. */
  readonly address: ListenerAddress | null;
  /** Rejects with address_in_use, listen_denied, address_not_available, name_not_found or tls_failed. */
  start(): Promise<void>;
  /** Takes no more connections; those that it took live on. */
  stop(): void;
}

/** Makes a listener; it opens with `start`. */
export type Listen = (options: ListenerOptions, bounds: HandshakeBounds, events: ListenerEvents) => Listener;

export const NO_NAMES: readonly string[] = [];
