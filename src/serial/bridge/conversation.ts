import { randomInt } from 'node:crypto';
import { describeError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { Board, type BoardRecord, boardRecordOf } from './board.ts';
import { type BoardHello, readBoardHello, writeGatewayHello } from './codec/hello.ts';
import { code, limit, type } from './codec/words.ts';
import type { FrameLink } from './frame-link.ts';
import type { BridgeStore } from './options.ts';

/** Section 5 of PROTOCOL.md: how a conversation is opened. */

const VERSION = 1;
export const KEEP_ALIVE_S = 10;
/** A board whose HELLO we can't take asks again after this. */
const REFUSED_S = 60;
/** One ask in so long. */
const ASK_MS = 500;
/** Where no HELLO came: the ask, or the HELLO, may have been lost. */
const ASK_AGAIN_MS = 2_000;
const CHANNEL_MAX = 255;

const NAME = /^[\x21\x23-\x5b\x5d-\x7e]{1,32}$/;

export interface Opened {
  readonly board: Board;
  /** Identity and session: what its numbers are numbers of. */
  readonly source: string;
  readonly window: number;
  /** It was reset since the last HELLO. */
  readonly isReset: boolean;
}

export interface ConversationParts {
  readonly port: string;
  readonly prefix: string;
  readonly link: FrameLink;
  readonly store: BridgeStore;
  readonly activeSources: Set<string>;
  readonly log: Log;
}

export class Conversations {
  readonly #parts: ConversationParts;
  #record: BoardRecord | null = null;
  #channel = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #board: Board | null = null;
  #uptimeMs = 0;
  #source = '';

  constructor(parts: ConversationParts) {
    this.#parts = parts;
  }

  /** The store is open. */
  start(): void {
    this.#record = boardRecordOf(this.#parts.store.mark(this.#markName));
  }

  get #markName(): string {
    return `bridge ${this.#parts.port}`;
  }

  /** Wants a HELLO: no more than one of these in half a second. */
  ask(): void {
    const nowMs = performance.now();
    if (nowMs - this.#askedAtMs < ASK_MS) return;
    this.#askedAtMs = nowMs;
    this.#parts.link.send(type.hello, writeGatewayHello({ kind: 'ask' }), true);
  }

  /** The same, in its time. */
  askAgain(): void {
    if (performance.now() - this.#askedAtMs >= ASK_AGAIN_MS) this.ask();
  }

  /** A HELLO of the board: null where it was refused. Throws Malformed. */
  open(payload: Uint8Array): Opened | null {
    const hello = readBoardHello(payload);
    const why = refusalOf(hello);
    if (why !== code.ok) {
      const refusal = { kind: 'refuse', code: why, retryS: REFUSED_S, nonce: hello.nonce } as const;
      this.#parts.link.send(type.hello, writeGatewayHello(refusal), true);
      return null;
    }
    const before = this.#board;
    const isSame = before?.hello.identity === hello.identity;
    const isReset = isSame && (before.hello.bootCount !== hello.bootCount || hello.uptimeMs < before.hello.uptimeMs);
    const board = new Board(hello, this.#parts.prefix, this.#known(hello));
    if (isSame) board.takeValues(before);
    this.#board = board;
    this.noteLost(hello.lost, hello.uptimeMs);
    const { link } = this.#parts;
    link.frameBytesMax = Math.min(Math.max(hello.frameBytesMax, limit.frameBytesMin), limit.frameBytesMax);
    const window = Math.min(hello.window, limit.windowMax);
    if (board.isOneWay) {
      link.channel = 0;
      return { board, source: '', window: 0, isReset };
    }
    this.#channel = (this.#channel % CHANNEL_MAX) + 1;
    link.channel = this.#channel;
    const session = hello.session === 0 ? this.#newSession(hello.identity) : hello.session;
    const accept = {
      kind: 'accept',
      version: VERSION,
      frameBytesMax: link.frameBytesMax,
      window,
      channel: this.#channel,
      wantsDescription: !board.isDescribed,
      keepAliveS: KEEP_ALIVE_S,
      nonce: hello.nonce,
      session,
    } as const;
    link.send(type.hello, writeGatewayHello(accept), true);
    const { activeSources } = this.#parts;
    activeSources.delete(this.#source);
    this.#source = `${hello.identity} ${session}`;
    activeSources.add(this.#source);
    return { board, source: this.#source, window, isReset };
  }

  /** The board has described itself: the next run of the box need not ask. */
  described(): void {
    if (this.#board !== null) this.#keep();
  }

  /** What the board had to throw away since its reset; what is more than before goes to the ledger. */
  noteLost(lost: number, uptimeMs: number): void {
    const { port, store, log } = this.#parts;
    const { identity, bootCount } = (this.#board as Board).hello;
    const record = this.#record?.identity === identity ? this.#record : null;
    const isSameBoot =
      record !== null && record.bootCount === bootCount && lost >= record.lost && uptimeMs >= this.#uptimeMs;
    this.#uptimeMs = uptimeMs;
    const more = lost - (isSameBoot ? record.lost : 0);
    if (more === 0 && isSameBoot) return;
    this.#keep(lost);
    if (more === 0) return;
    const detail = `thrown away by the board ${identity}, which had no room`;
    store.lost(`serial ${port}`, more, detail, '', null).catch((error: unknown) => {
      log.warn({ port, lost: more, ...describeError(error) }, 'a loss of a board is not in the ledger');
    });
  }

  /** Entity maps of an earlier conversation, where the description is the same. */
  #known({ identity, description }: BoardHello): Uint8Array | null {
    const record = this.#record;
    const isKnown = record?.identity === identity && record.description === description && record.maps !== '';
    return isKnown && description !== 0 ? Buffer.from(record.maps, 'base64') : null;
  }

  #keep(lost = this.#record?.lost ?? 0): void {
    const { hello, maps, isDescribed } = this.#board as Board;
    const { identity, description, bootCount } = hello;
    const isSame = this.#record?.identity === identity && this.#record.description === description;
    const kept = isDescribed && maps.length > 0 ? maps.toString('base64') : isSame ? (this.#record?.maps ?? '') : '';
    this.#record = { identity, description, bootCount, lost, maps: kept };
    const { store, port, log } = this.#parts;
    store.setMark(this.#markName, JSON.stringify(this.#record)).catch((error: unknown) => {
      log.warn({ port, ...describeError(error) }, 'what a board said of itself could not be kept');
    });
  }

  /** Numbers of earlier sessions of this board do not come again: it has none. */
  #newSession(identity: string): number {
    const { store, activeSources } = this.#parts;
    const isOfBoard = (source: string): boolean => source.slice(0, source.lastIndexOf(' ')) === identity;
    for (const source of store.taken.sources.filter(isOfBoard)) {
      if (source === this.#source || !activeSources.has(source)) store.taken.drop(source);
    }
    return randomInt(1, 2 ** 32);
  }
}

function refusalOf({ versionMin, versionMax, identity, hardware, firmware, version, hash }: BoardHello): number {
  if (versionMin > VERSION || versionMax < VERSION) return code.version;
  const names = [hardware, firmware, version].filter((name) => name !== '');
  const isSound = NAME.test(identity) && names.every((name) => NAME.test(name));
  if (!isSound || (hash.length !== 0 && hash.length !== 32)) return code.malformed;
  return code.ok;
}
