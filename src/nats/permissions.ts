import { covers, hasWildcard, matches } from '../core/subject.ts';
import type { Permissions } from './hub-info.ts';

/** Answers kept per set of permissions: the subjects of a busy box, 1 MiB at most. */
const CACHED_SUBJECTS_MAX = 4096;
/** Longer subjects are looked up each time, so that a few cannot fill the memory. */
const CACHED_SUBJECT_LENGTH_MAX = 256;

/** Hubs exempt these from the permission check: their own plumbing, and acknowledgements to consumers. */
const EXEMPT = ['$JS.ACK.', '_GR_.', '_R_.', '$LDS.', '$GR.'];

/** One side of the hub's permissions, asked for every message. */
export class SubjectRules {
  readonly #permissions: Permissions | null;
  readonly #known = new Map<string, boolean>();

  constructor(permissions: Permissions | null) {
    this.#permissions = permissions;
  }

  /** Whether nothing under this filter can be allowed, because one prohibition covers it. */
  deniesAll(filter: string): boolean {
    return this.#permissions?.deny.some((denied) => covers(denied, filter)) ?? false;
  }

  allows(subject: string): boolean {
    if (this.#permissions === null) return true;
    const known = this.#known.get(subject);
    if (known !== undefined) return known;
    const allowed = isAllowed(this.#permissions, subject);
    if (subject.length <= CACHED_SUBJECT_LENGTH_MAX) {
      if (this.#known.size >= CACHED_SUBJECTS_MAX) this.#known.clear();
      this.#known.set(subject, allowed);
    }
    return allowed;
  }
}

/** Prohibitions of the box's own, on top of the hub's. */
export function prohibitions(deny: readonly string[]): SubjectRules {
  return new SubjectRules(deny.length === 0 ? null : { allow: [], deny });
}

function isAllowed({ allow, deny }: Permissions, subject: string): boolean {
  if (EXEMPT.some((prefix) => subject.startsWith(prefix))) return true;
  if (allow.length > 0 && !allow.some((filter) => matches(filter, subject))) return false;
  return !deny.some((filter) => matches(filter, subject));
}

/** Hubs never deliver these over a leaf link, and a literal one among them would cost the whole link. */
const NEVER_ANNOUNCED = ['$JS.API', '$KV', '$OBJ', '$LDS', '_GR_', '$GR'];

/** Whether LS+ of this local filter is safe: a literal outside `import` closes the link, a wildcard is only filtered. */
export function mayAnnounce(filter: string, imports: SubjectRules): boolean {
  for (const prefix of NEVER_ANNOUNCED) {
    if (filter.startsWith(prefix) && (filter.length === prefix.length || filter[prefix.length] === '.')) return false;
  }
  // Every reply of every client in the account would come down the line.
  if (filter === '_INBOX.>') return false;
  return hasWildcard(filter) || imports.allows(filter);
}

/** Taken by the hub although it announces no interest in them. */
const ALWAYS_WANTED = ['$JS.API.', '$JS.ACK.', '$KV.', '$OBJ.'];

export function isAlwaysWanted(subject: string): boolean {
  return subject.charCodeAt(0) === 36 /* $ */ && ALWAYS_WANTED.some((prefix) => subject.startsWith(prefix));
}
