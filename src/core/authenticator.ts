import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { LoginDelays } from './login-delays.ts';
import { isSignedBy } from './nkey.ts';
import { PASSWORD_BYTES_MAX, unmatchedHash, verifyPassword } from './password.ts';
import { hashToken } from './token.ts';
import { type Account, type User, type UserRules, Users } from './users.ts';

/** Logins that wait, of all addresses: a fleet of the default 1,000 connections at once; 4 MiB of passwords at worst. */
const WAITING_MAX = 1024;

/**
 * Says who somebody is. Passwords are checked one after the other off the event loop: one check takes 16 MiB and one of
 * the threads that also resolve names. One that was found right is remembered by a keyed digest (the key lives as long
 * as the process), so a fleet that returns after an outage is let in without 1,000 checks.
 */
export class Authenticator {
  readonly #users: Users;
  readonly #delays: LoginDelays;
  readonly #unmatched = unmatchedHash();
  readonly #key = randomBytes(32);
  /** By user: one entry each, so bounded by the configuration. */
  readonly #known = new Map<Account, Buffer>();
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(users: readonly UserRules[], delays: LoginDelays = new LoginDelays()) {
    this.#users = new Users(users);
    this.#delays = delays;
  }

  /** Whether one more login of this address can wait for its check: ask first, to tell "busy" from "wrong". */
  hasRoom(remote: string): boolean {
    return this.#waiting < WAITING_MAX && this.#delays.hasRoom(remote);
  }

  /**
   * Null for a wrong password as for an unknown user, after the same time; also where there is no room. Never rejects.
   * `remote` is the address that pays for failures with a wait.
   */
  byPassword(name: string, password: string | Uint8Array, remote: string, clientId: string): Promise<User | null> {
    const account = this.#users.byName(name);
    return this.#slowly(remote, clientId, async () =>
      (await this.#isRight(account, password, remote)) ? account : null,
    );
  }

  /** The user of a name, for one who has shown before who it is; null where there is none any more. */
  userOf(name: string, clientId: string): User | null {
    return this.#users.byName(name)?.user(clientId) ?? null;
  }

  /** The same for a token (NATS). */
  byToken(token: string, remote: string, clientId: string): Promise<User | null> {
    return this.#slowly(remote, clientId, async () => {
      const account = token.length <= PASSWORD_BYTES_MAX ? this.#users.byTokenHash(hashToken(token)) : null;
      if (account === null) await this.#delay(remote);
      return account;
    });
  }

  /** The same for an NKey (NATS): `signature` of the challenge `nonce`, which was made for this connection alone. */
  byKey(nkey: string, nonce: string, signature: string, remote: string, clientId: string): Promise<User | null> {
    return this.#slowly(remote, clientId, async () => {
      const account = this.#users.byKey(nkey);
      if (account !== null && isSignedBy(nkey, nonce, signature)) return account;
      await this.#delay(remote);
      return null;
    });
  }

  /** Somebody has an NKey, so connections need a challenge. */
  get hasKeys(): boolean {
    return this.#users.hasKeys;
  }

  /** A login that counts as one of its address, and that the address pays for where it fails. */
  async #slowly(remote: string, clientId: string, check: () => Promise<Account | null>): Promise<User | null> {
    if (!this.hasRoom(remote)) return null;
    this.#waiting++;
    this.#delays.enter(remote);
    const account = await check();
    this.#delays.leave(remote);
    this.#waiting--;
    if (account !== null) return account.user(clientId);
    this.#delays.failed(remote);
    return null;
  }

  async #delay(remote: string): Promise<void> {
    const delayMs = this.#delays.delayMs(remote);
    if (delayMs > 0) await wait(delayMs, undefined, { ref: false });
  }

  /** The user of a certificate that was verified: `names` are its common name and its alternative names. */
  byCertificate(names: readonly string[], clientId: string): User | null {
    return this.#users.byCertificate(names)?.user(clientId) ?? null;
  }

  async #isRight(account: Account | null, password: string | Uint8Array, remote: string): Promise<boolean> {
    if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) return false;
    const digest = createHmac('sha256', this.#key).update(password).digest();
    if (this.#isKnown(account, digest)) return true;
    await this.#delay(remote);
    const check = async (): Promise<boolean> => {
      // By its turn another device of the same user may have shown that it is right.
      if (this.#isKnown(account, digest)) return true;
      const isRight = await verifyPassword(password, account?.passwordHash ?? this.#unmatched);
      if (account !== null && isRight) this.#known.set(account, digest);
      return account !== null && isRight;
    };
    // A hash within the bounds is computed, unless memory is short: then nobody is let in.
    const checked = this.#last.then(check).catch(() => false);
    this.#last = checked;
    return checked;
  }

  #isKnown(account: Account | null, digest: Buffer): boolean {
    const known = account === null ? undefined : this.#known.get(account);
    return known !== undefined && timingSafeEqual(known, digest);
  }
}
