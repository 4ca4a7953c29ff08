import { ClientFault } from './client-fault.ts';

/** Clients switch features on by it: the first version with all that this port has. */
const VERSION_SHOWN = '2.10.0';
/** What a client says of itself is shown, up to here. */
const TEXT_CHARACTERS_MAX = 128;

/** What a CONNECT settles. Before it, a connection is what nats-server takes it for: verbose and pedantic. */
export interface ConnectOptions {
  readonly verbose: boolean;
  readonly pedantic: boolean;
  readonly echo: boolean;
  readonly headers: boolean;
  readonly noResponders: boolean;
  /** 1: takes an INFO at any time. */
  readonly protocol: number;
  readonly name: string;
  readonly lang: string;
  readonly version: string;
}

export const beforeConnect: ConnectOptions = {
  verbose: true,
  pedantic: true,
  echo: true,
  headers: false,
  noResponders: false,
  protocol: 0,
  name: '',
  lang: '',
  version: '',
};

/** Throws a ClientFault for what is no CONNECT. Fields that mean nothing here (there are no users yet) are passed over. */
export function readConnect(json: string): ConnectOptions {
  let fields: unknown;
  try {
    fields = JSON.parse(json);
  } catch {
    throw new ClientFault('Parser Error');
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new ClientFault('Parser Error');
  const { verbose, pedantic, echo, headers, no_responders, protocol, name, lang, version } = fields as Record<
    string,
    unknown
  >;
  if (protocol !== undefined && protocol !== 0 && protocol !== 1) throw new ClientFault('invalid client protocol');
  if (no_responders === true && headers !== true) {
    throw new ClientFault('no responders requires headers support');
  }
  return {
    verbose: verbose === true,
    pedantic: pedantic === true,
    echo: echo !== false,
    headers: headers === true,
    noResponders: no_responders === true,
    protocol: protocol === 1 ? 1 : 0,
    name: text(name),
    lang: text(lang),
    version: text(version),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_CHARACTERS_MAX) : '';
}

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
}

export function info(fields: InfoFields): string {
  const { serverId, serverName, host, port, payloadBytesMax, jetstream, clientId, clientIp, isLameDuck } = fields;
  const shown = {
    server_id: serverId,
    server_name: serverName,
    version: VERSION_SHOWN,
    proto: 1,
    go: `node ${process.version}`,
    host,
    port,
    headers: true,
    max_payload: payloadBytesMax,
    jetstream,
    client_id: clientId,
    client_ip: clientIp,
    ...(isLameDuck && { ldm: true }),
  };
  return `INFO ${JSON.stringify(shown)}\r\n`;
}

/** The answer to `$SYS.REQ.USER.INFO`: everybody is nobody, and may do everything. */
export function userInfo(serverId: string, serverName: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      server: { name: serverName, id: serverId, ver: VERSION_SHOWN, jetstream: false, time: new Date().toISOString() },
      data: { user: '', account: '$G' },
    }),
  );
}
