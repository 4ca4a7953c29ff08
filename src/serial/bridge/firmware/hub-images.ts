import { describeError, GatewayError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';

/** What is needed of the leaf link. */
export interface ImageHub {
  readonly up: boolean;
  /** Number of the connection: another one may have another hub behind it. */
  readonly epoch: number;
  /** Rejects with not_connected or request_timeout. */
  request(subject: string, payload: string, timeoutMs: number): Promise<{ payload: Buffer }>;
}

/** Who gets the images. */
export interface ImageTaker {
  /** Whether a file that begins like this is worth fetching; it has the manifest in it. */
  wants(name: string, head: Buffer): boolean;
  take(name: string, file: Buffer): Promise<void>;
}

/** A hub that is up was told of every new object; this is for what was put there while a follower lagged. */
const LOOK_MS = 10 * 60_000;
/** How often the link is asked whether it is a new one. */
const WATCH_MS = 2_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Objects of a bucket that are looked at: a bucket of images has one for each kind of board and release. */
const OBJECTS_MAX = 1024;
/** Chunks of one object: 64 MiB in pieces of 16 KiB. */
const CHUNKS_MAX = 4096;

const NOT_FOUND = 404;

interface ObjectInfo {
  readonly name: string;
  readonly nuid: string;
  readonly size: number;
  readonly chunks: number;
}

/**
 * Looks for images in a bucket of the hub's object store [ADR-20]: the messages of the stream `OBJ_<bucket>`, metadata on
 * `$O.<bucket>.M.<name>` and chunks on `$O.<bucket>.C.<nuid>`, read one by one, which every hub with JetStream allows.
 */
export class HubImages {
  readonly #bucket: string;
  readonly #bytesMax: number;
  readonly #hub: ImageHub;
  readonly #taker: ImageTaker;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  #isDue = false;
  #epoch = 0;
  #lookedAtMs = 0;
  #error = '';
  /** Objects that were taken or refused, by their identifier at the hub: each is fetched once. */
  readonly #done = new Set<string>();

  constructor(bucket: string, bytesMax: number, hub: ImageHub, taker: ImageTaker, log: Log) {
    this.#bucket = bucket;
    this.#bytesMax = bytesMax;
    this.#hub = hub;
    this.#taker = taker;
    this.#log = log;
  }

  /** Metadata of new objects come by here as messages. */
  get filter(): string {
    return `$O.${this.#bucket}.M.>`;
  }

  /** Why the last look failed; '' where it did not. */
  get error(): string {
    return this.#error;
  }

  start(): void {
    this.#timer = setInterval(() => this.#watch(), WATCH_MS);
    this.#timer.unref();
    this.#watch();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#isDue = false;
    await this.#looking;
  }

  /** Looks now, or once more after the look that is under way. */
  look(): void {
    if (this.#looking !== null) {
      this.#isDue = true;
      return;
    }
    this.#lookedAtMs = performance.now();
    this.#epoch = this.#hub.epoch;
    this.#looking = this.#lookAround().finally(() => {
      this.#looking = null;
      if (!this.#isDue) return;
      this.#isDue = false;
      this.look();
    });
  }

  /** Objects that nobody wanted may be wanted now: another board is there. */
  lookAgain(): void {
    this.#done.clear();
    if (this.#hub.up) this.look();
  }

  #watch(): void {
    if (!this.#hub.up) return;
    if (this.#hub.epoch !== this.#epoch || performance.now() - this.#lookedAtMs > LOOK_MS) this.look();
  }

  async #lookAround(): Promise<void> {
    try {
      for (const subject of await this.#subjects()) await this.#object(subject);
      this.#error = '';
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      const { message, hint, code } = describeError(error);
      if (this.#error !== message) this.#log.warn({ code, hint, bucket: this.#bucket }, message);
      this.#error = message;
    }
  }

  async #subjects(): Promise<string[]> {
    const body = await this.#ask(`STREAM.INFO.OBJ_${this.#bucket}`, { subjects_filter: this.filter });
    const subjects = Object(Object(body?.state).subjects);
    return Object.keys(subjects).slice(0, OBJECTS_MAX);
  }

  async #object(subject: string): Promise<void> {
    const message = await this.#message({ last_by_subj: subject });
    const info = message === null ? null : infoOf(message.data);
    if (info === null || this.#done.has(info.nuid)) return;
    const { name, nuid, size, chunks } = info;
    if (size > this.#bytesMax || chunks > CHUNKS_MAX) {
      this.#log.warn({ bucket: this.#bucket, object: name, size }, 'an image of the hub is too large for this box');
      this.#done.add(nuid);
      return;
    }
    const parts: Buffer[] = [];
    let [sequence, left] = [1, size];
    for (let chunk = 0; chunk < chunks; chunk++) {
      const part = await this.#message({ seq: sequence, next_by_subj: `$O.${this.#bucket}.C.${nuid}` });
      // Replaced while we read: its new metadata is looked at in its turn.
      if (part === null || part.data.length > left) return;
      parts.push(part.data);
      left -= part.data.length;
      sequence = part.sequence + 1;
      if (chunk === 0 && !this.#taker.wants(name, part.data)) {
        this.#done.add(nuid);
        return;
      }
    }
    this.#done.add(nuid);
    await this.#taker.take(name, Buffer.concat(parts));
  }

  async #message(request: object): Promise<{ sequence: number; data: Buffer } | null> {
    const body = await this.#ask(`STREAM.MSG.GET.OBJ_${this.#bucket}`, request);
    if (body === null) return null;
    const { seq, data } = Object(body.message);
    return { sequence: Number(seq), data: Buffer.from(String(data ?? ''), 'base64') };
  }

  /** Null where there is no such message. */
  async #ask(call: string, request: object): Promise<Record<string, unknown> | null> {
    const { payload } = await this.#hub.request(`$JS.API.${call}`, JSON.stringify(request), REQUEST_TIMEOUT_MS);
    let body: Record<string, unknown>;
    try {
      body = Object(JSON.parse(payload.toString()));
    } catch (cause) {
      throw new GatewayError('protocol_violation', `The hub's answer to $JS.API.${call} is not JSON`, { cause });
    }
    if (!body.error) return body;
    const { code, description } = Object(body.error);
    if (code === NOT_FOUND && call.startsWith('STREAM.MSG')) return null;
    const hint = `Make the bucket at the hub (nats object add ${this.#bucket}), or take firmware.bucket out`;
    throw new GatewayError('no_stream', `The hub refuses $JS.API.${call}: ${description}`, { hint });
  }
}

function infoOf(data: Buffer): ObjectInfo | null {
  try {
    const { name, nuid, size, chunks, deleted } = Object(JSON.parse(data.toString()));
    const isSound =
      typeof name === 'string' &&
      /^[A-Za-z0-9]{1,64}$/.test(String(nuid)) &&
      Number.isSafeInteger(size) &&
      Number.isSafeInteger(chunks) &&
      deleted !== true;
    return isSound ? { name, nuid: String(nuid), size, chunks } : null;
  } catch {
    return null;
  }
}
