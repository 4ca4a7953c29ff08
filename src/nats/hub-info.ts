import { GatewayError } from '../core/errors.ts';

/** Subject filters; an empty `allow` allows everything that `deny` does not name. */
export interface Permissions {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** What the rest of the box may know of the hub it is linked to. */
export interface HubInfo {
  readonly serverName: string;
  readonly serverId: string;
  readonly version: string;
  readonly cluster: string;
  /** JetStream domain, '' for none. */
  readonly domain: string;
  /** False: the hub takes no headers, and so no record identities. */
  readonly headers: boolean;
  readonly jetstream: boolean;
  /** Bytes of headers and payload together. */
  readonly maxPayload: number;
  /** Address of this connection, without credentials. */
  readonly url: string;
  /** The hub's account the box is bound to. */
  readonly remoteAccount: string;
  /** What the box may send; null: everything. */
  readonly export: Permissions | null;
  /** What the box may receive and announce; null: everything. */
  readonly import: Permissions | null;
}

/** One INFO of a leafnode port. */
export interface LeafInfo extends Omit<HubInfo, 'url'> {
  readonly isLeafPort: boolean;
  /** The hub will answer CONNECT with another INFO. */
  readonly infoOnConnect: boolean;
  /** This is that other INFO. */
  readonly connectInfo: boolean;
  /** The hub is about to shut down and asks everybody to go elsewhere. */
  readonly isLeaving: boolean;
  readonly tlsRequired: boolean;
  readonly tlsAvailable: boolean;
  readonly tlsVerify: boolean;
  readonly nonce: string;
  /** `host:port` of the hub's other members. */
  readonly leafUrls: readonly string[];
  /** The same for links over a WebSocket. */
  readonly webSocketUrls: readonly string[];
}

/** A cluster has a handful of members; more addresses are not worth the memory. */
const LEAF_URLS_MAX = 64;
/** What a hub without the field allows (the default of nats-server). */
const MAX_PAYLOAD_DEFAULT = 1024 * 1024;

/** Reads the JSON of an INFO; throws a GatewayError `protocol_violation` where it is not an object. */
export function readInfo(json: string): LeafInfo {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw new GatewayError('protocol_violation', 'INFO of the hub is not JSON', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new GatewayError('protocol_violation', 'INFO of the hub is not a JSON object');
  }
  const info = parsed as Readonly<Record<string, unknown>>;
  const text = (key: string): string => (typeof info[key] === 'string' ? info[key] : '');
  const maxPayload = info.max_payload;
  return {
    serverName: text('server_name'),
    serverId: text('server_id'),
    version: text('version'),
    cluster: text('cluster'),
    domain: text('domain'),
    headers: info.headers === true,
    jetstream: info.jetstream === true,
    maxPayload: typeof maxPayload === 'number' && maxPayload > 0 ? maxPayload : MAX_PAYLOAD_DEFAULT,
    remoteAccount: text('remote_account'),
    export: readPermissions(info.export),
    import: readPermissions(info.import),
    isLeafPort: info.client_id !== undefined && info.leafnode_urls !== undefined,
    infoOnConnect: info.info_on_connect === true,
    connectInfo: info.connect_info === true,
    isLeaving: info.ldm === true,
    tlsRequired: info.tls_required === true,
    tlsAvailable: info.tls_available === true,
    tlsVerify: info.tls_verify === true,
    nonce: text('nonce'),
    leafUrls: strings(info.leafnode_urls).slice(0, LEAF_URLS_MAX),
    webSocketUrls: strings(info.ws_connect_urls).slice(0, LEAF_URLS_MAX),
  };
}

export function toHubInfo(info: LeafInfo, url: string): HubInfo {
  const { serverName, serverId, version, cluster, domain, headers, jetstream, maxPayload, remoteAccount } = info;
  const shown = { serverName, serverId, version, cluster, domain, headers, jetstream, maxPayload, remoteAccount };
  return { ...shown, url, export: info.export, import: info.import };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function readPermissions(value: unknown): Permissions | null {
  if (typeof value !== 'object' || value === null) return null;
  const { allow, deny } = value as { allow?: unknown; deny?: unknown };
  // 'filter queue' restricts a queue group only: as permission the filter counts, as prohibition it says too little.
  const allowed = strings(allow).map((filter) => filter.split(' ', 1)[0] as string);
  const denied = strings(deny).filter((filter) => !filter.includes(' '));
  return allowed.length === 0 && denied.length === 0 ? null : { allow: allowed, deny: denied };
}
