/** Who the box is to its hub. */
export interface Identity {
  /** Leaf server name and cluster name. */
  readonly name: string;
  readonly serverId: string;
  readonly isolate: boolean;
  /** Subjects of the hub that it must not send. */
  readonly denied: readonly string[];
}

/** The server version that CONNECT claims; hubs compare it with their min_version and nothing else. */
const PROTOCOL_VERSION = '2.10.0';
/** Our side of the account: hubs from 2.10 on evict the predecessor of a new link only where it is equal and given. */
const LOCAL_ACCOUNT = '$G';

/** The fields of CONNECT beside those that prove who it is. There is no `lang`: it is the mark of a client. */
export function connectFields({ name, serverId, isolate, denied }: Identity): Record<string, unknown> {
  return {
    version: PROTOCOL_VERSION,
    server_id: serverId,
    name,
    // Leaves of one cluster hear nothing of each other, so every box is a cluster of its own.
    cluster: name,
    headers: true,
    remote_account: LOCAL_ACCOUNT,
    compress_mode: 'off',
    ...(isolate ? { isolate } : {}),
    ...(denied.length > 0 ? { deny_pub: denied } : {}),
  };
}
