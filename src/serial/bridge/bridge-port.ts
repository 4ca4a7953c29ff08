import { describeError, GatewayError } from '../../core/errors.ts';
import { NO_HEADERS, type Party } from '../../core/message.ts';
import { once } from '../../core/service.ts';
import { errorHeaders } from '../error-headers.ts';
import { Recorder } from '../recorder.ts';
import type { SerialContext, SerialPortStatus } from '../serial-edge.ts';
import { Supervisor } from '../supervisor.ts';
import type { Board } from './board.ts';
import { BoardUpdater } from './board-updater.ts';
import { Calls, type Outcome } from './calls.ts';
import { readDescription, writeDescribed } from './codec/entities.ts';
import type { Frame } from './codec/frame.ts';
import {
  logLevels,
  readAck,
  readLog,
  readNak,
  readPing,
  readRequest,
  readSkip,
  writeNak,
  writeTime,
} from './codec/messages.ts';
import { Malformed } from './codec/payload.ts';
import { code, codeName, feature, flag, KNOWN_FLAGS, PRIVATE_TYPE, type } from './codec/words.ts';
import { Commands } from './commands.ts';
import { Conversations, KEEP_ALIVE_S, type Opened } from './conversation.ts';
import { FrameLink } from './frame-link.ts';
import { type Handling, type NumberedFrame, NumberedIn } from './numbered-in.ts';
import { NumberedOut } from './numbered-out.ts';
import {
  type BoardCounters,
  type BoardStatus,
  type BridgeContext,
  type BridgePortOptions,
  boardCounters,
} from './options.ts';
import { OwnRequests } from './own-requests.ts';
import { Publications } from './publications.ts';
import { SubjectRules } from './subject-rules.ts';
import { BoardSubscriptions } from './subscriptions.ts';

/** A board that was silent for this long is away. */
const AWAY_MS = KEEP_ALIVE_S * 3_500;
const LOOK_MS = 1_000;

const NO_CHANNEL = 0;

