import type { User } from '../core/users.ts';

/** Judged subjects that are remembered for each connection: those of a busy program, some 100 KB. */
const SUBJECTS_MAX = 1024;
/** Longer ones are judged each time. */
const SUBJECT_CHARACTERS_MAX = 256;
/** Requests that wait for their answer, of one connection; with more, the oldest may no longer be answered. */
const REPLIES_MAX = 4096;

interface Reply {
  left: number;
  readonly expiresAt: number;
}

/** What the user of one connection may do, with its judgements remembered. */
export class ClientPermits {
  readonly user: User;
  readonly #judged = new Map<string, boolean>();
  /** Reply subjects of requests that were delivered, oldest first. */
  readonly #replies = new Map<string, Reply>();

  constructor(user: User) {
    this.user = user;
  }

  /** An answer to a request counts down what the request allows. */
  mayPublish(subject: string): boolean {
    const known = this.#judged.get(subject);
    return (known ?? this.#judge(subject)) || this.#mayAnswer(subject);
  }

  /** The client gets a request, which it may answer. `now` on the monotonic clock. */
  delivered(reply: string, now: number): void {
    const { responses } = this.user.rules;
    if (responses === null || reply.length > SUBJECT_CHARACTERS_MAX || this.#judged.get(reply) === true) return;
    this.#replies.delete(reply);
    if (this.#replies.size >= REPLIES_MAX)
      for (const oldest of this.#replies.keys()) if (this.#replies.delete(oldest)) break;
    this.#replies.set(reply, { left: responses.max, expiresAt: now + responses.expiresMs });
  }

  #judge(subject: string): boolean {
    const allowed = this.user.mayPublish(subject);
    if (subject.length <= SUBJECT_CHARACTERS_MAX) {
      if (this.#judged.size >= SUBJECTS_MAX) this.#judged.clear();
      this.#judged.set(subject, allowed);
    }
    return allowed;
  }

  #mayAnswer(subject: string): boolean {
    const reply = this.#replies.get(subject);
    if (reply === undefined) return false;
    const isInTime = performance.now() < reply.expiresAt;
    if (!isInTime || --reply.left === 0) this.#replies.delete(subject);
    return isInTime;
  }
}
