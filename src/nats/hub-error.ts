import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { HubInfo } from './hub-info.ts';
import type { PublishResult } from './leaf-types.ts';

/** The cause is settled by a person or by another box, not by trying again soon (the wait that hubs themselves ask). */
const SETTLED_BY_PEOPLE_MS = 30_000;
const MIN_VERSION_MS = 5_000;

interface Known {
  readonly says: RegExp;
  readonly code: ErrorCode;
  /** In plain words, where the text of the hub is not. */
  readonly means?: string;
  readonly hint: string;
  readonly retryAfterMs?: number;
}

/** Texts of -ERR, as stock hubs of all versions write them. */
const KNOWN: readonly Known[] = [
  {
    says: /authorization violation/i,
    code: 'authorization_failed',
    means: 'refuses the user, the password or the token',
    hint: "Check upstream.user and upstream.password (or upstream.token) against the authorization of the hub's leafnodes block and accounts.",
  },
  {
    says: /authentication expired/i,
    code: 'credentials_expired',
    hint: 'The credentials of this box have expired: issue new ones at the hub.',
  },
  {
    says: /authentication timeout/i,
    code: 'connection_timeout',
    hint: "The line is slower than the hub's leafnodes authorization timeout allows: raise that timeout at the hub.",
  },
  {
    says: /permissions violation/i,
    code: 'permission_denied',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: "The hub's permissions for this user do not cover the subject: extend them at the hub.",
  },
  {
    says: /duplicate remote leafnode/i,
    code: 'hub_duplicate',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: 'Another box with the same gateway.name is linked to this hub: give each box its own name.',
  },
  {
    says: /same cluster name/i,
    code: 'hub_duplicate',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: "The hub's cluster bears the name of this box: change gateway.name.",
  },
  {
    says: /loop detected/i,
    code: 'hub_loop',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: 'The box reaches the same account on two ways: remove one of the links.',
  },
  {
    says: /cluster name cannot contain/i,
    code: 'config_invalid',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: 'Choose a gateway.name without spaces.',
  },
  {
    says: /minimum version/i,
    code: 'hub_error',
    retryAfterMs: MIN_VERSION_MS,
    hint: "Lower min_version in the hub's leafnodes block, or update this box.",
  },
  {
    says: /maximum payload/i,
    code: 'payload_too_large',
    hint: "A message was larger than the hub's max_payload: raise it there or send smaller messages.",
  },
  {
    says: /maximum (subscriptions|account active connections|connections) exceeded/i,
    code: 'hub_error',
    retryAfterMs: SETTLED_BY_PEOPLE_MS,
    hint: "The hub's account is at its limit: raise the limit or remove clients.",
  },
  {
    says: /stale connection/i,
    code: 'stale_connection',
    hint: "The hub's PINGs were not answered in time: look for a line that drops packets.",
  },
  {
    says: /connect to leaf node port|control line|unknown protocol operation/i,
    code: 'protocol_violation',
    hint: "The hub did not understand the box: please report this with the hub's version.",
  },
];

/** What an -ERR of the hub means; null where the hub only complains and the link stays. */
export function hubError(text: string, url: string): GatewayError | null {
  if (/invalid subscription/i.test(text)) return null;
  const known = KNOWN.find(({ says }) => says.test(text));
  const what = known?.means === undefined ? `says: ${text}` : `${known.means} (${text})`;
  return new GatewayError(known?.code ?? 'hub_error', `the hub at ${url} ${what}`, {
    retriable: known?.code !== 'config_invalid',
    hint: known?.hint ?? "The hub's log says more.",
    ...(known?.retryAfterMs === undefined ? {} : { retryAfterMs: known.retryAfterMs }),
  });
}

/** The far end announced our own loop subject. */
export function loopError(url: string): GatewayError {
  return hubError("Loop detected: the box's own announcement came back", url) as GatewayError;
}

type SocketFailure = readonly [code: ErrorCode, what: string, hint: string];

const SOCKET: Readonly<Record<string, SocketFailure>> = {
  ENOTFOUND: ['name_not_found', 'the name is not known', 'Check the host name in upstream.urls and the DNS server.'],
  EAI_AGAIN: ['name_not_found', 'no DNS server answers', 'Check the network and the DNS server of this box.'],
  ECONNREFUSED: [
    'connection_refused',
    'connection refused',
    'Nothing listens there: check the port (leafnodes use 7422 by default) and that the hub runs.',
  ],
  ETIMEDOUT: ['connection_timeout', 'no answer', 'Check the network and any firewall on the way to the hub.'],
  EHOSTUNREACH: ['not_connected', 'no route to the host', 'Check the network of this box.'],
  ENETUNREACH: ['not_connected', 'the network is unreachable', 'Check the network of this box.'],
  EACCES: ['not_connected', 'the system forbids it', "Check the firewall and the unit's address rules on this box."],
};

const CLOCK = (): string => `The clock of this box says ${new Date().toISOString()}: check that first.`;

