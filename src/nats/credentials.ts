import { GatewayError } from '../core/errors.ts';

/** The two blocks of a credentials file. */
export interface Credentials {
  readonly jwt: string;
  /** Null: a bearer's file. */
  readonly seed: string | null;
}

/** What a user's JWT says of itself; not verified here, that is the hub's part. */
export interface UserClaims {
  /** Public NKey of the user. */
  readonly subject: string;
  readonly name: string;
  /** Public key of the account that issued it. */
  readonly issuer: string;
  readonly isBearer: boolean;
  /** Seconds since 1970; null: never, or from ever. */
  readonly expiresAtS: number | null;
  readonly notBeforeS: number | null;
  /** Empty: every kind of connection. */
  readonly connectionTypes: readonly string[];
}

/** A JWT with large permissions has some KiB. */
const FILE_CHARS_MAX = 256 * 1024;

/** Reads the text of a credentials file; throws a GatewayError `credentials_invalid`. `path` is for people. */
export function readCredentials(text: string, path: string): Credentials {
  const block = (name: string): string | null =>
    new RegExp(`-+BEGIN ${name}-+\\s+(\\S+)\\s+-+END ${name}-+`).exec(text.slice(0, FILE_CHARS_MAX))?.[1] ?? null;
  const jwt = block('NATS USER JWT');
  if (jwt === null) {
    throw new GatewayError('credentials_invalid', `${path} holds no "-----BEGIN NATS USER JWT-----"`, {
      hint: 'Take the credentials file of a user as nsc or the hub issued it (nsc generate creds).',
    });
  }
  return { jwt, seed: block('USER NKEY SEED') };
}

/** Decodes the claims; throws a GatewayError `credentials_invalid`. */
export function claimsOf(jwt: string, path: string): UserClaims {
  const part = (value: unknown): Readonly<Record<string, unknown>> =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  let claims: Readonly<Record<string, unknown>>;
  try {
    claims = part(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')));
  } catch (cause) {
    throw new GatewayError('credentials_invalid', `${path}: the JWT can't be read`, {
      hint: 'The file may have been cut: copy it again.',
      cause,
    });
  }
  const { sub, name, iss, exp, nbf } = claims;
  const nats = part(claims.nats);
  const seconds = (value: unknown): number | null => (typeof value === 'number' && value > 0 ? value : null);
  const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 256) : '');
  return {
    subject: text(sub),
    name: text(name),
    issuer: text(nats.issuer_account) || text(iss),
    isBearer: nats.bearer_token === true,
    expiresAtS: seconds(exp),
    notBeforeS: seconds(nbf),
    connectionTypes: Array.isArray(nats.allowed_connection_types) ? nats.allowed_connection_types.map(String) : [],
  };
}
