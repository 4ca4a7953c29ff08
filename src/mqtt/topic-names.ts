import { isUtf8 } from 'node:buffer';
import { subjectToTopic, topicToSubject } from '../core/topic.ts';
import { malformed, PacketError } from './packet-error.ts';
import { reason } from './reason-codes.ts';

/** A well-formed topic name: its subject, or why it is not taken. */
export interface TopicName {
  /** '' where the name is refused. */
  readonly subject: string;
  /** Reason code of the refusal; 0 for a name that is taken. */
  readonly refusal: number;
  readonly why: string;
  /** The subject of a name that only the answer to a request may have. */
  readonly wanted?: string;
}

/** Reads topic names of PUBLISH packets and wills. */
export interface TopicReader {
  /** Throws a PacketError for what is no topic name at all: wildcards, U+0000, not UTF-8 [MQTT-3.3.2-1] [MQTT-3.3.2-2]. */
  read(bytes: Buffer, start: number, end: number): TopicName;
}

/**
 * A NATS server reads a control line of 4096 bytes at most, and the subject is not alone in it: a longer one would cut
 * the link to the hub each time that it is sent.
 */
export const SUBJECT_BYTES_MAX = 2048;

/** Each way. An entry costs some 300 bytes: 2.5 MB when full. A round of more topics than this is mapped each time. */
const CACHED_MAX = 8192;
/** Longer ones are mapped each time, so that the cache is bounded in bytes as well. */
export const CACHED_BYTES_MAX = 256;

/** How a client without Response Topics answers; see answers.ts. */
const REPLY_BYTES = '$reply/';
const DOLLAR = 0x24;
const PLUS = 0x2b;
const HASH = 0x23;

/** Topic names to subjects and back, remembered: a sensor uses the same few for years. */
export class TopicNames implements TopicReader {
  readonly #levelsMax: number;
  readonly #bytesMax: number;
  readonly #names = new Map<string, TopicName>();
  readonly #topics = new Map<string, Buffer | null>();

  constructor(levelsMax: number, bytesMax: number = SUBJECT_BYTES_MAX) {
    this.#levelsMax = levelsMax;
    this.#bytesMax = bytesMax;
  }

  read(bytes: Buffer, start: number, end: number): TopicName {
    if (end - start > CACHED_BYTES_MAX) return this.#map(bytes.subarray(start, end));
    // As Latin-1 a string stands for exactly these bytes: one found again needs no second look at its UTF-8.
    const key = bytes.toString('latin1', start, end);
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = this.#map(bytes.subarray(start, end));
    remember(this.#names, key, name, CACHED_MAX);
    return name;
  }

  #map(bytes: Buffer): TopicName {
    // [MQTT-4.7.3-1]
    if (bytes.length === 0) throw malformed('the topic name is empty');
    if (bytes.includes(0)) throw malformed('the topic name contains U+0000');
    if (!isUtf8(bytes)) throw malformed('the topic name is not UTF-8');
    if (bytes.includes(PLUS) || bytes.includes(HASH)) {
      throw new PacketError(reason.topicNameInvalid, 'the topic name has a wildcard', {
        hint: '+ and # are for topic filters: publish without them',
      });
    }
    if (bytes[0] === DOLLAR) {
      if (bytes.toString('latin1', 0, REPLY_BYTES.length) === REPLY_BYTES && bytes.length > REPLY_BYTES.length) {
        const why = 'the client was not asked on the topic that it answers';
        return { ...refused(reason.notAuthorized, why), wanted: topicToSubject(bytes.toString('utf8')) };
      }
      return refused(reason.notAuthorized, 'topics that begin with $ are for the server itself');
    }
    if (bytes.length > this.#bytesMax) {
      const why = `the topic name has ${bytes.length} bytes and ${this.#bytesMax} are allowed (mqtt.topic_bytes_max)`;
      return refused(reason.topicNameInvalid, why);
    }
    const topic = bytes.toString('utf8');
    const levels = levelsOf(topic);
    if (levels > this.#levelsMax) {
      const why = `the topic name has ${levels} levels and ${this.#levelsMax} are allowed (mqtt.topic_levels_max)`;
      return refused(reason.topicNameInvalid, why);
    }
    const subject = topicToSubject(topic);
    if (Buffer.byteLength(subject) > SUBJECT_BYTES_MAX) {
      return refused(reason.topicNameInvalid, `the topic name is longer than ${SUBJECT_BYTES_MAX} bytes as a subject`);
    }
    return { subject, refusal: 0, why: '' };
  }

  /** The topic name of a subject as a PUBLISH carries it, with its length in front; null where it is too long. */
  topicOf(subject: string): Buffer | null {
    const known = this.#topics.get(subject);
    if (known !== undefined) return known;
    const topic = topicField(subject);
    if (subject.length <= CACHED_BYTES_MAX) remember(this.#topics, subject, topic, CACHED_MAX);
    return topic;
  }
}

export function levelsOf(topic: string): number {
  let levels = 1;
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels++;
  return levels;
}

export function refused(refusal: number, why: string): TopicName {
  return { subject: '', refusal, why };
}

/** As `topicOf`, and not remembered: for many subjects in a row, which would push out those in use. */
export function topicField(subject: string): Buffer | null {
  const topic = subjectToTopic(subject);
  const bytes = Buffer.byteLength(topic);
  if (bytes > 0xffff) return null;
  const field = Buffer.allocUnsafeSlow(2 + bytes);
  field.writeUInt16BE(bytes);
  field.write(topic, 2);
  return field;
}

/** Makes room by forgetting the oldest entry. */
export function remember<T>(cache: Map<string, T>, key: string, value: T, max: number): void {
  if (cache.size >= max) for (const oldest of cache.keys()) if (cache.delete(oldest)) break;
  cache.set(key, value);
}
