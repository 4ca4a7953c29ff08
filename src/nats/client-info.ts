import type { Rules, User } from '../core/users.ts';

/** Clients switch features on by it: the first version with all that this port has. */
const VERSION_SHOWN = '2.10.0';
/** nats-server counts times in nanoseconds. */
const NS_PER_MS = 1_000_000;

export interface InfoFields {
  readonly serverId: string;
  readonly serverName: string;
  readonly host: string;
  readonly port: number;
  readonly payloadBytesMax: number;
  /** JetStream's API is passed on to a hub. */
  readonly jetstream: boolean;
  readonly clientId: number;
  readonly clientIp: string;
  /** The box is about to stop. */
  readonly isLameDuck: boolean;
  /** Nobody may come in without saying who he is. */
  readonly isAuthRequired: boolean;
  /** To be signed by who has an NKey; '' where nobody has. */
  readonly nonce: string;
  /** TLS follows these words, with a client certificate or without. */
  readonly tls: 'none' | 'required' | 'verified';
}

/** The line that comes first on every connection. */
export function info(fields: InfoFields): string {
  const { serverId, serverName, host, port, payloadBytesMax, jetstream, clientId, clientIp } = fields;
  const { isLameDuck, isAuthRequired, nonce, tls } = fields;
  const shown = {
    server_id: serverId,
    server_name: serverName,
    version: VERSION_SHOWN,
    proto: 1,
    go: `node ${process.version}`,
    host,
    port,
    headers: true,
    ...(isAuthRequired && { auth_required: true }),
    ...(tls !== 'none' && { tls_required: true }),
    ...(tls === 'verified' && { tls_verify: true }),
    max_payload: payloadBytesMax,
    jetstream,
    client_id: clientId,
    client_ip: clientIp,
    ...(nonce !== '' && { nonce }),
    ...(isLameDuck && { ldm: true }),
  };
  return `INFO ${JSON.stringify(shown)}\r\n`;
}

/** The answer to `$SYS.REQ.USER.INFO`; `user` null: one who may do everything. */
export function userInfo(serverId: string, serverName: string, user: User | null): Buffer {
  const server = {
    name: serverName,
    id: serverId,
    ver: VERSION_SHOWN,
    jetstream: false,
    time: new Date().toISOString(),
  };
  const permissions = user === null ? {} : { permissions: permissionsOf(user.rules) };
  return Buffer.from(JSON.stringify({ server, data: { user: user?.name ?? '', account: '$G', ...permissions } }));
}

function permissionsOf({ publish, publishDeny, subscribe, subscribeDeny, responses }: Rules): object {
  // nats-server takes an absent list for everything, and a user of the box without rules may do nothing.
  const side = (allow: readonly string[], deny: readonly string[]): object => {
    const all = allow.length === 0 ? ['>', ...deny] : deny;
    return { ...(allow.length > 0 && { allow }), ...(all.length > 0 && { deny: all }) };
  };
  return {
    publish: side(publish, publishDeny),
    subscribe: side(subscribe, subscribeDeny),
    ...(responses !== null && { responses: { max: responses.max, ttl: responses.expiresMs * NS_PER_MS } }),
  };
}
