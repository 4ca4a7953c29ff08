import type { Message } from '../core/message.ts';
import { isSystemSubject, matches } from '../core/subject.ts';

/** Subjects whose lane is remembered: a plant's sensors; when full it is simply begun anew. */
const CACHE_MAX = 4_096;
/** Longer subjects are looked up each time: real ones are shorter, and the cache stays below 1 MiB. */
const CACHED_LENGTH_MAX = 256;

export interface LaneRule {
  readonly subjects: readonly string[];
  /** `pass`: messages with a reply subject stay live, so that requests reach their responders. */
  readonly replies: 'receipt' | 'pass';
}

/** Which lane takes a message: the first one with a matching subject filter. */
export class LaneMatch {
  readonly #rules: readonly LaneRule[];
  readonly #cache = new Map<string, number>();

  constructor(rules: readonly LaneRule[]) {
    this.#rules = rules;
  }

  /** -1 for none: the message is live only. */
  laneOf({ subject, reply }: Message): number {
    let lane = this.#cache.get(subject);
    if (lane === undefined) {
      lane = this.#rules.findIndex(({ subjects }) => subjects.some((filter) => takes(filter, subject)));
      if (this.#cache.size >= CACHE_MAX) this.#cache.clear();
      if (subject.length <= CACHED_LENGTH_MAX) this.#cache.set(subject, lane);
    }
    return lane >= 0 && reply !== '' && this.#rules[lane]?.replies === 'pass' ? -1 : lane;
  }
}

/** What boxes say of themselves: live, unless a lane names it. */
const OWN = 'petiole.';

/** System subjects and the boxes' own are journaled only where the filter spells their first token out. */
function takes(filter: string, subject: string): boolean {
  if (!matches(filter, subject)) return false;
  if (subject.startsWith(OWN)) return filter.startsWith(OWN);
  return !isSystemSubject(subject) || isSystemSubject(filter);
}
