import { covers, isSystemSubject } from '../../core/subject.ts';

/** Subjects as a board writes them, and which of them it may use. */
export class SubjectRules {
  readonly #prefix: string;
  readonly #publish: readonly string[];
  readonly #subscribe: readonly string[];

  /** `prefix`: what is below it is the board's own, and always allowed. */
  constructor(prefix: string, publish: readonly string[], subscribe: readonly string[]) {
    this.#prefix = prefix;
    this.#publish = publish;
    this.#subscribe = subscribe;
  }

  /** `.door` is below the board's own subject. */
  whole(subject: string): string {
    return subject.startsWith('.') ? `${this.#prefix}${subject}` : subject;
  }

  /** The other way round, where its subscription had a point in front. */
  relative(subject: string): string {
    return subject.startsWith(`${this.#prefix}.`) ? subject.slice(this.#prefix.length) : subject;
  }

  mayPublish(subject: string): boolean {
    return this.#isAllowed(this.#publish, subject);
  }

  maySubscribe(filter: string): boolean {
    return this.#isAllowed(this.#subscribe, filter);
  }

  /** System subjects only by filters that name them. */
  #isAllowed(rules: readonly string[], subject: string): boolean {
    if (subject.startsWith(`${this.#prefix}.`)) return true;
    const isSystem = isSystemSubject(subject);
    return rules.some((rule) => covers(rule, subject) && (!isSystem || isSystemSubject(rule)));
  }
}
