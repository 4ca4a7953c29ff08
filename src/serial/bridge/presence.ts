import { GatewayError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Board } from './board.ts';
import type { Check } from './codec/frame.ts';
import { feature } from './codec/words.ts';
import { KEEP_ALIVE_S } from './conversation.ts';
import type { BoardCounters, BoardStatus } from './options.ts';

/** A board that was silent for this long is away. */
const AWAY_MS = KEEP_ALIVE_S * 3_500;

/** What is known of the board that is, or was, on a port. */
export class Presence {
  board: Board | null = null;
  isThere = false;
  window = 0;
  resets = 0;
  /** What it had to throw away since its reset, as it says. */
  lost = 0;
  /** When the bytes that are being read came. */
  receivedAtMs = 0;
  heardAtMs = 0;
  /** It announced that it is silent until then. */
  sleepsUntilMs: number | null = null;
  readonly #port: string;
  readonly #log: Log;
  #uptime = { ms: 0, atMs: 0 };

  constructor(port: string, log: Log) {
    this.#port = port;
    this.#log = log;
  }

  /** A frame of the board that is there. */
  heard(): void {
    this.heardAtMs = this.receivedAtMs;
    this.sleepsUntilMs = null;
    this.isThere = true;
  }

  /** What it says of itself in HELLO and PING. */
  tells(lost: number, uptimeMs: number): void {
    this.lost = lost;
    this.#uptime = { ms: uptimeMs, atMs: this.receivedAtMs };
  }

  /** Whether it has just been silent for too long. */
  look(): boolean {
    const untilMs = Math.max(this.heardAtMs, this.sleepsUntilMs ?? 0) + AWAY_MS;
    if (!this.isThere || Date.now() <= untilMs) return false;
    this.away(`nothing came from it for ${Math.round((Date.now() - this.heardAtMs) / 1000)} s`);
    return true;
  }

  away(why: string): void {
    if (!this.isThere || this.board === null) return;
    this.isThere = false;
    this.#log.warn({ port: this.#port, board: this.board.hello.identity, why }, 'the board is away');
  }

  boardOrWhy(): Board | GatewayError {
    if (this.board !== null && this.isThere) return this.board;
    return new GatewayError('not_connected', `There is no board on ${this.#port}`);
  }

  /** null before the first board; of the rest the port knows. */
  status(port: {
    readonly isConfirmed: boolean;
    readonly check: Check | null;
    readonly frameBytesMax: number;
    readonly subscriptions: readonly string[];
    readonly counters: BoardCounters;
  }): BoardStatus | null {
    const { board, isThere, sleepsUntilMs, window, resets, lost } = this;
    if (board === null) return null;
    const { identity, hardware, firmware, version, bootCount } = board.hello;
    return {
      isThere,
      sleepsUntilMs,
      ...{ identity, hardware, firmware, version, hash: board.hash },
      isOnTrial: board.has(feature.trial) && !port.isConfirmed,
      check: port.check ?? 'crc32c',
      frameBytesMax: port.frameBytesMax,
      window,
      resetReason: board.resetReason,
      ...{ bootCount, resets, lost },
      uptimeMs: this.#uptime.ms + Math.max(0, this.heardAtMs - this.#uptime.atMs),
      subscriptions: port.subscriptions,
      entities: board.entities.map((entity) => entity.status()),
      counters: { ...port.counters },
    };
  }
}
