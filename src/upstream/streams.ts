import { setTimeout as wait } from 'node:timers/promises';
import { describeError, GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { covers, overlaps } from '../core/subject.ts';
import { type Fields, fieldsOf, JetStream } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { watermarkFilter } from './watermark.ts';

/** A stream that the configuration asks for (`upstream.streams`). Subjects as the box has them. */
export interface StreamWish {
  readonly name: string;
  readonly subjects: readonly string[];
  /** Made where it is missing; false: only looked at. */
  readonly create: boolean;
  readonly storage: 'file' | 'memory';
  readonly replicas: number;
  /** 0: no bound. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly full: 'drop-oldest' | 'refuse';
  readonly duplicateWindowMs: number;
  /** The operator says that the hub syncs every message, which nobody can see from here. */
  readonly syncAlways: boolean;
  /** Made so that lanes go up in atomic batches: they are allowed, and it takes the lanes' watermarks. */
  readonly atomic: boolean;
}

export interface LaneOfStream {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly stream: { readonly name: string; readonly own: boolean } | null;
}

/** missing: records for it wait. differs: it is there, and not as it was asked for. unknown: the hub has not said yet. */
export type StreamState = 'unknown' | 'ok' | 'created' | 'differs' | 'missing' | 'refused';

/** What is to say of a stream, with its cure. advice: it works, and could be safer. */
export interface StreamNote {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly isAdvice: boolean;
}

export interface StreamStatus {
  readonly name: string;
  readonly state: StreamState;
  readonly replicas: number;
  readonly notes: readonly StreamNote[];
}

/** A stream may be changed or removed at any time; the lanes notice what hurts them at once, by themselves. */
const AGAIN_MS = 10 * 60_000;
/** After a failure, doubled up to the interval above. */
const RETRY_MS = 1_000;
/** Streams looked at: those of a box's lanes, found by their subjects. */
const STREAMS_MAX = 64;
/** Subject filters of lanes without a named stream that are looked up. */
const LOOKUPS_MAX = 32;
/** What streams have by default; a shorter window forgets ids while a slow line still sends again. */
const DUPLICATE_WINDOW_MS = 2 * 60_000;
const NS_PER_MS = 1_000_000;

/** Codes of the JetStream API. */
const STREAM_NOT_FOUND = 10059;
const SUBJECTS_OVERLAP = 10065;
const NO_PEERS: readonly number[] = [10005, 10074];

/**
 * Makes the streams that take what the lanes send, where the configuration says so, looks at all of them, and says what
 * to do: a stream is missing, leaves subjects out, forgets ids too soon or is one power cut away from losing records.
 */
export class HubStreams {
  readonly #wishes: readonly StreamWish[];
  readonly #lanes: readonly LaneOfStream[];
  readonly #hub: Hub;
  readonly #jetStream: JetStream;
  readonly #log: Log;
  #session: AbortController | null = null;
  #found = new Map<string, StreamStatus>();
  /** Said in the log since it last changed, by stream. */
  readonly #said = new Map<string, string>();

  constructor(wishes: readonly StreamWish[], lanes: readonly LaneOfStream[], hub: Hub, log: Log) {
    this.#wishes = wishes;
    this.#lanes = lanes;
    this.#hub = hub;
    this.#jetStream = new JetStream(hub);
    this.#log = log;
    for (const name of this.#named()) this.#found.set(name, unknown(name));
  }

  /** Resolves when every stream has been looked at once, or the link has fallen; goes on looking until it falls. */
  linkUp(): Promise<void> {
    this.#session?.abort();
    this.#session = new AbortController();
    const first = Promise.withResolvers<void>();
    void this.#run(this.#session.signal, () => first.resolve());
    return first.promise;
  }

  linkDown(): void {
    this.#session?.abort();
    this.#session = null;
  }

  status(): StreamStatus[] {
    return [...this.#found.values()];
  }

  async #run(signal: AbortSignal, looked: () => void): Promise<void> {
    let retryMs = RETRY_MS;
    while (!signal.aborted) {
      const isWell = await this.#look(signal);
      looked();
      const pauseMs = isWell ? AGAIN_MS : retryMs;
      retryMs = isWell ? RETRY_MS : Math.min(AGAIN_MS, retryMs * 2);
      await wait(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
    looked();
  }

  /** False where the hub did not answer for one of them, or one is missing. */
  async #look(signal: AbortSignal): Promise<boolean> {
    let isWell = true;
    try {
      const names = new Set([...this.#named(), ...(await this.#lookUp())]);
      for (const name of [...names].slice(0, STREAMS_MAX)) {
        const status = await this.#check(name);
        if (signal.aborted) return false;
        this.#found.set(name, status);
        this.#say(status);
        if (status.state === 'missing' || status.state === 'refused') isWell = false;
      }
      for (const name of this.#found.keys()) if (!names.has(name)) this.#found.delete(name);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      // The lanes say what keeps them from sending; a user without these permissions is no fault.
      this.#log.debug(describeError(error), 'streams of the hub could not be looked at');
      isWell = false;
    }
    return isWell;
  }

  #named(): string[] {
    const names = new Set(this.#wishes.map(({ name }) => name));
    for (const { stream } of this.#lanes) if (stream) names.add(stream.name);
    return [...names];
  }

  /** Streams that take subjects of lanes which name none. */
  async #lookUp(): Promise<string[]> {
    const filters = this.#lanes.filter(({ stream }) => stream === null).flatMap(({ subjects }) => subjects);
    const names: string[] = [];
    for (const filter of filters.filter((one) => one !== '>').slice(0, LOOKUPS_MAX)) {
      const name = await this.#jetStream.streamOf(this.#hub.nameAtHub(filter));
      if (name !== null) names.push(name);
    }
    return names;
  }

  async #check(name: string): Promise<StreamStatus> {
    const wish = this.#wishes.find((one) => one.name === name) ?? null;
    let answer = await this.#jetStream.call(`STREAM.INFO.${name}`, '');
    let isNew = false;
    if (answer.errorCode === STREAM_NOT_FOUND) {
      if (!wish?.create) return { name, state: 'missing', replicas: 0, notes: [this.#missing(name, wish)] };
      answer = await this.#jetStream.call(`STREAM.CREATE.${name}`, JSON.stringify(this.#configOf(wish)));
      if (answer.error) {
        return { name, state: 'refused', replicas: 0, notes: [refused(wish, answer.errorCode, answer.error)] };
      }
      isNew = true;
      this.#log.info({ stream: name, subjects: this.#atHub(wish.subjects) }, 'created a stream at the hub');
    }
    if (answer.error) throw answer.error;
    const config = fieldsOf(answer.body.config);
    const notes = this.#notes(name, config, wish);
    const state = notes.some(({ isAdvice }) => !isAdvice) ? 'differs' : isNew ? 'created' : 'ok';
    return { name, state, replicas: Number(config.num_replicas ?? 1), notes };
  }

  #configOf(wish: StreamWish): Fields {
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

  #notes(name: string, config: Fields, wish: StreamWish | null): StreamNote[] {
    const notes: StreamNote[] = [];
    const note = (code: string, message: string, hint: string, isAdvice = false): void => {
      notes.push({ code, message: `stream ${name} ${message}`, hint, isAdvice });
    };
    const takes = Array.isArray(config.subjects) ? config.subjects.map(String) : [];
    const left = [...new Set([...(wish ? this.#subjectsOf(wish) : []), ...this.#subjectsFor(name)])]
      .map((subject) => this.#hub.nameAtHub(subject))
      .filter((subject) => !takes.some((filter) => covers(filter, subject)));
    if (left.length > 0) {
      const all = [...takes, ...left].join(',');
      note('stream_subjects', `does not take ${left.join(', ')}`, `nats stream edit ${name} --subjects '${all}'`);
    }
    const windowMs = Number(config.duplicate_window ?? 0) / NS_PER_MS;
    const wantedMs = wish?.duplicateWindowMs ?? DUPLICATE_WINDOW_MS;
    if (windowMs < Math.min(wantedMs, wish?.maxAgeMs || wantedMs)) {
      note(
        'stream_window',
        `forgets message ids after ${windowMs / 1000} s, and ${wantedMs / 1000} s are wanted`,
        `nats stream edit ${name} --dupe-window ${wantedMs / 1000}s (until then the box reads back more after a fall of the link)`,
        true,
      );
    }
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

  #subjectsFor(name: string): string[] {
    return this.#lanes.filter(({ stream }) => stream?.name === name).flatMap(({ subjects }) => subjects);
  }

  #takesWatermarks(name: string, takes: readonly string[]): boolean {
    const filter = this.#hub.nameAtHub(watermarkFilter(name));
    return takes.some((one) => overlaps(one, filter));
  }

  #missing(name: string, wish: StreamWish | null): StreamNote {
    const subjects = this.#atHub(wish ? this.#subjectsOf(wish) : this.#subjectsFor(name)).join(',');
    return {
      code: 'stream_missing',
      message: `the hub has no stream ${name}`,
      hint: `nats stream add ${name} --subjects '${subjects}' --storage file --replicas ${wish?.replicas ?? 3} --defaults, or list it in upstream.streams and the box makes it`,
      isAdvice: false,
    };
  }

  #atHub(subjects: readonly string[]): string[] {
    return subjects.map((subject) => this.#hub.nameAtHub(subject));
  }

  /** Once for each change: the same advice every ten minutes would bury the log. */
  #say({ name, notes }: StreamStatus): void {
    const said = notes.map(({ code }) => code).join(' ');
    if (this.#said.get(name) === said) return;
    this.#said.set(name, said);
    for (const { code, message, hint, isAdvice } of notes)
      this.#log[isAdvice ? 'info' : 'warn']({ code, hint }, message);
  }
}

function unknown(name: string): StreamStatus {
  return { name, state: 'unknown', replicas: 0, notes: [] };
}

function refused({ name, replicas }: StreamWish, errorCode: number, error: GatewayError): StreamNote {
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
