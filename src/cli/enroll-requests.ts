import { GatewayError } from '../core/errors.ts';
import type { Ticket } from './ticket.ts';

/** Subjects of the enrolment service; the last token is the verb. */
const SUBJECT = 'petiole-enroll';
const TIMEOUT_MS = 10_000;

/** What the requests need of the leaf link. */
interface Hub {
  request(subject: string, payload: string, timeoutMs: number): Promise<{ headers: Buffer; payload: Buffer }>;
}

/** An NKey of a user. */
export interface NewKey {
  readonly publicKey: string;
  readonly seed: string;
  sign(text: string): string;
}

/** A key of a seed, or a new one where there is none; throws a GatewayError where the seed is none. */
export async function newKey(seed: string | null): Promise<NewKey> {
  const { createUser, fromSeed } = await import('@nats-io/nkeys');
  try {
    const pair = seed === null ? createUser() : fromSeed(Buffer.from(seed.trim()));
    return {
      publicKey: pair.getPublicKey(),
      seed: Buffer.from(pair.getSeed()).toString('ascii'),
      sign: (text) => Buffer.from(pair.sign(Buffer.from(text))).toString('base64url'),
    };
  } catch {
    // The library's words may hold the seed.
    throw new GatewayError('credentials_invalid', 'what is kept is no seed of an NKey', {
      hint: 'remove the file that ends in .next and try again',
    });
  }
}

/** The requests to the enrolment service. Each is signed by the key that it is about; seeds stay here. */
export class Ask {
  readonly #hub: Hub;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  /** Shows the one-time code; gives the user JWT for `key`. */
  first({ name, code }: Ticket, key: NewKey): Promise<string> {
    const sig = key.sign(signed('new', name, key.publicKey, '', code));
    return this.#jwt('new', { name, code, key: key.publicKey, sig });
  }

  /** The present key asks for the next one. */
  renew(name: string, key: NewKey, next: NewKey): Promise<string> {
    const text = signed('renew', name, key.publicKey, next.publicKey, '');
    const proof = { sig: key.sign(text), nextSig: next.sign(text) };
    return this.#jwt('renew', { name, key: key.publicKey, next: next.publicKey, ...proof });
  }

  /** The next key has arrived: the one before may go. */
  async confirm(name: string, key: NewKey): Promise<void> {
    const sig = key.sign(signed('confirm', name, key.publicKey, '', ''));
    await this.#ask('confirm', { name, key: key.publicKey, sig });
  }

  async #jwt(verb: string, body: object): Promise<string> {
    const { jwt } = await this.#ask(verb, body);
    if (typeof jwt !== 'string') throw notUnderstood();
    return jwt;
  }

  async #ask(verb: string, body: object): Promise<Record<string, unknown>> {
    const subject = `${SUBJECT}.${verb}`;
    let payload: Buffer;
    try {
      ({ payload } = await this.#hub.request(subject, JSON.stringify(body), TIMEOUT_MS));
    } catch (cause) {
      throw new GatewayError('request_timeout', `nobody at the hub answers ${subject}`, {
        hint: 'start the enrolment service there (deploy/hub/fleet), in the account of the boxes',
        cause,
      });
    }
    let answer: unknown;
    try {
      answer = JSON.parse(payload.toString('utf8'));
    } catch {
      throw notUnderstood();
    }
    if (typeof answer !== 'object' || answer === null) throw notUnderstood();
    const { error, ...rest } = answer as Record<string, unknown>;
    if (typeof error !== 'object' || error === null) return rest;
    const { message, hint } = error as Record<string, unknown>;
    throw new GatewayError('authorization_failed', `the enrolment service refuses: ${String(message).slice(0, 256)}`, {
      retriable: false,
      hint: String(hint ?? '').slice(0, 256),
    });
  }
}

/** What is signed: a signature for one verb, name and key serves for no other. */
function signed(...parts: readonly [verb: string, name: string, key: string, next: string, code: string]): string {
  return parts.join('\n');
}

const notUnderstood = (): GatewayError =>
  new GatewayError('protocol_violation', 'the answer of the enrolment service makes no sense', {
    hint: 'look who may subscribe to petiole-enroll.> at the hub',
  });
