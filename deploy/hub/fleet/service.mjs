// The enrolment service: answers requests of boxes at the hub. It sees public keys only.
import { fromPublic } from '@nats-io/nkeys';
import { REQUESTS } from './authority.mjs';
import { confirm, Refusal, redeem, renew } from './registry.mjs';

/** Three keys, a code, a name and two signatures. */
const REQUEST_BYTES_MAX = 2_048;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const KEY = /^U[A-Z2-7]{55}$/;

/**
 * Serves until the connection closes. `push` brings the account with its revocations to the hub.
 * @param {{ hub: import('@nats-io/transport-node').NatsConnection, authority: import('./authority.mjs').Authority,
 *   registry: import('./registry.mjs').Registry, push: () => Promise<void>, lifeS?: number, log?: (text: string) => void }} parts
 */
export async function serve({ hub, authority, registry, push, lifeS, log = console.log }) {
  const verbs = {
    new: async (asked) => {
      proves('new', asked, asked.key, asked.sig);
      const before = Object.keys(registry.read().revocations).length;
      const box = await registry.update((state) => redeem(state, { ...asked, code: text(asked.code) }));
      if (Object.keys(registry.read().revocations).length > before) await push();
      return { jwt: await authority.boxJwt({ ...box, name: asked.name, key: asked.key, expiresInS: lifeS }) };
    },
    renew: async (asked) => {
      const { name, key, next } = asked;
      if (!KEY.test(text(next))) throw new Refusal('bad_request', 'there is no next key', 'update the box');
      proves('renew', asked, key, asked.sig);
      proves('renew', asked, next, asked.nextSig);
      const box = await registry.update((state) => renew(state, { name, key, next }));
      return { jwt: await authority.boxJwt({ ...box, name, key: next, expiresInS: lifeS }) };
    },
    confirm: async (asked) => {
      proves('confirm', asked, asked.key, asked.sig);
      if (await registry.update((state) => confirm(state, asked))) await push();
      return { confirmed: true };
    },
  };
  // A queue group, so that two services on one registry share the work.
  const requests = hub.subscribe(`${REQUESTS}.*`, { queue: REQUESTS });
  await hub.flush();
  for await (const message of requests) {
    const verb = message.subject.slice(REQUESTS.length + 1);
    let answer;
    try {
      const asked = parse(message.data);
      if (!Object.hasOwn(verbs, verb)) throw new Refusal('bad_request', `there is no ${verb}`, 'update the service');
      answer = await verbs[verb](asked);
      log(`${verb} ${asked.name}: done`);
    } catch (error) {
      const refusal =
        error instanceof Refusal ? error : new Refusal('failed', 'the service could not do it', 'see its log');
      log(`${verb}: ${error.message}`);
      answer = { error: { code: refusal.code, message: refusal.message, hint: refusal.hint } };
    }
    message.respond(JSON.stringify(answer));
  }
}

function parse(data) {
  if (data.length > REQUEST_BYTES_MAX) throw new Refusal('bad_request', 'the request is too large', 'update the box');
  let asked;
  try {
    asked = JSON.parse(Buffer.from(data).toString('utf8'));
  } catch {
    throw new Refusal('bad_request', 'the request is not JSON', 'update the box');
  }
  if (!NAME.test(text(asked?.name)) || !KEY.test(text(asked?.key))) {
    throw new Refusal('bad_request', 'name or key is missing', 'update the box');
  }
  return asked;
}

/** Who asks holds the seed of `key`: it has signed what is asked for. */
function proves(verb, { name, key, next = '', code = '' }, signer, signature) {
  const signed = Buffer.from([verb, name, key, next, code].join('\n'));
  let holds = false;
  try {
    holds = fromPublic(signer).verify(signed, Buffer.from(text(signature), 'base64url'));
  } catch {
    // No key at all, or no signature of 64 bytes.
  }
  if (!holds) throw new Refusal('bad_signature', `the request is not signed by ${signer}`, 'update the box');
}

const text = (value) => (typeof value === 'string' ? value : '');
