import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * What a connection needs of its socket: TCP and TLS sockets have it, and a WebSocket behind a stream of its bytes
 * (websocket-stream.ts).
 */
export type Transport = Pick<
  Duplex,
  'cork' | 'destroy' | 'end' | 'on' | 'pause' | 'resume' | 'uncork' | 'writableLength' | 'write'
> &
  Pick<Socket, 'bytesRead' | 'bytesWritten'> & {
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

/** Bounds of what a connection may do before it is one of MQTT. */
export interface HandshakeBounds {
  readonly timeoutMs: number;
  /** Connections of one listener. */
  readonly connectionsMax: number;
  /** A WebSocket message; it may hold several packets, or a part of one [MQTT-6.0.0-2]. */
  readonly messageBytesMax: number;
}

export const NO_NAMES: readonly string[] = [];
