import type { IConnectPacket } from 'mqtt-packet';
import type { User } from '../core/users.ts';
import type { Connection } from './connection.ts';
import { PacketError } from './packet-error.ts';
import { reason, returnCode } from './reason-codes.ts';

/**
 * Who a CONNECT comes from: a user, or null for an anonymous client, at once or after the check of its password. A user
 * name or password that is given must be right, also where none is needed. Without one the client certificate counts.
 * Throws a PacketError for who may not come in.
 */
export function login(
  { context, peer, address }: Connection,
  { username, password }: IConnectPacket,
  clientId: string,
): User | null | Promise<User | null> {
  const { authenticator } = context;
  // Without users there is nothing to compare a name with; clients that send one all the same are let in as ever.
  if (authenticator === null) return anonymous(peer.isAnonymousAllowed);
  const byCertificate = authenticator.byCertificate(peer.certificateNames, clientId);
  if (username === undefined && password === undefined) {
    return byCertificate ?? anonymous(peer.isAnonymousAllowed);
  }
  // Many clients need a user name beside their certificate: its own, without a password.
  if (byCertificate !== null && password === undefined && byCertificate.name === username) return byCertificate;
  if (!authenticator.hasRoom(address)) {
    throw new PacketError(reason.serverBusy, 'too many logins wait for their check', {
      hint: 'if this lasts, a device of this address has a wrong password: mend or unplug it',
      returnCode: returnCode.serverUnavailable,
    });
  }
  return authenticator.byPassword(username ?? '', password ?? '', address, clientId);
}

function anonymous(isAllowed: boolean): null {
  if (isAllowed) return null;
  throw new PacketError(reason.notAuthorized, 'the client does not say who it is, and this listener asks for it', {
    hint: 'give the client a user name and password, or a certificate of a user',
    returnCode: returnCode.notAuthorized,
  });
}

/** Never says which of the two was wrong. */
export function wrongPassword(): PacketError {
  return new PacketError(reason.badUserNameOrPassword, 'the user name or the password is wrong', {
    hint: '`petiole user list` shows the names, `petiole user passwd NAME` sets a new password',
    returnCode: returnCode.badUserNameOrPassword,
  });
}
