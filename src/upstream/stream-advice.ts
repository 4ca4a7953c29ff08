import type { GatewayError } from '../core/errors.ts';
import { covers, overlaps } from '../core/subject.ts';
import type { Fields } from './jetstream.ts';
import type { LaneOfStream, StreamNote, StreamWish } from './stream-wish.ts';
import { watermarkFilter } from './watermark.ts';

/** What streams have by default; a shorter window forgets ids while a slow line still sends again. */
const DUPLICATE_WINDOW_MS = 2 * 60_000;
/** From giving up on an answer to sending again at the latest: a lane's longest pause, and reading back. */
const SEND_AGAIN_MS = 15_000;
const NS_PER_MS = 1_000_000;

/** Codes of the JetStream API. */
const SUBJECTS_OVERLAP = 10065;
const NO_PEERS: readonly number[] = [10005, 10074];

type Note = (code: string, message: string, hint: string, isAdvice?: boolean) => void;

/** How a stream should be for the lanes that write to it, and what to say where it is not so. */
export class StreamAdvice {
  readonly #lanes: readonly LaneOfStream[];
  readonly #ackTimeoutMs: number;
  readonly #nameAtHub: (subject: string) => string;

  constructor(lanes: readonly LaneOfStream[], ackTimeoutMs: number, nameAtHub: (subject: string) => string) {
    this.#lanes = lanes;
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#nameAtHub = nameAtHub;
  }

  /** What makes the stream: the body of STREAM.CREATE. */
  configOf(wish: StreamWish): Fields {
    return {
      name: wish.name,
      subjects: this.#atHub(this.#subjectsOf(wish)),
      retention: 'limits',
      storage: wish.storage,
      num_replicas: wish.replicas,
      max_consumers: -1,
      max_msgs: -1,
      max_bytes: wish.maxBytes === 0 ? -1 : wish.maxBytes,
      max_age: wish.maxAgeMs * NS_PER_MS,
      discard: wish.full === 'refuse' ? 'new' : 'old',
      // A window longer than the messages live is refused.
      duplicate_window: Math.min(wish.duplicateWindowMs, wish.maxAgeMs || wish.duplicateWindowMs) * NS_PER_MS,
      allow_direct: true,
      // A watermark takes the place of the one before, and does not grow too old.
      ...(wish.atomic && { allow_atomic: true, allow_rollup_hdrs: true, allow_msg_ttl: true }),
    };
  }

