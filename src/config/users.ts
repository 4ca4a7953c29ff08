import * as v from 'valibot';
import * as field from './fields.ts';

/** A file of the longest size has room for no more; each has a memory of the topics that it may use. */
export const USERS_MAX = 256;
/** Looked through for each topic the first time that it is seen. */
const USER_RULES_MAX = 64;

/** Who may connect, and to what. */
export const user = field.map({
  name: v.pipe(field.userName(), v.metadata({ example: 'line3' })),
  password_hash: v.optional(field.passwordHash()),
  /** For NATS clients. */
  token_hash: v.optional(field.tokenHash()),
  nkey: v.optional(field.userKey()),
  /** Common name or alternative name of a client certificate. */
  certificate: v.optional(field.text()),
  publish: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  publish_deny: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  subscribe: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  subscribe_deny: v.optional(field.list(field.rule(), 0, USER_RULES_MAX), []),
  /** May answer the requests that it receives, beside what it may publish; `true` is short for the defaults (NATS). */
  allow_responses: v.optional(
    field.map({
      max: v.optional(field.count(1, 1_000_000), 1),
      expires: v.optional(field.duration('1ms', '1d'), '2m'),
    }),
  ),
});

export function toUser(file: v.InferOutput<typeof user>) {
  return {
    name: file.name,
    passwordHash: file.password_hash ?? null,
    tokenHash: file.token_hash ?? null,
    nkey: file.nkey ?? null,
    certificate: file.certificate ?? null,
    publish: file.publish,
    publishDeny: file.publish_deny,
    subscribe: file.subscribe,
    subscribeDeny: file.subscribe_deny,
    responses: file.allow_responses ? { max: file.allow_responses.max, expiresMs: file.allow_responses.expires } : null,
  };
}
