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

/** Section 7 of PROTOCOL.md. */
const ANSWER_MS = 2_000;
const SLOW_ANSWER_MS = 30_000;
const TRIES_MAX = 10;

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
type Reading<T> = (state: BoardImageState) => T | undefined;

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
    return this.#ask(payload, SLOW_ANSWER_MS, ({ state, offset }) => {
      if (state === 'ready') return size;
      return state === 'receiving' ? offset : undefined;
    });
  }

  async send(image: Buffer, offset: number): Promise<number> {
    const room = this.#parts.room() - CHUNK_HEAD_BYTES;
    const bytes = image.subarray(offset, offset + room - (room % CHUNK_STEP));
    return this.#ask(writeChunk(offset, bytes), ANSWER_MS, ({ state, offset: stored }) => {
      // The same offset is the answer to what came before: a chunk at the right one is stored, or there is a code.
      if (state === 'receiving' && stored !== offset) return stored;
      return state === 'ready' ? image.length : undefined;
    });
  }

  async verify(): Promise<void> {
    await this.#ask(writeOperation('verify'), SLOW_ANSWER_MS, ({ state }) => (state === 'ready' ? true : undefined));
  }

  async boot(trialMs: number): Promise<void> {
    const isBooting: Reading<true> = ({ state }) => (state === 'booting' || state === 'trial' ? true : undefined);
    await this.#ask(writeBoot(trialMs), ANSWER_MS, isBooting);
  }

  async confirm(hash: string): Promise<void> {
    this.#hash = Buffer.from(hash, 'hex');
    await this.#ask(writeConfirm(this.#hash), ANSWER_MS, ({ state }) => (state === 'idle' ? true : undefined));
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
  #ask<T>(payload: Uint8Array, answerMs: number, read: Reading<T>): Promise<T> {
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
        timer = setTimeout(send, answerMs);
        this.#parts.send(type.firmware, payload);
      };
      this.#asked = {
        fail: (error) => settle(() => reject(error)),
        read: (state) => {
          // Of another image: left over, or the board's own news.
          if (!this.#hash.subarray(0, state.hash.length).equals(state.hash) && state.hash.some((byte) => byte !== 0))
            return;
          const value = state.code === code.ok ? read(state) : undefined;
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
