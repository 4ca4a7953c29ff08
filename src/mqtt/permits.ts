import type { User } from '../core/users.ts';
import { reason } from './reason-codes.ts';
import { CACHED_BYTES_MAX, refused, remember, type TopicName, type TopicReader } from './topic-names.ts';

/** Topics of one user, which a whole fleet may share; 300 KB when full. A round of more is judged each time. */
const USER_CACHED_MAX = 1024;
/** Topics of one client whose rules are its own: 1,000 clients fill some 20 MB. */
const CLIENT_CACHED_MAX = 64;

const forbidden = refused(reason.notAuthorized, 'the user may not publish to the topic');

/** What each user may publish to, remembered with the topic names, so that it is judged once for each topic. */
export class Permits {
  readonly #topics: TopicReader;
  /** Goes with its user. */
  readonly #byUser = new WeakMap<User, TopicReader>();

  constructor(topics: TopicReader) {
    this.#topics = topics;
  }

  /** The topic names of a user; all of them for null. */
  topicsOf(user: User | null): TopicReader {
    if (user === null) return this.#topics;
    const known = this.#byUser.get(user);
    if (known !== undefined) return known;
    const topics = new UserTopics(this.#topics, user);
    this.#byUser.set(user, topics);
    return topics;
  }
}

class UserTopics implements TopicReader {
  readonly #all: TopicReader;
  readonly #user: User;
  readonly #names = new Map<string, TopicName>();

  constructor(all: TopicReader, user: User) {
    this.#all = all;
    this.#user = user;
  }

  read(bytes: Buffer, start: number, end: number): TopicName {
    if (end - start > CACHED_BYTES_MAX) return this.#judge(this.#all.read(bytes, start, end));
    const key = bytes.toString('latin1', start, end);
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = this.#judge(this.#all.read(bytes, start, end));
    remember(this.#names, key, name, this.#user.isPerClient ? CLIENT_CACHED_MAX : USER_CACHED_MAX);
    return name;
  }

  #judge(name: TopicName): TopicName {
    return name.refusal === 0 && !this.#user.mayPublish(name.subject) ? { ...forbidden, wanted: name.subject } : name;
  }
}