  #subjectsOf({ name, subjects, atomic }: StreamWish): string[] {
    return atomic ? [...subjects, watermarkFilter(name)] : [...subjects];
  }

  /** `config`: what the hub says of the stream. `wish`: null where only a lane names it. */
  notes(name: string, config: Fields, wish: StreamWish | null): StreamNote[] {
    const notes: StreamNote[] = [];
    const note: Note = (code, message, hint, isAdvice = false) => {
      notes.push({ code, message: `stream ${name} ${message}`, hint, isAdvice });
    };
    const takes = Array.isArray(config.subjects) ? config.subjects.map(String) : [];
    const left = [...new Set([...(wish ? this.#subjectsOf(wish) : []), ...this.#subjectsFor(name)])]
      .map((subject) => this.#nameAtHub(subject))
      .filter((subject) => !takes.some((filter) => covers(filter, subject)));
    if (left.length > 0) {
      const all = [...takes, ...left].join(',');
      note('stream_subjects', `does not take ${left.join(', ')}`, `nats stream edit ${name} --subjects '${all}'`);
    }
    this.#noteWindow(name, Number(config.duplicate_window ?? 0) / NS_PER_MS, wish, note);
    const replicas = Number(config.num_replicas ?? 1);
    if (wish !== null && replicas < wish.replicas) {
      note(
        'stream_replicas',
        `has ${replicas} of ${wish.replicas} replicas`,
        `nats stream edit ${name} --replicas ${wish.replicas}`,
      );
    } else if (config.storage === 'memory') {
      note('stream_memory', 'is in memory only', 'a restart of the hub loses what it has: use file storage', true);
    } else if (replicas === 1 && !wish?.syncAlways) {
      note(
        'stream_single',
        'has one replica: what the hub acknowledged since its last sync is gone if its power fails',
        `nats stream edit ${name} --replicas 3, or sync_interval: always in the hub's jetstream block (then say sync_always: true in upstream.streams)`,
        true,
      );
    }
    if (wish?.atomic && config.allow_atomic !== true) {
      note(
        'stream_atomic',
        'takes no atomic batches, so lanes go up record by record',
        `nats stream edit ${name} --allow-batch, on a hub from 2.12 on`,
        true,
      );
    } else if (config.allow_atomic === true && !wish?.atomic && !this.#takesWatermarks(name, takes)) {
      note(
        'stream_watermark',
        'allows atomic batches, which its lanes can not use without a place for their watermarks',
        `nats stream edit ${name} --subjects '${[...takes, ...this.#atHub([watermarkFilter(name)])].join(',')}'`,
        true,
      );
    }
    if (config.no_ack === true) note('stream_no_ack', 'acknowledges nothing', `nats stream edit ${name} --ack`);
    return notes;
  }

  /**
   * Reading back can't see what the hub has taken and not stored yet: that is known again by its id alone. In a stream of
   * the lane's own each record names its place, and no id is sent.
   */
  #noteWindow(name: string, windowMs: number, wish: StreamWish | null, note: Note): void {
    const lanes = this.#lanes.filter(({ stream }) => stream?.name === name);
    if (lanes.length > 0 && lanes.every(({ stream }) => stream?.own)) return;
    const neededMs = this.#ackTimeoutMs + SEND_AGAIN_MS;
    const wantedMs = Math.max(neededMs, wish?.duplicateWindowMs ?? DUPLICATE_WINDOW_MS);
    if (windowMs >= Math.min(wantedMs, wish?.maxAgeMs || wantedMs)) return;
    const forgets = `forgets message ids after ${windowMs / 1000} s`;
    const cure = `nats stream edit ${name} --dupe-window ${wantedMs / 1000}s`;
    if (windowMs >= neededMs) note('stream_window', `${forgets}, and ${wantedMs / 1000} s are wanted`, cure, true);
    else
      note(
        'stream_window',
        `${forgets}, before the box is through with sending again (${neededMs / 1000} s): what the hub stores late may be there twice`,
        `${cure} (at least upstream.ack_timeout and ${SEND_AGAIN_MS / 1000} s)`,
      );
  }

  #subjectsFor(name: string): string[] {
    return this.#lanes.filter(({ stream }) => stream?.name === name).flatMap(({ subjects }) => subjects);
  }

  #takesWatermarks(name: string, takes: readonly string[]): boolean {
    const filter = this.#nameAtHub(watermarkFilter(name));
    return takes.some((one) => overlaps(one, filter));
  }

  /** It is not there, and is not to be made. */
  missing(name: string, wish: StreamWish | null): StreamNote {
    const subjects = this.#atHub(wish ? this.#subjectsOf(wish) : this.#subjectsFor(name)).join(',');
    return {
      code: 'stream_missing',
      message: `the hub has no stream ${name}`,
      hint: `nats stream add ${name} --subjects '${subjects}' --storage file --replicas ${wish?.replicas ?? 3} --defaults, or list it in upstream.streams and the box makes it`,
      isAdvice: false,
    };
  }

  /** The hub does not make it. */
  refused({ name, replicas }: StreamWish, errorCode: number, error: GatewayError): StreamNote {
    let hint = `make stream ${name} by hand, or set create: false`;
    if (errorCode === SUBJECTS_OVERLAP)
      hint = 'another stream takes these subjects already: name that one in the lane, or part the subjects';
    if (NO_PEERS.includes(errorCode))
      hint = `the hub has not ${replicas} servers with JetStream and room: lower replicas, or add servers`;
    return {
      code: 'stream_refused',
      message: `the hub does not make stream ${name}: ${error.message}`,
      hint,
      isAdvice: false,
    };
  }

  #atHub(subjects: readonly string[]): string[] {
    return subjects.map((subject) => this.#nameAtHub(subject));
  }
}
