import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';

/** JWTs of an operator of the test's own, as nsc makes them. */
export class TestOperator {
  readonly #operator = createOperator();
  readonly #account = createAccount();

  /** Public key of the one account. */
  get account(): string {
    return this.#account.getPublicKey();
  }

  /** For `extra` of a nats-server: operator mode with this one account, JetStream without bounds. */
  get serverConfig(): string {
    const free = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
    const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
    const account = encode(this.#operator, this.account, 'PLANTS', {
      type: 'account',
      version: 2,
      limits: { ...free, ...jetstream },
    });
    const operator = encode(this.#operator, this.#operator.getPublicKey(), 'OP', { type: 'operator', version: 2 });
    return `operator: ${operator}\nresolver: MEMORY\nresolver_preload: { ${this.account}: ${account} }`;
  }

  /** A credentials file's text. `expiresInS` may be negative. */
  credentials(options: { expiresInS?: number; bearer?: boolean; types?: string[]; otherSeed?: boolean } = {}): string {
    const user = createUser();
    const jwt = encode(
      this.#account,
      user.getPublicKey(),
      'plant1',
      {
        type: 'user',
        version: 2,
        subs: -1,
        data: -1,
        payload: -1,
        ...(options.bearer ? { bearer_token: true } : {}),
        ...(options.types ? { allowed_connection_types: options.types } : {}),
      },
      options.expiresInS,
    );
    const seed = Buffer.from((options.otherSeed ? createUser() : user).getSeed()).toString();
    const text = `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`;
    return options.bearer ? text : `${text}\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
  }
}

function encode(issuer: KeyPair, subject: string, name: string, nats: object, expiresInS?: number): string {
  const nowS = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    jti: `${name}${nowS}`,
    iat: nowS - 60,
    iss: issuer.getPublicKey(),
    name,
    sub: subject,
    nats,
    ...(expiresInS === undefined ? {} : { exp: nowS + expiresInS }),
  };
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}
