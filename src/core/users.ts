import { covers, isFilter, isSystemSubject, matches, overlaps } from './subject.ts';
import { topicToSubject } from './topic.ts';

/** Who a connection acts for, and what it may do. Subjects and filters as NATS has them. */
export interface User {
  readonly name: string;
  /** Its rules name the client (`{clientid}`) and hold for this one alone. */
  readonly isPerClient: boolean;
  /** With their placeholders filled in. */
  readonly rules: Rules;
  mayPublish(subject: string): boolean;
  /** Only where one rule covers the whole filter, and no deny rule does: `mayReceive` judges the rest. */
  maySubscribe(filter: string): boolean;
  mayReceive(subject: string): boolean;
  /** Whether the filter matches subjects that it may not receive although it may subscribe to it. */
  hidesSome(filter: string): boolean;
}

/** A deny rule is stronger than any other. */
export interface Rules {
  readonly publish: readonly string[];
  readonly publishDeny: readonly string[];
  readonly subscribe: readonly string[];
  readonly subscribeDeny: readonly string[];
  /** May answer requests that it received, whatever the reply subject; null: no. */
  readonly responses: ResponseRule | null;
}

export interface ResponseRule {
  /** Answers to one request. */
  readonly max: number;
  readonly expiresMs: number;
}

/** A user as configured. */
export interface UserRules {
  readonly name: string;
  /** `$scrypt$…`; null for one without a password. */
  readonly passwordHash: string | null;
  /** `$sha256$…` of its token (NATS only). */
  readonly tokenHash?: string | null;
  /** Its public NKey, `U…` (NATS only). */
  readonly nkey?: string | null;
  /** Common name or alternative name of its client certificate; null for one without. */
  readonly certificate: string | null;
  /** Subject filters; `{clientid}` and `{username}` stand for one token. */
  readonly publish: readonly string[];
  readonly publishDeny?: readonly string[];
  readonly subscribe: readonly string[];
  readonly subscribeDeny?: readonly string[];
  readonly responses?: ResponseRule | null;
}

const CLIENT_ID = '{clientid}';
const USER_NAME = '{username}';

/** A subject filter that may have placeholders, each as a whole token. */
export function isRule(pattern: string): boolean {
  const tokens = pattern.split('.').map((token) => (token === CLIENT_ID || token === USER_NAME ? 'x' : token));
  return isFilter(tokens.join('.')) && !tokens.some((token) => token.includes('{') || token.includes('}'));
}

/** The users of a box by what they show of themselves: looked up, never changed. */
export class Users {
  readonly #byName = new Map<string, Account>();
  readonly #byCertificate = new Map<string, Account>();
  readonly #byTokenHash = new Map<string, Account>();
  readonly #byKey = new Map<string, Account>();

  constructor(users: readonly UserRules[]) {
    for (const rules of users) {
      const account = new Account(rules);
      this.#byName.set(rules.name, account);
      if (rules.certificate !== null) this.#byCertificate.set(rules.certificate, account);
      if (rules.tokenHash) this.#byTokenHash.set(rules.tokenHash, account);
      if (rules.nkey) this.#byKey.set(rules.nkey, account);
    }
  }

  /** Somebody has an NKey, so a server's challenge is needed. */
  get hasKeys(): boolean {
    return this.#byKey.size > 0;
  }

  byName(name: string): Account | null {
    return this.#byName.get(name) ?? null;
  }

  byTokenHash(hash: string): Account | null {
    return this.#byTokenHash.get(hash) ?? null;
  }

  byKey(nkey: string): Account | null {
    return this.#byKey.get(nkey) ?? null;
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
    const { publish, publishDeny = [], subscribe, subscribeDeny = [] } = rules;
    const all = [...publish, ...publishDeny, ...subscribe, ...subscribeDeny];
    const isPerClient = all.some((rule) => rule.includes(CLIENT_ID));
    this.#shared = isPerClient ? null : new RuledUser(rules, '', false);
  }

  user(clientId: string): User {
    return this.#shared ?? new RuledUser(this.#rules, clientId, true);
  }
}

class RuledUser implements User {
  readonly name: string;
  readonly isPerClient: boolean;
  readonly rules: Rules;

  constructor(user: UserRules, clientId: string, isPerClient: boolean) {
    const { name, publish, publishDeny = [], subscribe, subscribeDeny = [], responses = null } = user;
    this.name = name;
    this.isPerClient = isPerClient;
    this.rules = {
      publish: fill(publish, name, clientId),
      publishDeny: fill(publishDeny, name, clientId, true),
      subscribe: fill(subscribe, name, clientId),
      subscribeDeny: fill(subscribeDeny, name, clientId, true),
      responses,
    };
  }

  mayPublish(subject: string): boolean {
    return anyMatches(this.rules.publish, subject) && !anyMatches(this.rules.publishDeny, subject);
  }

  maySubscribe(filter: string): boolean {
    const { subscribe, subscribeDeny } = this.rules;
    return subscribe.some((rule) => covers(rule, filter)) && !subscribeDeny.some((rule) => covers(rule, filter));
  }

  mayReceive(subject: string): boolean {
    return anyMatches(this.rules.subscribe, subject) && !anyMatches(this.rules.subscribeDeny, subject);
  }

  hidesSome(filter: string): boolean {
    return this.rules.subscribeDeny.some((rule) => overlaps(rule, filter));
  }
}

function anyMatches(rules: readonly string[], subject: string): boolean {
  for (const rule of rules) if (matches(rule, subject)) return true;
  return false;
}

/**
 * The rules of one client. An allow rule whose placeholder has no token is left out: it allows nothing. In a deny rule
 * such a placeholder stands for any token.
 */
function fill(rules: readonly string[], name: string, clientId: string, isDeny = false): string[] {
  return rules.flatMap((rule) => {
    if (!rule.includes(CLIENT_ID) && !rule.includes(USER_NAME)) return [rule];
    const tokens = rule.split('.').map((token) => {
      if (token === CLIENT_ID) return tokenOf(clientId) || (isDeny ? '*' : '');
      return token === USER_NAME ? tokenOf(name) : token;
    });
    const filled = tokens.join('.');
    // A client named `$JS` must not come to own the system's subjects by its name.
    const isStolen = !isDeny && isSystemSubject(filled) && !isSystemSubject(rule);
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
