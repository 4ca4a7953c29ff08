import type { Log } from '../../core/log.ts';
import type { Board } from './board.ts';
import { BoardUpdater } from './board-updater.ts';
import type { Calls } from './calls.ts';
import { readDescription, writeDescribed } from './codec/entities.ts';
import type { Frame } from './codec/frame.ts';
import { logLevels, readAck, readLog, readNak, readPing, readRequest, readSkip } from './codec/messages.ts';
import { Malformed } from './codec/payload.ts';
import { code, codeName, feature, PRIVATE_TYPE, type } from './codec/words.ts';
import type { Conversations } from './conversation.ts';
import type { FrameLink } from './frame-link.ts';
import type { Handling, NumberedFrame, NumberedIn } from './numbered-in.ts';
import type { NumberedOut } from './numbered-out.ts';
import type { BoardCounters, BridgeContext } from './options.ts';
import type { OwnRequests } from './own-requests.ts';
import type { Presence } from './presence.ts';
import type { Publications } from './publications.ts';
import type { SubjectRules } from './subject-rules.ts';
import type { BoardSubscriptions } from './subscriptions.ts';

export interface IncomingParts {
  readonly port: string;
  readonly presence: Presence;
  readonly link: FrameLink;
  readonly out: NumberedOut;
  readonly conversations: Conversations;
  readonly publications: Publications;
  readonly subscriptions: BoardSubscriptions;
  readonly calls: Calls;
  readonly ownRequests: OwnRequests;
  readonly rules: SubjectRules;
  readonly counters: BoardCounters;
  readonly store: BridgeContext['store'];
  readonly firmware: BridgeContext['firmware'];
  readonly log: Log;
  /** Sends the time. */
  tellTime(): void;
}

