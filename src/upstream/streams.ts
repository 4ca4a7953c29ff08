import { setTimeout as wait } from 'node:timers/promises';
import { describeError, GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { fieldsOf, JetStream } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { StreamAdvice } from './stream-advice.ts';
import type { LaneOfStream, StreamStatus, StreamWish } from './stream-wish.ts';

/** A stream may be changed or removed at any time; the lanes notice what hurts them at once, by themselves. */
const AGAIN_MS = 10 * 60_000;
/** After a failure, doubled up to the interval above. */
const RETRY_MS = 1_000;
/** Streams looked at: those of a box's lanes, found by their subjects. */
const STREAMS_MAX = 64;
/** Subject filters of lanes without a named stream that are looked up. */
const LOOKUPS_MAX = 32;

/** Of the JetStream API. */
const STREAM_NOT_FOUND = 10059;

/**
 * Makes the streams that take what the lanes send, where the configuration says so, looks at all of them, and says what
 * to do: a stream is missing, leaves subjects out, forgets ids too soon or is one power cut away from losing records.
 */
export class HubStreams {
  readonly #wishes: readonly StreamWish[];
  readonly #lanes: readonly LaneOfStream[];
  readonly #hub: Hub;
  readonly #advice: StreamAdvice;
  readonly #jetStream: JetStream;
  readonly #log: Log;
  #session: AbortController | null = null;
  #found = new Map<string, StreamStatus>();
  /** Said in the log since it last changed, by stream. */
  readonly #said = new Map<string, string>();

  constructor(
    { streams: wishes, ackTimeoutMs }: { streams: readonly StreamWish[]; ackTimeoutMs: number },
    lanes: readonly LaneOfStream[],
    hub: Hub,
    log: Log,
  ) {
    this.#wishes = wishes;
    this.#lanes = lanes;
    this.#hub = hub;
    this.#advice = new StreamAdvice(lanes, ackTimeoutMs, (subject) => hub.nameAtHub(subject));
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
      if (!wish?.create) return { name, state: 'missing', replicas: 0, notes: [this.#advice.missing(name, wish)] };
      answer = await this.#jetStream.call(`STREAM.CREATE.${name}`, JSON.stringify(this.#advice.configOf(wish)));
      if (answer.error) {
        return {
          name,
          state: 'refused',
          replicas: 0,
          notes: [this.#advice.refused(wish, answer.errorCode, answer.error)],
        };
      }
      isNew = true;
      this.#log.info(
        { stream: name, subjects: wish.subjects.map((subject) => this.#hub.nameAtHub(subject)) },
        'created a stream at the hub',
      );
    }
    if (answer.error) throw answer.error;
    const config = fieldsOf(answer.body.config);
    const notes = this.#advice.notes(name, config, wish);
    const state = notes.some(({ isAdvice }) => !isAdvice) ? 'differs' : isNew ? 'created' : 'ok';
    return { name, state, replicas: Number(config.num_replicas ?? 1), notes };
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
