import { GatewayError } from '../../core/errors.ts';
import {
  type BoardImageState,
  CHUNK_HEAD_BYTES,
  CHUNK_STEP,
  readImageState,
  writeBegin,
  writeBoot,
  writeChunk,
  writeConfirm,
  writeOperation,
} from './codec/image-transfer.ts';
import { code, codeName, type } from './codec/words.ts';
import type { SignedImage } from './firmware/image.ts';
import type { BoardImage, RelayBoard } from './firmware/relay.ts';

/**
 * Section 7 of PROTOCOL.md: how long for an answer before the same again, doubled at each try. An operation that comes
 * again does no harm, so that a lost one costs little, and a board that erases its flash has its time.
 */
const ANSWER_MS = 2_000;
const ANSWER_MS_MAX = 4_000;
/** BEGIN erases, and VERIFY reads everything. */
const SLOW_ANSWER_MS_MAX = 30_000;
const TRIES_MAX = 10;
/** Of a chunk: so many times what the board was seen to take, which is mostly much less. */
const CHUNK_PATIENCE = 4;
const CHUNK_ANSWER_MS_MIN = 250;
/** How fast the board is forgotten to have been slow, at each chunk. */
const CHUNK_MS_DECAY = 0.9;

/** Codes after which the same image may be tried again. */
const passing: ReadonlySet<number> = new Set([
  code.busy,
  code.bad_hash,
  code.write_failed,
  code.wrong_state,
  code.low_power,
]);

export interface UpdaterParts {
  send(type: number, payload: Uint8Array): void;
  /** Payload bytes of a frame to the board. */
  room(): number;
}

/** Undefined: this STATE is no answer to what was asked. */
type Reading<T> = (state: BoardImageState, tries: number) => T | undefined;

/** Section 8 of PROTOCOL.md on one channel: each operation until its STATE is there. */
export class BoardUpdater implements RelayBoard {
  readonly target: string;
  readonly version: string;
  readonly hash: string;
  readonly takesImages: boolean;
  readonly isOnTrial: boolean;
  readonly #parts: UpdaterParts;
  #hash: Buffer = Buffer.alloc(0);
  #asked: { read: (state: BoardImageState) => void; fail(error: GatewayError): void } | null = null;
  #isGone = false;
  #isConfirmed = false;
  /** What a chunk takes to its STATE. */
  #chunkMs = ANSWER_MS / CHUNK_PATIENCE;

  constructor(board: BoardImage, parts: UpdaterParts) {
    this.target = board.target;
    this.version = board.version;
    this.hash = board.hash;
    this.takesImages = board.takesImages;
    this.isOnTrial = board.isOnTrial;
    this.#parts = parts;
  }