/** A board on a port: PROTOCOL.md of firmware-bridge/ from the gateway's side. */
export class BridgePort {
  readonly options: BridgePortOptions;
  readonly party: Party;
  readonly recorder: Recorder;
  readonly #context: SerialContext;
  readonly #bridge: BridgeContext;
  readonly supervisor: Supervisor;
  readonly #link: FrameLink;
  readonly #conversations: Conversations;
  readonly #out: NumberedOut;
  readonly #calls: Calls;
  readonly #commands: Commands;
  readonly #ownRequests: OwnRequests;
  readonly #subscriptions: BoardSubscriptions;
  readonly #publications: Publications;
  readonly #rules: SubjectRules;
  readonly #counters: BoardCounters;
  #board: Board | null = null;
  #in: NumberedIn | null = null;
  #updater: BoardUpdater | null = null;
  /** The board has spoken on its channel, so that it knows it. */
  #isOpen = false;
  #isThere = false;
  #window = 0;
  #resets = 0;
  #lost = 0;
  #uptime = { ms: 0, atMs: 0 };
  /** Of frames without a number; null before the first. */
  #nextSequence: number | null = null;
  #receivedAtMs = 0;
  #heardAtMs = 0;
  #sleepsUntilMs: number | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BridgePortOptions, context: SerialContext, bridge: BridgeContext) {
    const { name, identity, line, silenceMs, prefix, publish, subscribe, timeoutMs, recorderBytes } = options;
    const { router, root, held, log } = context;
    this.options = options;
    this.party = { kind: 'serial', name };
    this.recorder = new Recorder(recorderBytes);
    this.#context = context;
    this.#bridge = bridge;
    this.#counters = Object.fromEntries(boardCounters.map((counter) => [counter, 0])) as BoardCounters;
    this.supervisor = new Supervisor(
      { name, identity, settings: line, silenceMs, isGathered: false, root, held, log },
      { data: (chunk) => this.#data(chunk), opened: () => this.#opened(), lost: () => this.#lostLine() },
    );
    this.#link = new FrameLink(
      (bytes) => void this.supervisor.write(bytes).catch(() => undefined),
      (frame) => this.#frame(frame),
      (cause, count) => this.recorder.mark(this.#receivedAtMs, cause, `${count} bytes`),
    );
    const { store, activeSources } = bridge;
    this.#conversations = new Conversations({ port: name, prefix, link: this.#link, store, activeSources, log });
    this.#out = new NumberedOut({
      send: (...frame) => this.#link.sendNumbered(...frame),
      gaveUp: () => this.#conversations.ask(),
    });
    const add = (frame: Parameters<NumberedOut['add']>[0]): boolean => this.#out.add(frame);
    const room = (): number => this.#link.room;
    const send = (of: number, payload: Uint8Array): void => this.#link.send(of, payload);
    const answer = (reply: string, outcome: Outcome): void => this.#answer(reply, outcome);
    this.#rules = new SubjectRules(prefix, publish, subscribe);
    const shared = { router, party: this.party, rules: this.#rules, counters: this.#counters };
    this.#calls = new Calls(name, add);
    this.#ownRequests = new OwnRequests(router, this.party, bridge.gateway, room, add);
    const servesRequests = (): boolean => this.#board?.has(feature.commands) === true;
    this.#subscriptions = new BoardSubscriptions({
      ...shared,
      ...{ calls: this.#calls, timeoutMs, servesRequests, room, send, add, answer },
    });
    this.#publications = new Publications({ ...shared, store, baud: identity.tcp === null ? line.baud : 0 });
    this.#commands = new Commands({
      ...{ router, party: this.party, prefix, timeoutMs, calls: this.#calls, answer },
      board: () => this.#boardOrWhy(),
      failed: ({ code: why, message }) => log.warn({ port: name, code: why }, `a command failed: ${message}`),
    });
  }

  async start(): Promise<void> {
    this.#conversations.start();
    this.#commands.start();
    this.supervisor.start();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  readonly stop = once(async () => {
    clearInterval(this.#timer);
    this.#commands.stop();
    await this.supervisor.stop();
    this.#end();
    this.#ownRequests.stop();
  });

  status(): SerialPortStatus {
    const { state, node, opens, retryInMs, lastError, refusedSettings } = this.supervisor;
    const { values, published, refused, malformed, unknownTypes, unknownFlags } = this.#counters;
    const { discarded, counters } = this.#link;
    return {
      ...{
        name: this.options.name,
        kind: 'bridge' as const,
        state,
        node,
        opens,
        retryInMs,
        lastError,
        refusedSettings,
      },
      lastSeenMs: this.#heardAtMs || null,
      bytesIn: counters.bytes,
      messagesIn: values + published,
      frames: counters.frames,
      filtered: 0,
      discardedBytes: Object.values(discarded).reduce((sum, count) => sum + count, 0),
      undecodable: malformed + unknownTypes + unknownFlags,
      discarded: { ...discarded },
      faults: { malformed, unknown_type: unknownTypes, unknown_flags: unknownFlags },
      ...{ throttled: 0, isFlooding: false, refused, ...this.#commands.counters, polls: 0, pollsUnanswered: 0 },
      queued: this.#out.waiting,
      captures: this.recorder.captures.length,
      swap: '',
      units: [],
      board: this.#boardStatus(),
    };
  }

  #boardStatus(): BoardStatus | null {
    const board = this.#board;
    if (board === null) return null;
    const { identity, hardware, firmware, version, bootCount } = board.hello;
    const isOnTrial = board.has(feature.trial) && this.#updater?.isConfirmed !== true;
    return {
      isThere: this.#isThere,
      sleepsUntilMs: this.#sleepsUntilMs,
      ...{ identity, hardware, firmware, version, hash: board.hash, isOnTrial },
      check: this.#link.check ?? 'crc32c',
      frameBytesMax: this.#link.frameBytesMax,
      window: this.#window,
      resetReason: board.resetReason,
      ...{ bootCount, resets: this.#resets, lost: this.#lost },
      uptimeMs: this.#uptime.ms + Math.max(0, this.#heardAtMs - this.#uptime.atMs),
      subscriptions: this.#subscriptions.filters,
      entities: board.entities.map((entity) => entity.status()),
      counters: { ...this.#counters },
    };
  }

  #data(chunk: Buffer): void {
    this.#receivedAtMs = Date.now();
    this.recorder.add(chunk);
    this.#link.push(chunk);
  }

  #opened(): void {
    this.#link.reset();
    this.#conversations.ask();
  }

  #lostLine(): void {
    this.#end();
    this.#away('its line was lost');
  }

  /** The channel is no more. */
  #end(): void {
    this.#isOpen = false;
    this.#link.close();
    this.#out.close();
    this.#calls.fail();
    this.#ownRequests.forget();
    this.#subscriptions.end();
    this.#updater?.gone();
    this.#updater = null;
    this.#nextSequence = null;
    this.#bridge.firmware.down(this.options.name);
  }

  #look(): void {
    if (!this.#isThere) return;
    const untilMs = Math.max(this.#heardAtMs, this.#sleepsUntilMs ?? 0) + AWAY_MS;
    if (Date.now() <= untilMs) return;
    this.#away(`nothing came from it for ${Math.round((Date.now() - this.#heardAtMs) / 1000)} s`);
    this.#bridge.firmware.down(this.options.name);
  }

  #away(why: string): void {
    if (!this.#isThere) return;
    this.#isThere = false;
    const { identity } = (this.#board as Board).hello;
    this.#context.log.warn({ port: this.options.name, board: identity, why }, 'the board is away');
  }

  #boardOrWhy(): Board | GatewayError {
    if (this.#board !== null && this.#isThere) return this.#board;
    return new GatewayError('not_connected', `There is no board on ${this.options.name}`);
  }

  #frame(frame: Frame): void {
    if (frame.type === type.hello && frame.channel === NO_CHANNEL) {
      this.#hello(frame);
      return;
    }
    const isOurs = this.#board !== null && frame.channel === this.#link.channel;
    if (!isOurs || (this.#link.channel === NO_CHANNEL && this.#board?.isOneWay !== true)) {
      this.#counters.strayChannel++;
      this.#conversations.ask();
      return;
    }
    this.#heard();
    try {
      this.#dispatch(frame);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#counters.malformed++;
      this.recorder.mark(this.#receivedAtMs, 'malformed', error.message);
    }
  }

  #hello(frame: Frame): void {
    let opened: Opened | null = null;
    const { check: checkBefore } = this.#link;
    try {
      this.#link.check = frame.check;
      this.#end();
      opened = this.#conversations.open(frame.payload);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#link.check = checkBefore;
      this.#counters.malformed++;
    }
    if (opened === null) return;
    const { board, source, window, isReset } = opened;
    const { identity, hardware, firmware, version, oldest, lost, uptimeMs } = board.hello;
    this.#counters.handshakes++;
    if (isReset) this.#resets++;
    if (!this.#isThere || isReset || this.#board?.hello.identity !== identity) {
      const { resetReason: reset } = board;
      this.#context.log.info(
        { port: this.options.name, board: identity, hardware, firmware, version, reset },
        'a board is there',
      );
    }
    this.#board = board;
    this.#window = window;
    this.#lost = lost;
    this.#uptime = { ms: uptimeMs, atMs: this.#receivedAtMs };
    this.#heard();
    this.#isOpen = false;
    this.#nextSequence = (frame.sequence + 1) & 0xffff;
    if (board.isOneWay) return;
    if (this.#in?.source !== source) this.#in = this.#numberedIn(source);
    this.#in.open(oldest, window);
    this.#out.open();
    this.#tellTime();
  }

  #numberedIn(source: string): NumberedIn {
    const { store } = this.#bridge;
    const numbered: NumberedIn = new NumberedIn(source, {
      counters: this.#counters,
      // Its receipts may come when another board is there.
      send: (...frame) => {
        if (this.#in === numbered && this.#link.channel !== NO_CHANNEL) this.#link.send(...frame);
      },
      forget: (through) => store.taken.forget(source, through),
      handle: (number, frame) => this.#handle(numbered, number, frame),
    });
    return numbered;
  }

  #tellTime(): void {
    this.#link.send(type.time, writeTime(Date.now(), this.#bridge.isClockTrusted()));
  }

  /** A frame of the board that is there. */
  #heard(): void {
    this.#heardAtMs = this.#receivedAtMs;
    this.#sleepsUntilMs = null;
    this.#isThere = true;
    this.#out.release();
  }

  #dispatch(frame: Frame): void {
    const isNumbered = (frame.flags & flag.numbered) !== 0;
    if (!this.#isOpen) this.#channelIsKnown();
    if ((frame.flags & ~KNOWN_FLAGS) !== 0) {
      this.#counters.unknownFlags++;
      const { sequence } = frame;
      this.#link.send(type.nak, writeNak({ sequence, code: code.unknown_flags, waitMs: 0 }));
      return;
    }
    if (isNumbered) {
      if (this.#board?.isOneWay === false) this.#in?.take(frame.sequence, frame);
      return;
    }
    this.#countLost(frame.sequence);
    this.#unnumbered(frame);
  }

  /** Only now: before, the board would throw away what is sent on its channel. */
  #channelIsKnown(): void {
    this.#isOpen = true;
    const board = this.#board as Board;
    if (board.isOneWay) return;
    const { hardware: target, version } = board.hello;
    const image = { target, version, hash: board.hash, takesImages: board.has(feature.firmware) };
    this.#updater = new BoardUpdater(
      { ...image, isOnTrial: board.has(feature.trial) },
      { room: () => this.#link.room, send: (...one) => this.#link.send(...one) },
    );
    this.#bridge.firmware.up(this.options.name, this.#updater);
  }

  #countLost(sequence: number): void {
    if (this.#nextSequence !== null) {
      const missing = (sequence - this.#nextSequence) & 0xffff;
      // More than half the circle is a counter that began anew.
      if (missing < 0x8000) this.#counters.lostFrames += missing;
    }
    this.#nextSequence = (sequence + 1) & 0xffff;
  }

  #unnumbered({ type: of, payload }: Frame): void {
    const board = this.#board as Board;
    switch (of) {
      case type.describe:
        this.#describe(board, payload);
        return;
      case type.data:
        this.#publications.data(board, payload, this.#receivedAtMs, null);
        return;
      case type.publish:
        this.#refuseQuietly(this.#publications.publish(payload, this.#receivedAtMs, null));
        return;
      case type.subscribe:
        this.#subscriptions.take(payload);
        return;
      case type.ack:
        this.#out.ack(readAck(payload));
        return;
      case type.nak: {
        const { sequence, code: why, waitMs } = readNak(payload);
        this.#out.nak(sequence, why, waitMs);
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
        this.#tellTime();
        return;
      case type.firmware:
        this.#updater?.take(payload);
        return;
      default:
        if (of < PRIVATE_TYPE) this.#counters.unknownTypes++;
    }
  }

  /** A numbered frame in its turn. */
  #handle(numbered: NumberedIn, number: number, { type: of, payload }: NumberedFrame): Handling {
    const board = this.#board as Board;
    const note = {
      ...{ source: numbered.source, number, receipt: numbered },
      await: (messages: number) => numbered.await(number, messages),
    };
    try {
      switch (of) {
        case type.data:
          return this.#publications.data(board, payload, this.#receivedAtMs, note);
        case type.publish:
          return this.#publications.publish(payload, this.#receivedAtMs, note);
        case type.request:
          return this.#ownRequest(payload);
        case type.reply:
          this.#counters.replies++;
          if (!this.#calls.reply(payload)) this.#counters.lateReplies++;
          return 'done';
        case type.log:
          this.#log(payload);
          return 'done';
        case type.skip:
          return this.#skip(numbered, number, readSkip(payload));
        default:
          if (of < PRIVATE_TYPE) this.#counters.unknownTypes++;
          return { refused: code.unknown_type };
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#counters.malformed++;
      return { refused: code.malformed };
    }
  }

  #ownRequest(payload: Uint8Array): Handling {
    const request = readRequest(payload);
    const subject = this.#rules.whole(request.subject);
    if (request.subject === '') return { refused: code.malformed };
    if (!this.#rules.mayPublish(subject)) return { refused: code.not_permitted };
    this.#counters.requests++;
    this.#ownRequests.make(request, subject);
    return 'done';
  }

  /** The number has no content any more. What the board gave up to make room is in its count of what it lost. */
  #skip(numbered: NumberedIn, number: number, why: number): Handling {
    if (why === code.dropped) return 'done';
    const { store } = this.#bridge;
    const { name } = this.options;
    const detail = `refused by the box: ${codeName(why)}`;
    numbered.await(number, 1);
    store.lost(`serial ${name}`, 1, detail, numbered.source, number).then(
      () => numbered.accepted(number),
      () => numbered.refused(number),
    );
    return 'pending';
  }

  #refuseQuietly(handling: Handling): void {
    if (typeof handling === 'object') this.#counters.refused++;
  }

  #describe(board: Board, payload: Uint8Array): void {
    let next: number;
    let why: number = code.ok;
    const wasDescribed = board.isDescribed;
    try {
      next = board.describe(readDescription(payload));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#counters.malformed++;
      next = payload[1] ?? 0;
      why = code.malformed;
    }
    if (!board.isOneWay) this.#link.send(type.describe, writeDescribed(next, why));
    if (board.isDescribed && !wasDescribed) this.#conversations.described();
  }

  #ping(payload: Uint8Array): void {
    const ping = readPing(payload);
    this.#link.send(type.pong, payload);
    if (ping === null) return;
    this.#lost = ping.lost;
    this.#uptime = { ms: ping.uptimeMs, atMs: this.#receivedAtMs };
    this.#conversations.noteLost(ping.lost, ping.uptimeMs);
    if (ping.silentMs === 0) return;
    this.#sleepsUntilMs = this.#receivedAtMs + ping.silentMs;
    this.#out.hold();
  }

  #log(payload: Uint8Array): void {
    const { level, text } = readLog(payload);
    const { identity } = (this.#board as Board).hello;
    // A board is no reason to wake the operator: its errors are warnings here.
    const shown = level === logLevels[0] ? 'warn' : level;
    this.#context.log[shown]({ port: this.options.name, board: identity }, `the board says: ${text}`);
  }

  #answer(reply: string, outcome: Outcome): void {
    const isError = outcome instanceof GatewayError;
    const payload = isError ? Buffer.from(`${describeError(outcome).message}\n`) : outcome;
    const headers = isError ? errorHeaders(outcome) : NO_HEADERS;
    const message = { subject: reply, reply: '', headers, payload, receivedAtMs: Date.now(), origin: this.party };
    this.#context.router.publish(message);
  }
}