/** Certificate problems by the code that Node gives them. */
function certificateFailure(code: string): [what: string, hint: string] | null {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return ["the hub's certificate has expired", `Renew the hub's certificate. ${CLOCK()}`];
    case 'CERT_NOT_YET_VALID':
      return ["the hub's certificate is not valid yet", CLOCK()];
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return [
        "the hub's certificate is for another name",
        'Use a name from the certificate in upstream.urls, or issue a certificate with this name.',
      ];
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_SIGNATURE_FAILURE':
    case 'CERT_UNTRUSTED':
      return [
        "the hub's certificate is not signed by an authority this box trusts",
        "Set upstream.tls.ca to the certificate of the authority that signed the hub's certificate.",
      ];
    default:
      return null;
  }
}

function alertFailure(code: string): [what: string, hint: string] {
  const refusedUs =
    /CERTIFICATE_REQUIRED|BAD_CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED/;
  if (refusedUs.test(code)) {
    return [
      'the hub refused the client certificate, or wants one',
      "Set upstream.tls.cert and upstream.tls.key to a certificate that the hub's CA signed and that has not expired.",
    ];
  }
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|HTTP_REQUEST/.test(code)) {
    return ['the hub does not speak TLS', "Switch TLS on in the hub's leafnodes block, or check the port."];
  }
  return [`TLS failed (${code})`, "The hub's log says more."];
}

/** A failure of the socket, of DNS or of TLS, in words. `during`: what the box was doing. */
export function socketError(error: Error, url: string, during: string): GatewayError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const tls = certificateFailure(code) ?? (/^ERR_(SSL|OSSL|TLS)/.test(code) ? alertFailure(code) : null);
  if (tls !== null) return new GatewayError('tls_failed', `${url}: ${tls[0]}`, { hint: tls[1], cause: error });
  const known = SOCKET[code];
  if (known !== undefined) return new GatewayError(known[0], `${url}: ${known[1]}`, { hint: known[2], cause: error });
  return new GatewayError('connection_closed', `${url}: connection lost while ${during} (${code || error.message})`, {
    hint: 'Usually the network or a restart of the hub; the box tries again.',
    cause: error,
  });
}

/** Nothing came within the bound of a step. */
export function silentError(url: string, timeoutMs: number, during: string, hint: string): GatewayError {
  return new GatewayError('connection_timeout', `${url}: nothing within ${timeoutMs} ms while ${during}`, { hint });
}

export function closedError(url: string, during: string, hint?: string): GatewayError {
  return new GatewayError('connection_closed', `${url}: the far end closed the connection while ${during}`, {
    hint: hint ?? "Usually a restart of the hub; otherwise the hub's log says why.",
  });
}

export function staleError(url: string, unansweredMs: number): GatewayError {
  const message = `${url}: no PONG for ${Math.round(unansweredMs)} ms although the socket looks open`;
  return new GatewayError('stale_connection', message, {
    hint: 'The line is dead or loses packets: check the network between this box and the hub.',
  });
}

export function stoppingError(): GatewayError {
  return new GatewayError('stopping', 'stopping');
}

/** The hub was started without header support. */
function noHeadersError(url: string): GatewayError {
  return new GatewayError('hub_no_headers', `the hub at ${url} takes no headers`, {
    retriable: false,
    hint: 'Records can be synced only with headers: remove no_header_support from the hub, or update it.',
  });
}

/** A hub that does not know isolation lets other leaves' interest through. */
function notIsolatedError(url: string, version: string): GatewayError {
  return new GatewayError('hub_too_old', `the hub at ${url} (${version}) does not isolate leaf nodes`, {
    retriable: false,
    hint: 'Update it to nats-server 2.12 or newer, or give the box an account whose permissions show it less.',
  });
}

/** The hub bound the box to an account that the configuration does not name. */
export function accountError(url: string, expected: string, bound: string): GatewayError {
  return new GatewayError(
    'wrong_account',
    `the hub at ${url} binds the box to account ${bound || '(unnamed)'}, not ${expected}`,
    {
      hint: "Set the account of this box's user in the hub's leafnodes block or accounts, or mend upstream.account.",
      retryAfterMs: SETTLED_BY_PEOPLE_MS,
    },
  );
}

/** The hub shuts down: it says so, or takes no connections any more. */
export function leavingError(url: string): GatewayError {
  return new GatewayError('hub_leaving', `the hub at ${url} is shutting down`, {
    hint: 'Nothing is to be done: the box goes to another member of the cluster.',
  });
}

/** Why a request of the box never left it. */
export function notSentError(subject: string, result: PublishResult): GatewayError {
  switch (result) {
    case 'forbidden':
      return new GatewayError('permission_denied', `the hub does not let this box publish ${subject}`, {
        hint: "Extend the publish permissions of the box's user at the hub.",
      });
    case 'too-large':
      return new GatewayError('payload_too_large', `a request to ${subject} is larger than the hub takes`);
    case 'full':
      return new GatewayError('queue_full', 'the line to the hub is behind by its whole queue');
    case 'no-interest':
      return new GatewayError('request_timeout', `nobody at the hub listens on ${subject}`);
    default:
      return new GatewayError('not_connected', 'there is no link to the hub');
  }
}

/** What this hub can't do for the box although the link is up; null: nothing is missing. */
export function limitOf({ headers, url, version }: HubInfo, isolate: boolean): GatewayError | null {
  if (!headers) return noHeadersError(url);
  return isolate && !isAtLeast(version, 2, 12) ? notIsolatedError(url, version) : null;
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