  async begin({ manifest: { size, sha256, target, version }, signature }: SignedImage): Promise<number> {
    this.#hash = Buffer.from(sha256, 'hex');
    const begin = { size, sha256: this.#hash, target, version };
    const whole = writeBegin({ ...begin, signature });
    const payload = whole.length <= this.#parts.room() ? whole : writeBegin({ ...begin, signature: new Uint8Array() });
    if (payload.length > this.#parts.room()) {
      const why = `${payload.length} bytes of BEGIN do not fit into a frame of the board`;
      throw new GatewayError('firmware_refused', why, { retriable: false });
    }
    return this.#ask(payload, ANSWER_MS, SLOW_ANSWER_MS_MAX, ({ state, offset }) => {
      if (state === 'ready') return size;
      return state === 'receiving' ? offset : undefined;
    });
  }

  async send(image: Buffer, offset: number): Promise<number> {
    const room = this.#parts.room() - CHUNK_HEAD_BYTES;
    const bytes = image.subarray(offset, offset + room - (room % CHUNK_STEP));
    const answerMs = Math.min(Math.max(CHUNK_PATIENCE * this.#chunkMs, CHUNK_ANSWER_MS_MIN), ANSWER_MS);
    const sentAtMs = performance.now();
    return this.#ask(writeChunk(offset, bytes), answerMs, ANSWER_MS_MAX, ({ state, offset: stored }, tries) => {
      if (tries === 1) this.#chunkMs = Math.max(CHUNK_MS_DECAY * this.#chunkMs, performance.now() - sentAtMs);
      // The same offset is the answer to what came before: a chunk at the right one is stored, or there is a code.
      if (state === 'receiving' && stored !== offset) return stored;
      return state === 'ready' ? image.length : undefined;
    });
  }

  async verify(): Promise<void> {
    const isReady: Reading<true> = ({ state }) => (state === 'ready' ? true : undefined);
    await this.#ask(writeOperation('verify'), ANSWER_MS, SLOW_ANSWER_MS_MAX, isReady);
  }

  async boot(trialMs: number): Promise<void> {
    const isBooting: Reading<true> = ({ state }) => (state === 'booting' || state === 'trial' ? true : undefined);
    await this.#ask(writeBoot(trialMs), ANSWER_MS, ANSWER_MS_MAX, isBooting);
  }

  async confirm(hash: string): Promise<void> {
    this.#hash = Buffer.from(hash, 'hex');
    // A board whose trial ended otherwise is booting, with a code.
    const isKept: Reading<true> = ({ state }) => (state === 'idle' ? true : undefined);
    await this.#ask(writeConfirm(this.#hash), ANSWER_MS, ANSWER_MS_MAX, isKept);
    this.#isConfirmed = true;
  }

  /** The image that was on trial when the board said HELLO is there for good. */
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  async abort(): Promise<void> {
    if (!this.#isGone) this.#parts.send(type.firmware, writeOperation('cancel'));
    this.#asked?.fail(new GatewayError('bridge_refused', 'the transfer was cancelled'));
  }

  /** A FIRMWARE frame of the board. Throws Malformed. */
  take(payload: Uint8Array): void {
    const state = readImageState(payload);
    if (state !== null) this.#asked?.read(state);
  }

  /** The channel has ended. */
  gone(): void {
    this.#isGone = true;
    this.#asked?.fail(new GatewayError('port_lost', 'the board has gone'));
  }

  /** One operation at a time. */
  #ask<T>(payload: Uint8Array, answerMs: number, answerMsMax: number, read: Reading<T>): Promise<T> {
    if (this.#isGone) return Promise.reject(new GatewayError('port_lost', 'the board has gone'));
    return new Promise((resolve, reject) => {
      let tries = 0;
      let timer: NodeJS.Timeout | undefined;
      const settle = (work: () => void): void => {
        clearTimeout(timer);
        this.#asked = null;
        work();
      };
      const send = (): void => {
        if (++tries > TRIES_MAX) {
          settle(() => reject(new GatewayError('request_timeout', 'the board does not answer')));
          return;
        }
        timer = setTimeout(send, Math.min(answerMs * 2 ** (tries - 1), answerMsMax));
        this.#parts.send(type.firmware, payload);
      };
      this.#asked = {
        fail: (error) => settle(() => reject(error)),
        read: (state) => {
          // Of another image: left over, or the board's own news.
          if (!this.#hash.subarray(0, state.hash.length).equals(state.hash) && state.hash.some((byte) => byte !== 0))
            return;
          const value = state.code === code.ok ? read(state, tries) : undefined;
          if (value !== undefined) settle(() => resolve(value));
          else if (state.code !== code.ok || isForgotten(state, tries)) settle(() => reject(faultOf(state)));
        },
      };
      send();
    });
  }
}

/** The board knows nothing of a transfer any more: it has reset in between. */
function isForgotten({ state }: BoardImageState, tries: number): boolean {
  return state === 'idle' && tries > 1;
}

function faultOf({ code: why, state }: BoardImageState): GatewayError {
  if (why === code.ok) return new GatewayError('bridge_refused', `the board is ${state} again`);
  const retriable = passing.has(why);
  return new GatewayError(retriable ? 'bridge_refused' : 'firmware_refused', `the board says ${codeName(why)}`, {
    retriable,
  });
}
