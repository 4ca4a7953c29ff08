import { ClientFault } from './client-fault.ts';

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

/** What a client shows to prove who it is; null for what it does not show. */
export interface Credentials {
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
  readonly nkey: string | null;
  /** Of the nonce in INFO. */
  readonly signature: string | null;
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

/** Throws a ClientFault for what is no CONNECT. Fields that mean nothing here are passed over. */
export function readConnect(json: string): { options: ConnectOptions; credentials: Credentials } {
  let fields: unknown;
  try {
    fields = JSON.parse(json);
  } catch {
    throw new ClientFault('Parser Error');
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new ClientFault('Parser Error');
  const { verbose, pedantic, echo, headers, no_responders, protocol, name, lang, version, ...rest } = fields as Record<
    string,
    unknown
  >;
  if (protocol !== undefined && protocol !== 0 && protocol !== 1) throw new ClientFault('invalid client protocol');
  if (no_responders === true && headers !== true) {
    throw new ClientFault('no responders requires headers support');
  }
  const options = {
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
  return { options, credentials: credentialsOf(rest) };
}

/** An empty one counts as none, as clients send it. */
function credentialsOf({ user, pass, auth_token, nkey, sig }: Record<string, unknown>): Credentials {
  const given = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
  return {
    user: given(user),
    password: given(pass),
    token: given(auth_token),
    nkey: given(nkey),
    signature: given(sig),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, TEXT_CHARACTERS_MAX) : '';
}
