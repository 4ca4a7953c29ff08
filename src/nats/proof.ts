import { readFile } from 'node:fs/promises';
import { GatewayError } from '../core/errors.ts';
import { type Credentials, claimsOf, readCredentials, type UserClaims } from './credentials.ts';

/** What the box has to prove with; at most one of user, token, seed and credentials. A client certificate is TLS's. */
export interface Secrets {
  readonly user: string | null;
  readonly password: string | null;
  readonly token: string | null;
  /** `SU…`. */
  readonly nkeySeed: string | null;
  /** Path of a credentials file. */
  readonly credentials: string | null;
}

/** Answers the nonce of one connection, and knows why a hub may refuse it. */
export interface Proof {
  /** Fields of CONNECT. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** A refusal by the hub, which gives no cause (`Authorization Violation`), with what the box knows of its own papers. */
  explain(refusal: GatewayError): GatewayError;
}

const asItIs = (refusal: GatewayError): GatewayError => refusal;

/**
 * Makes the proof for one connection (signatures are of the hub's nonce, so it serves once). Rejects with a GatewayError
 * `credentials_invalid` where the papers can't be right whatever the hub says.
 */
export async function prove(secrets: Secrets, nonce: string): Promise<Proof> {
  const { user, password, token, nkeySeed, credentials } = secrets;
  if (credentials !== null) return proveByCredentials(credentials, nonce);
  if (nkeySeed !== null) {
    const { publicKey, signature } = await sign(nkeySeed, nonce, 'upstream.nkey_seed');
    return {
      fields: { nkey: publicKey, sig: signature },
      explain: (refusal) =>
        changed(refusal, 'authorization_failed', `${refusal.message} (the box signs as ${publicKey})`, {
          hint: `Add the NKey ${publicKey} to the users of the hub's account, or set the seed that belongs to a user there.`,
        }),
    };
  }
  if (token !== null) {
    // Stock leaf nodes send a token as user name too, where a hub with an auth callout looks for it.
    return { fields: { auth_token: token, ...(user === null ? { user: token } : {}) }, explain: asItIs };
  }
  return { fields: user === null ? {} : { user, pass: password ?? '' }, explain: asItIs };
}

async function proveByCredentials(path: string, nonce: string): Promise<Proof> {
  const { jwt, seed } = await readFromDisk(path);
  const claims = claimsOf(jwt, path);
  const explain = (refusal: GatewayError): GatewayError => whyRefused(refusal, claims, path);
  if (seed === null) {
    if (claims.isBearer) return { fields: { jwt }, explain };
    throw new GatewayError('credentials_invalid', `${path} has a JWT and no seed, and its user is no bearer`, {
      hint: 'Take the whole credentials file as nsc or the hub issued it: JWT and seed.',
    });
  }
  const { publicKey, signature } = await sign(seed, nonce, path);
  if (publicKey !== claims.subject) {
    throw new GatewayError(
      'credentials_invalid',
      `${path}: the seed is that of ${publicKey}, the JWT is for ${claims.subject}`,
      {
        hint: 'JWT and seed were issued apart: make the credentials file anew (nsc generate creds).',
      },
    );
  }
  return { fields: { jwt, sig: signature }, explain };
}

async function readFromDisk(path: string): Promise<Credentials> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new GatewayError('credentials_invalid', `upstream.credentials: cannot read ${path} (${code})`, {
      hint:
        code === 'ENOENT'
          ? 'Enrol the box (petiole enroll), or put the credentials file there: it is read again at every try.'
          : 'Check that the account that runs Petiole may read the file.',
      cause,
    });
  }
  return readCredentials(text, path);
}

/** Ed25519 over the ASCII bytes of the nonce, base64url without padding. */
async function sign(seed: string, nonce: string, where: string): Promise<{ publicKey: string; signature: string }> {
  // Loaded only for links that sign.
  const { fromSeed } = await import('@nats-io/nkeys');
  try {
    const pair = fromSeed(Buffer.from(seed));
    const signature = Buffer.from(pair.sign(Buffer.from(nonce))).toString('base64url');
    return { publicKey: pair.getPublicKey(), signature };
  } catch (cause) {
    // The library's words may hold the seed.
    throw new GatewayError('credentials_invalid', `${where} holds no seed of an NKey (SU… with a right checksum)`, {
      hint: 'Copy the seed again, whole: 58 letters and digits that begin with SU.',
      cause: cause instanceof Error ? cause.name : undefined,
    });
  }
}

function whyRefused(refusal: GatewayError, claims: UserClaims, path: string): GatewayError {
  const nowS = Date.now() / 1000;
  const clock = `(the clock of this box says ${new Date().toISOString()})`;
  if (claims.expiresAtS !== null && claims.expiresAtS <= nowS) {
    const when = new Date(claims.expiresAtS * 1000).toISOString();
    return changed(refusal, 'credentials_expired', `${refusal.message}: the JWT in ${path} expired at ${when}`, {
      hint: `Issue new credentials for user ${claims.name} at the hub and put them in ${path}; the box reads it again at its next try ${clock}.`,
    });
  }
  if (claims.notBeforeS !== null && claims.notBeforeS > nowS) {
    const when = new Date(claims.notBeforeS * 1000).toISOString();
    return changed(
      refusal,
      'credentials_expired',
      `${refusal.message}: the JWT in ${path} is valid only from ${when}`,
      {
        hint: `Check the clocks of this box and of the hub ${clock}.`,
      },
    );
  }
  if (claims.connectionTypes.length > 0 && !claims.connectionTypes.some((type) => type.startsWith('LEAFNODE'))) {
    const types = claims.connectionTypes.join(', ');
    return changed(refusal, 'credentials_invalid', `${refusal.message}: the JWT in ${path} allows ${types} only`, {
      hint: 'Allow LEAFNODE (and LEAFNODE_WS for ws:// and wss://) among the connection types of this user.',
    });
  }
  if (refusal.code === 'credentials_expired') return refusal;
  return changed(refusal, refusal.code, `${refusal.message} (user ${claims.name}, ${claims.subject})`, {
    hint: `The hub does not know the account ${claims.issuer}, or has revoked this user: push the account to the hub's resolver, or issue new credentials.`,
  });
}

function changed(
  refusal: GatewayError,
  code: GatewayError['code'],
  message: string,
  { hint }: { hint: string },
): GatewayError {
  return new GatewayError(code, message, { hint, retriable: refusal.retriable, cause: refusal });
}