/** What a board says on its channel, type by type. */
export class Incoming {
  readonly #parts: IncomingParts;
  #updater: BoardUpdater | null = null;
  /** Of frames without a number; null before the first. */
  #nextSequence: number | null = null;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
  }

  /** The board knows its channel: images may go to it. */
  open(): void {
    const { port, presence, link, firmware } = this.#parts;
    const board = presence.board as Board;
    if (board.isOneWay) return;
    const { hardware: target, version } = board.hello;
    const image = { target, version, hash: board.hash, takesImages: board.has(feature.firmware) };
    this.#updater = new BoardUpdater(
      { ...image, isOnTrial: board.has(feature.trial) },
      { room: () => link.room, send: (...one) => link.send(...one) },
    );
    firmware.up(port, this.#updater);
  }

  /** The channel is no more. */
  close(): void {
    this.#updater?.gone();
    this.#updater = null;
    this.#nextSequence = null;
    this.#parts.firmware.down(this.#parts.port);
  }

  get isImageConfirmed(): boolean {
    return this.#updater?.isConfirmed === true;
  }

  /** Frames without a number are counted from here on. */
  expect(sequence: number): void {
    this.#nextSequence = sequence;
  }

  #countLost(sequence: number): void {
    if (this.#nextSequence !== null) {
      const missing = (sequence - this.#nextSequence) & 0xffff;
      // More than half the circle is a counter that began anew.
      if (missing < 0x8000) this.#parts.counters.lostFrames += missing;
    }
    this.#nextSequence = (sequence + 1) & 0xffff;
  }

  /** A frame without a number. Throws Malformed. */
  take({ type: of, payload, sequence }: Frame): void {
    const { out, presence } = this.#parts;
    const board = presence.board as Board;
    this.#countLost(sequence);
    switch (of) {
      case type.describe:
        this.#describe(board, payload);
        return;
      case type.data:
        this.#parts.publications.data(board, payload, this.#parts.presence.receivedAtMs, null);
        return;
      case type.publish:
        this.#refuseQuietly(this.#parts.publications.publish(payload, this.#parts.presence.receivedAtMs, null));
        return;
      case type.subscribe:
        this.#parts.subscriptions.take(payload);
        return;
      case type.ack:
        this.#parts.out.ack(readAck(payload));
        return;
      case type.nak: {
        const nak = readNak(payload);
        out.nak(nak.sequence, nak.code, nak.waitMs);
        return;
      }
      case type.ping:
        this.#ping(payload);
        return;
      case type.pong:
        return;
      case type.log:
        this.#log(payload);
        return;
      case type.time:
        this.#parts.tellTime();
        return;
      case type.firmware:
        this.#updater?.take(payload);
        return;
      default:
        if (of < PRIVATE_TYPE) this.#parts.counters.unknownTypes++;
    }
  }

  /** A numbered frame in its turn. */
  handle(numbered: NumberedIn, number: number, { type: of, payload }: NumberedFrame): Handling {
    const board = this.#parts.presence.board as Board;
    const note = {
      ...{ source: numbered.source, number, receipt: numbered },
      await: (messages: number) => numbered.await(number, messages),
    };
    try {
      switch (of) {
        case type.data:
          return this.#parts.publications.data(board, payload, this.#parts.presence.receivedAtMs, note);
        case type.publish:
          return this.#parts.publications.publish(payload, this.#parts.presence.receivedAtMs, note);
        case type.request:
          return this.#ownRequest(payload);
        case type.reply:
          this.#parts.counters.replies++;
          if (!this.#parts.calls.reply(payload)) this.#parts.counters.lateReplies++;
          return 'done';
        case type.log:
          this.#log(payload);
          return 'done';
        case type.skip:
          return this.#skip(numbered, number, readSkip(payload));
        default:
          if (of < PRIVATE_TYPE) this.#parts.counters.unknownTypes++;
          return { refused: code.unknown_type };
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#parts.counters.malformed++;
      return { refused: code.malformed };
    }
  }

  #ownRequest(payload: Uint8Array): Handling {
    const request = readRequest(payload);
    const subject = this.#parts.rules.whole(request.subject);
    if (request.subject === '') return { refused: code.malformed };
    if (!this.#parts.rules.mayPublish(subject)) return { refused: code.not_permitted };
    this.#parts.counters.requests++;
    this.#parts.ownRequests.make(request, subject);
    return 'done';
  }

  /** The number has no content any more. What the board gave up to make room is in its count of what it lost. */
  #skip(numbered: NumberedIn, number: number, why: number): Handling {
    if (why === code.dropped) return 'done';
    const { store, port: name } = this.#parts;
    const detail = `refused by the box: ${codeName(why)}`;
    numbered.await(number, 1);
    store.lost(`serial ${name}`, 1, detail, numbered.source, number).then(
      () => numbered.accepted(number),
      () => numbered.refused(number),
    );
    return 'pending';
  }

  #refuseQuietly(handling: Handling): void {
    if (typeof handling === 'object') this.#parts.counters.refused++;
  }

  #describe(board: Board, payload: Uint8Array): void {
    let next: number;
    let why: number = code.ok;
    const wasDescribed = board.isDescribed;
    try {
      next = board.describe(readDescription(payload));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#parts.counters.malformed++;
      next = payload[1] ?? 0;
      why = code.malformed;
    }
    if (!board.isOneWay) this.#parts.link.send(type.describe, writeDescribed(next, why));
    if (board.isDescribed && !wasDescribed) this.#parts.conversations.described();
  }

  #ping(payload: Uint8Array): void {
    const ping = readPing(payload);
    this.#parts.link.send(type.pong, payload);
    if (ping === null) return;
    this.#parts.presence.tells(ping.lost, ping.uptimeMs);
    this.#parts.conversations.noteLost(ping.lost, ping.uptimeMs);
    if (ping.silentMs === 0) return;
    this.#parts.presence.sleepsUntilMs = this.#parts.presence.receivedAtMs + ping.silentMs;
    this.#parts.out.hold();
  }

  #log(payload: Uint8Array): void {
    const { level, text } = readLog(payload);
    const { identity } = (this.#parts.presence.board as Board).hello;
    // A board is no reason to wake the operator: its errors are warnings here.
    const shown = level === logLevels[0] ? 'warn' : level;
    this.#parts.log[shown]({ port: this.#parts.port, board: identity }, `the board says: ${text}`);
  }
}
