import type { Party } from '../../core/message.ts';
import { once } from '../../core/service.ts';
import { Recorder } from '../recorder.ts';
import type { SerialContext, SerialPortStatus } from '../serial-edge.ts';
import { Supervisor } from '../supervisor.ts';
import { answerTo, Calls } from './calls.ts';
import type { Frame } from './codec/frame.ts';
import { writeNak, writeTime } from './codec/messages.ts';
import { Malformed } from './codec/payload.ts';
import { code, feature, flag, KNOWN_FLAGS, type } from './codec/words.ts';
import { Commands } from './commands.ts';
import { Conversations, type Opened } from './conversation.ts';
import { FrameLink } from './frame-link.ts';
import { Incoming } from './incoming.ts';
import { NumberedIn } from './numbered-in.ts';
import { NumberedOut } from './numbered-out.ts';
import { type BoardCounters, type BridgeContext, type BridgePortOptions, boardCounters } from './options.ts';
import { OwnRequests } from './own-requests.ts';
import { Presence } from './presence.ts';
import { Publications } from './publications.ts';
import { SubjectRules } from './subject-rules.ts';
import { BoardSubscriptions } from './subscriptions.ts';

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
  readonly #presence: Presence;
  readonly #incoming: Incoming;
  #in: NumberedIn | null = null;
  /** The board has spoken on its channel, so that it knows it. */
  #isOpen = false;
  /** The line is open, and no HELLO has come. */
  #isAsking = false;
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
    this.#presence = new Presence(name, log);
    this.#link = new FrameLink(
      (bytes) => void this.supervisor.write(bytes).catch(() => undefined),
      (frame) => this.#frame(frame),
      (cause, count) => this.recorder.mark(this.#presence.receivedAtMs, cause, `${count} bytes`),
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
    const answer = answerTo(router, this.party);
    this.#rules = new SubjectRules(prefix, publish, subscribe);
    const shared = { router, party: this.party, rules: this.#rules, counters: this.#counters };
    this.#calls = new Calls(name, add);
    this.#ownRequests = new OwnRequests(router, this.party, bridge.gateway, room, add);
    const servesRequests = (): boolean => this.#presence.board?.has(feature.commands) === true;
    this.#subscriptions = new BoardSubscriptions({
      ...shared,
      ...{ calls: this.#calls, timeoutMs, servesRequests, room, send, add, answer },
    });
    this.#publications = new Publications({ ...shared, store, baud: identity.tcp === null ? line.baud : 0 });
    this.#incoming = new Incoming({
      ...{ port: name, presence: this.#presence, link: this.#link, out: this.#out, store, log },
      firmware: bridge.firmware,
      ...{ conversations: this.#conversations, publications: this.#publications, subscriptions: this.#subscriptions },
      ...{ calls: this.#calls, ownRequests: this.#ownRequests, rules: this.#rules, counters: this.#counters },
      tellTime: () => this.#tellTime(),
    });
    this.#commands = new Commands({
      ...{ router, party: this.party, prefix, timeoutMs, calls: this.#calls, answer },
      board: () => this.#presence.boardOrWhy(),
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
      ...{ name: this.options.name, kind: 'bridge' as const },
      ...{ state, node, opens, retryInMs, lastError, refusedSettings },
      lastSeenMs: this.#presence.heardAtMs || null,
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
      board: this.#presence.status({
        isConfirmed: this.#incoming.isImageConfirmed,
        check: this.#link.check,
        frameBytesMax: this.#link.frameBytesMax,
        subscriptions: this.#subscriptions.filters,
        counters: this.#counters,
      }),
    };
  }

  #data(chunk: Buffer): void {
    this.#presence.receivedAtMs = Date.now();
    this.recorder.add(chunk);
    this.#link.push(chunk);
  }

  #opened(): void {
    this.#link.reset();
    this.#isAsking = true;
    this.#conversations.ask();
  }

  #lostLine(): void {
    this.#isAsking = false;
    this.#end();
    this.#presence.away('its line was lost');
  }

  /** The channel is no more. `isFollowed`: another one is about to be opened. */
  #end(isFollowed = false): void {
    this.#isOpen = false;
    this.#link.close();
    this.#drop(isFollowed);
    this.#ownRequests.forget();
    this.#subscriptions.end();
    this.#incoming.close();
  }

  #drop(isFollowed = false): void {
    this.#out.close(isFollowed);
    this.#calls.fail(isFollowed);
  }

  #look(): void {
    if (this.#isAsking || this.#out.hasGivenUp) this.#conversations.askAgain();
    if (this.#presence.look()) this.#bridge.firmware.down(this.options.name);
  }

  #frame(frame: Frame): void {
    if (frame.type === type.hello && frame.channel === NO_CHANNEL) {
      this.#hello(frame);
      return;
    }
    const isOurs = this.#presence.board !== null && frame.channel === this.#link.channel;
    if (!isOurs || (this.#link.channel === NO_CHANNEL && this.#presence.board?.isOneWay !== true)) {
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
      this.recorder.mark(this.#presence.receivedAtMs, 'malformed', error.message);
    }
  }

  #hello(frame: Frame): void {
    let opened: Opened | null = null;
    const { check: checkBefore } = this.#link;
    const before = this.#presence.board?.hello;
    this.#isAsking = false;
    try {
      this.#link.check = frame.check;
      this.#end(true);
      opened = this.#conversations.open(frame.payload);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#link.check = checkBefore;
      this.#counters.malformed++;
    }
    const known = opened?.board.hello;
    // What was asked of one board is not for another, or for other entities.
    if (known?.identity !== before?.identity || known?.description !== before?.description) this.#drop();
    if (opened === null) return;
    const { board, source, window, isReset } = opened;
    const { identity, hardware, firmware, version, oldest, lost, uptimeMs } = board.hello;
    this.#counters.handshakes++;
    if (isReset) this.#presence.resets++;
    if (!this.#presence.isThere || isReset || this.#presence.board?.hello.identity !== identity) {
      const { resetReason: reset } = board;
      this.#context.log.info(
        { port: this.options.name, board: identity, hardware, firmware, version, reset },
        'a board is there',
      );
    }
    this.#presence.board = board;
    this.#presence.window = window;
    this.#presence.tells(lost, uptimeMs);
    this.#heard();
    this.#isOpen = false;
    this.#incoming.expect((frame.sequence + 1) & 0xffff);
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
      handle: (number, frame) => this.#incoming.handle(numbered, number, frame),
    });
    return numbered;
  }

  #tellTime(): void {
    this.#link.send(type.time, writeTime(Date.now(), this.#bridge.isClockTrusted()));
  }

  /** A frame of the board that is there. */
  #heard(): void {
    this.#presence.heard();
    this.#out.release();
  }

  #dispatch(frame: Frame): void {
    const isNumbered = (frame.flags & flag.numbered) !== 0;
    if (!this.#isOpen) this.#channelIsKnown();
    if ((frame.flags & ~KNOWN_FLAGS) !== 0) {
      this.#counters.unknownFlags++;
      const { sequence } = frame;
      // The counter of a frame without a number is no number: nobody waits for an answer.
      if (isNumbered) this.#link.send(type.nak, writeNak({ sequence, code: code.unknown_flags, waitMs: 0 }));
      return;
    }
    if (isNumbered) {
      if (this.#presence.board?.isOneWay === false) this.#in?.take(frame.sequence, frame);
      return;
    }
    this.#incoming.take(frame);
  }

  /** Only now: before, the board would throw away what is sent on its channel. */
  #channelIsKnown(): void {
    this.#isOpen = true;
    this.#incoming.open();
  }
}
