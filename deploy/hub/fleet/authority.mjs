// Who signs what: an operator vouches for accounts, an account's signing key vouches for the boxes in it. The library does
// the encoding; what a box may do is decided here.
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Algorithms, encodeAccount, encodeOperator, encodeUser, fmtCreds } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromSeed } from '@nats-io/nkeys';

const MAKERS = { operator: createOperator, system: createAccount, account: createAccount, signer: createAccount };
const V2 = { algorithm: Algorithms.v2 };
const FREE = { subs: -1, data: -1, payload: -1 };
const ACCOUNT_LIMITS = { ...FREE, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
/** Requests of boxes to the service; the last token is the verb. */
export const REQUESTS = 'petiole-enroll';

export class Authority {
  #keys;

  /** @param {string} dir where the seeds are; each is a file that only its owner may read. */
  constructor(dir) {
    this.dir = dir;
    this.#keys = Object.fromEntries(
      Object.keys(MAKERS).map((name) => [name, fromSeed(readFileSync(join(dir, `${name}.seed`)))]),
    );
  }

  /** Makes the keys of a fleet; refuses to write over those of another one. */
  static create(dir) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
    for (const [name, make] of Object.entries(MAKERS)) {
      writeFileSync(join(dir, `${name}.seed`), make().getSeed(), { mode: 0o600, flag: 'wx' });
    }
    return new Authority(dir);
  }

  static exists(dir) {
    return existsSync(join(dir, 'operator.seed'));
  }

  get account() {
    return this.#keys.account.getPublicKey();
  }

  /** The account of the boxes, with the keys that are no longer welcome: public key → the second up to which. */
  accountJwt(revocations) {
    const { account, signer, operator } = this.#keys;
    const claims = { limits: { ...ACCOUNT_LIMITS, ...JETSTREAM }, signing_keys: [signer.getPublicKey()], revocations };
    return encodeAccount('PLANTS', account, claims, { ...V2, signer: operator });
  }

  /** What nats-server includes: it trusts the operator, and learns of revocations by way of its own resolver folder. */
  async serverConfig(resolverDir, revocations) {
    const { operator, system } = this.#keys;
    const trusted = await encodeOperator('PETIOLE', operator, { system_account: system.getPublicKey() }, V2);
    const own = await encodeAccount('SYS', system, { limits: ACCOUNT_LIMITS }, { ...V2, signer: operator });
    return [
      `operator: ${trusted}`,
      `resolver { type: full, dir: ${JSON.stringify(resolve(resolverDir))}, allow_delete: false, interval: "2m" }`,
      'resolver_preload {',
      `  ${system.getPublicKey()}: ${own}`,
      `  ${this.account}: ${await this.accountJwt(revocations)}`,
      '}',
      '',
    ].join('\n');
  }

  /** Least permissions of one box: its subjects, its own requests and answers, and its streams' bookkeeping. */
  boxJwt({ name, key, publish, subscribe, streams, expiresInS }) {
    const bookkeeping = streams.flatMap((stream) => [
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.STREAM.MSG.GET.${stream}`,
      `$JS.API.CONSUMER.CREATE.${stream}`,
      `$JS.API.CONSUMER.CREATE.${stream}.>`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
      `$JS.API.CONSUMER.DELETE.${stream}.*`,
    ]);
    return this.#user(name, key, expiresInS, {
      allowed_connection_types: ['LEAFNODE', 'LEAFNODE_WS'],
      pub: {
        allow: [
          ...publish,
          `petiole.${name}.>`,
          '$JS.API.STREAM.NAMES',
          ...bookkeeping,
          `${REQUESTS}.renew`,
          `${REQUESTS}.confirm`,
          // Answers to requests from the cloud; a hub tells its leaves nothing of allowed responses. Inboxes are random names.
          '_INBOX.>',
        ],
      },
      sub: { allow: [...subscribe, `petiole.${name}.>`, `$PETIOLE.${name}.>`, `_INBOX.${name}.>`] },
    });
  }

  /** Of somebody without a key yet: may ask for credentials, once its code is right, and nothing else. */
  ticketJwt({ name, expiresInS }) {
    return this.#user(`ticket-${name}`, createUser().getPublicKey(), expiresInS, {
      bearer_token: true,
      allowed_connection_types: ['LEAFNODE', 'LEAFNODE_WS'],
      pub: { allow: [`${REQUESTS}.new`] },
      sub: { allow: [`_INBOX.${name}.>`] },
    });
  }

  /** Credentials of a program at the hub, key included: for the service, and for people. */
  async credentials(role) {
    const user = createUser();
    const own =
      role === 'system'
        ? await encodeUser('fleet', user, this.#keys.system, FREE, V2)
        : await this.#user(role, user.getPublicKey(), undefined, {});
    return Buffer.from(fmtCreds(own, user)).toString();
  }

  #user(name, key, expiresInS, permissions) {
    const { account, signer } = this.#keys;
    const until = expiresInS === undefined ? {} : { exp: Math.floor(Date.now() / 1000) + expiresInS };
    return encodeUser(name, key, account.getPublicKey(), { ...FREE, ...permissions }, { ...V2, ...until, signer });
  }
}
