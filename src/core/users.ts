import { covers, isFilter, isSystemSubject, matches } from './subject.ts';
import { topicToSubject } from './topic.ts';

/** Who a connection acts for, and what it may do. Subjects and filters as NATS has them. */
export interface User {
  readonly name: string;
  /** Its rules name the client (`{clientid}`) and hold for this one alone. */
  readonly isPerClient: boolean;
  mayPublish(subject: string): boolean;
  /** Only where one rule covers the whole filter: so whatever the subscription matches may be received. */
  maySubscribe(filter: string): boolean;
  mayReceive(subject: string): boolean;
}

/** A user as configured. */
export interface UserRules {
  readonly name: string;
  /** `$scrypt$…`; null for one that has only a certificate. */
  readonly passwordHash: string | null;
  /** Common name or alternative name of its client certificate; null for one that has only a password. */
  readonly certificate: string | null;
  /** Subject filters; `{clientid}` and `{username}` stand for one token. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const CLIENT_ID = '{clientid}';
const USER_NAME = '{username}';

/** A subject filter that may have placeholders, each as a whole token. */
export function isRule(pattern: string): boolean {
  const tokens = pattern.split('.').map((token) => (token === CLIENT_ID || token === USER_NAME ? 'x' : token));
  return isFilter(tokens.join('.')) && !tokens.some((token) => token.includes('{') || token.includes('}'));
}

/** The users of a box by name and by certificate: looked up, never changed. */
export class Users {
  readonly #byName = new Map<string, Account>();
  readonly #byCertificate = new Map<string, Account>();

  constructor(users: readonly UserRules[]) {
    for (const rules of users) {
      const account = new Account(rules);
      this.#byName.set(rules.name, account);
      if (rules.certificate !== null) this.#byCertificate.set(rules.certificate, account);
    }
  }

  byName(name: string): Account | null {
    return this.#byName.get(name) ?? null;
  }

  /** The user of the first of these names that is somebody's. */
  byCertificate(names: readonly string[]): Account | null {
    for (const name of names) {
      const account = this.#byCertificate.get(name);
      if (account !== undefined) return account;
    }
    return null;
  }
}

/** One configured user. Without `{clientid}` all its connections share one set of rules. */
export class Account {
  readonly name: string;
  readonly passwordHash: string | null;
  readonly #rules: UserRules;
  readonly #shared: User | null;

  constructor(rules: UserRules) {
    this.name = rules.name;
    this.passwordHash = rules.passwordHash;
    this.#rules = rules;
    const isPerClient = [...rules.publish, ...rules.subscribe].some((rule) => rule.includes(CLIENT_ID));
    this.#shared = isPerClient ? null : new RuledUser(rules, '', false);
  }

  user(clientId: string): User {
    return this.#shared ?? new RuledUser(this.#rules, clientId, true);
  }
}

class RuledUser implements User {
  readonly name: string;
  readonly isPerClient: boolean;
  readonly #publish: readonly string[];
  readonly #subscribe: readonly string[];

  constructor({ name, publish, subscribe }: UserRules, clientId: string, isPerClient: boolean) {
    this.name = name;
    this.isPerClient = isPerClient;
    this.#publish = fill(publish, name, clientId);
    this.#subscribe = fill(subscribe, name, clientId);
  }

  mayPublish(subject: string): boolean {
    return this.#publish.some((rule) => matches(rule, subject));
  }

  maySubscribe(filter: string): boolean {
    return this.#subscribe.some((rule) => covers(rule, filter));
  }

  mayReceive(subject: string): boolean {
    return this.#subscribe.some((rule) => matches(rule, subject));
  }
}

/** The rules of one client. A rule whose placeholder has no token is left out: it allows nothing. */
function fill(rules: readonly string[], name: string, clientId: string): string[] {
  return rules.flatMap((rule) => {
    if (!rule.includes(CLIENT_ID) && !rule.includes(USER_NAME)) return [rule];
    const tokens = rule.split('.').map((token) => {
      if (token === CLIENT_ID) return tokenOf(clientId);
      return token === USER_NAME ? tokenOf(name) : token;
    });
    const filled = tokens.join('.');
    // A client named `$JS` must not come to own the system's subjects by its name.
    const isStolen = isSystemSubject(filled) && !isSystemSubject(rule);
    return tokens.includes('') || isStolen || !isFilter(filled) ? [] : [filled];
  });
}

/**
 * A name as one token, the one that a topic level of this name has: `a.b` is `a//b`, `*` is `%2A`, so it has no wildcard,
 * and no two names share one. '' for a name that is no topic level (`/`, `+`, `#`, empty): whatever it was turned into
 * could be the name of somebody else.
 */
function tokenOf(name: string): string {
  return /^[^/+#\0]+$/.test(name) && name.isWellFormed() ? topicToSubject(name) : '';
}
