import type { Connection } from './connection.ts';

/** What the status shows of one client. */
export interface ClientStatus {
  clientId: string;
  /** '' for an anonymous one. */
  user: string;
  remote: string;
  protocol: string;
  connectedAtMs: number;
  lastSeenMs: number;
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  dropped: number;
  subscriptions: number;
  inflight: number;
}

/** Null where its CONNECT has not come, or it has left. */
export function clientStatus(connection: Connection): ClientStatus | null {
  const { client } = connection;
  if (client === null) return null;
  return {
    clientId: client.party.name,
    user: client.user?.name ?? '',
    remote: connection.remote,
    protocol: client.version === 5 ? 'MQTT 5.0' : 'MQTT 3.1.1',
    connectedAtMs: connection.openedAtMs,
    lastSeenMs: connection.nowMs,
    messagesIn: client.messagesIn,
    messagesOut: client.messagesOut,
    bytesIn: connection.bytesRead,
    bytesOut: connection.bytesWritten,
    dropped: client.dropped,
    subscriptions: client.subscriptions.size,
    inflight: client.inbound.inflight,
  };
}
