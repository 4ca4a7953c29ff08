import { covers, matches } from '../core/subject.ts';
import type { User } from '../core/users.ts';

/**
 * A user whose client asked for Response Information [MQTT5 3.1.2.11.6]: it may subscribe below the subject that it was
 * told, whatever its rules are. Others may not, unless a rule of theirs says so.
 */
export function withResponses(user: User | null, responseSubject: string): User | null {
  if (user === null) return null;
  const own = `${responseSubject}.>`;
  return {
    name: user.name,
    isPerClient: true,
    rules: { ...user.rules, subscribe: [...user.rules.subscribe, own] },
    mayPublish: (subject) => user.mayPublish(subject),
    maySubscribe: (filter) => user.maySubscribe(filter) || covers(own, filter),
    mayReceive: (subject) => user.mayReceive(subject) || matches(own, subject),
    hidesSome: (filter) => user.hidesSome(filter),
  };
}
