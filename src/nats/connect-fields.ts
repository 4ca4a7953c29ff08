/** Who the box is and how it proves it. */
export interface Identity {
  /** Leaf server name and cluster name. */
  readonly name: string;
  readonly serverId: string;
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
}

/** The server version that CONNECT claims; hubs compare it with their min_version and nothing else. */
const PROTOCOL_VERSION = '2.10.0';
/** Our side of the account: hubs from 2.10 on evict the predecessor of a new link only where it is equal and given. */
const LOCAL_ACCOUNT = '$G';

/** The fields of CONNECT. There is no `lang`: it is the mark of a client, which a leafnode port refuses. */
export function connectFields({ name, serverId, user, password, token }: Identity): Record<string, unknown> {
  return {
    version: PROTOCOL_VERSION,
    server_id: serverId,
    name,
    // Leaves of one cluster hear nothing of each other, so every box is a cluster of its own.
    cluster: name,
    headers: true,
    remote_account: LOCAL_ACCOUNT,
    compress_mode: 'off',
    ...(user === null ? {} : { user, pass: password ?? '' }),
    // Stock leaf nodes send a token as user name too, where a hub with an auth callout looks for it.
    ...(token === null ? {} : { auth_token: token, ...(user === null ? { user: token } : {}) }),
  };
}
