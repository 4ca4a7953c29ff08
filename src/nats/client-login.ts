import type { Authenticator } from '../core/authenticator.ts';
import type { Peer } from '../core/listen.ts';
import type { User } from '../core/users.ts';
import type { Credentials } from './client-connect.ts';
import { ClientFault, fault } from './client-fault.ts';

/** Who logs in, and from where. */
export interface Login {
  readonly peer: Peer;
  readonly address: string;
  /** CONNECT's `name`, which stands for `{clientid}`. */
  readonly name: string;
  /** What INFO asked to be signed; '' where it did not. */
  readonly nonce: string;
}

/**
 * Who a CONNECT comes from: a user, or null for an anonymous client, at once or after the check of what it shows. What
 * is shown must be right, also where nothing need be. Without it the client certificate counts. Throws a ClientFault for
 * who may not come in.
 */
export function login(
  authenticator: Authenticator | null,
  { peer, address, name, nonce }: Login,
  { user, password, token, nkey, signature }: Credentials,
): User | null | Promise<User | null> {
  // Without users there is nothing to compare it with: who sends something all the same is let in as ever.
  if (authenticator === null) return anonymous(peer);
  const byCertificate = authenticator.byCertificate(peer.certificateNames, name);
  if (user === null && password === null && token === null && nkey === null && signature === null) {
    return byCertificate ?? anonymous(peer);
  }
  if (byCertificate !== null && password === null && byCertificate.name === user) return byCertificate;
  // No "Authorization Violation": official clients stop reconnecting after two of those.
  if (!authenticator.hasRoom(address)) throw new ClientFault('maximum connections exceeded', 'loginsRefused');
  const found =
    token !== null
      ? authenticator.byToken(token, address, name)
      : nkey !== null
        ? authenticator.byKey(nkey, nonce, signature ?? '', address, name)
        : authenticator.byPassword(user ?? '', password ?? '', address, name);
  return found.then((known) => {
    if (known === null) throw fault.authorization();
    return known;
  });
}

function anonymous(peer: Peer): null {
  if (peer.isAnonymousAllowed) return null;
  throw fault.authorization();
}
