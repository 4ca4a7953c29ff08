import { GatewayError } from '../core/errors.ts';
import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import type { Receipt, Router, Subscription } from '../core/router.ts';
import { once } from '../core/service.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { CommandEncoder } from './command-encoder.ts';
import { CommandQueue } from './commands.ts';
import { loadPattern } from './decode/decoder.ts';
import type { Match } from './decode/text.ts';
import { errorHeaders } from './error-headers.ts';
import { encodeFrame } from './framing/framing.ts';
import { LoopShare } from './loop-share.ts';
import type { PortOptions } from './options.ts';
import { discardedOf, faultsOf, Pipeline } from './pipeline.ts';
import { Polls } from './polls.ts';
import { Recorder } from './recorder.ts';
import type { SerialContext, SerialPortStatus } from './serial-edge.ts';
import { Strangeness } from './strangeness.ts';
import { Supervisor } from './supervisor.ts';

/** Messages of one port that wait for their commit; beyond that it is not read, and the driver's flow control works. */
const WAITING_MAX = 16_384;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** One device on one port: what it says becomes messages, what is sent to it is written. */
export class Port implements Receipt {
  readonly options: PortOptions;
  readonly party: Party;
  readonly recorder: Recorder;
  readonly #context: SerialContext;
  readonly #router: Router;
  readonly supervisor: Supervisor;
  readonly #commands: CommandQueue;
  readonly #acknowledgements: Acknowledgements | null;
  #pipeline: Pipeline | null = null;
  #polls: Polls | null = null;
  #encoder: CommandEncoder | null = null;
  #match: Match | null = null;
  #subscription: Subscription | null = null;
  #waiting = 0;
  #waitingBytes = 0;
  #isHeld = false;
  readonly #share = new LoopShare();
  #throttle: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #lastSeenMs = 0;
  readonly #strangeness = new Strangeness();
  #counters = { throttled: 0, refused: 0, commands: 0, commandsFailed: 0, polls: 0, pollsUnanswered: 0 };

  constructor(options: PortOptions, context: SerialContext) {
    const { name, identity, line, silenceMs, acknowledge, recorderBytes } = options;
    this.options = options;
    this.party = { kind: 'serial', name };
    this.recorder = new Recorder(recorderBytes);
    this.#context = context;
    this.#router = context.router;
    const { root, held, log } = context;
    this.supervisor = new Supervisor(
      { name, identity, settings: line, silenceMs, isGathered: options.polls.length === 0, root, held, log },
      { data: (chunk) => this.#data(chunk), opened: () => this.#opened(), lost: (reason) => this.#lost(reason) },
    );
    this.#commands = new CommandQueue((bytes) => this.supervisor.write(bytes));
    const hasAnswers = acknowledge.accepted.length > 0 || acknowledge.refused.length > 0;
    this.#acknowledgements = hasAnswers
      ? new Acknowledgements(acknowledge, (bytes) => void this.supervisor.write(bytes).catch(() => undefined))
      : null;
  }

  /** Rejects where a pattern or an encoding of the configuration is none; a device that is absent is no error. */
  async start(): Promise<void> {
    const { command, polls, decoder } = this.options;
    this.#pipeline = await this.makePipeline();
    if (command.match !== '') this.#match = await loadPattern(command.match);
    if (command.subject !== '') {
      this.#encoder = await CommandEncoder.make(command, decoder.encoding, this.options.framing);
      this.#subscription = {
        filter: command.subject,
        queue: '',
        owner: this.party,
        deliver: (message) => this.#command(message),
      };
      this.#router.subscribe(this.#subscription);
    }
    this.supervisor.start();
    if (polls.length > 0) {
      this.#polls = new Polls(polls, (poll) =>
        this.#poll(poll.framed ? encodeFrame(this.options.framing, poll.send) : poll.send),
      );
      await this.#polls.start();
    }
  }

  readonly stop = once(async () => {
    if (this.#subscription !== null) this.#router.unsubscribe(this.#subscription);
    await this.#polls?.stop();
    clearTimeout(this.#throttle);
    clearTimeout(this.#idle);
    await this.supervisor.stop();
  });

  /** A pipeline of this port's configuration that publishes nothing: whether bytes are of this device. */
  makeTrial(): Promise<Pipeline> {
    return Pipeline.make(this.options, { message: () => undefined, frame: () => false, error: () => undefined });
  }

  makePipeline(): Promise<Pipeline> {
    return Pipeline.make(this.options, {
      message: (subject, payload, frame) => this.#publish(subject, payload, frame),
      frame: (content) => this.#frame(content),
      error: (cause, detail) => this.#error(cause, detail),
    });
  }

  status(): SerialPortStatus {
    const counters = this.#pipeline?.counters;
    const { state, node, opens, retryInMs, lastError, refusedSettings } = this.supervisor;
    return {
      name: this.options.name,
      kind: 'frames',
      state,
      node,
      opens,
      retryInMs,
      lastError,
      refusedSettings,
      lastSeenMs: this.#lastSeenMs || null,
      bytesIn: counters?.bytes ?? 0,
      messagesIn: this.#pipeline?.reported.messages ?? 0,
      frames: counters?.frames ?? 0,
      filtered: this.#pipeline?.reported.filtered ?? 0,
      discardedBytes: counters === undefined ? 0 : discardedOf(counters),
      undecodable: counters === undefined ? 0 : faultsOf(counters),
      discarded: { ...counters?.discarded },
      faults: { ...counters?.undecodable, no_subject: counters?.noSubject ?? 0 },
      ...this.#counters,
      queued: this.#commands.waiting,
      captures: this.recorder.captures.length,
      swap: this.#strangeness.looksLike,
      isFlooding: this.#share.isFlooding(performance.now()),
      units: [],
      board: null,
    };
  }

  accepted(token: number): void {
    this.#end(token);
    this.#acknowledgements?.accepted(token);
  }

  refused(token: number): void {
    this.#counters.refused++;
    this.#end(token);
    this.#acknowledgements?.refused(token);
  }

  #data(chunk: Buffer): void {
    const pipeline = this.#pipeline as Pipeline;
    const nowMs = performance.now();
    this.#lastSeenMs = Date.now();
    this.recorder.add(chunk);
    pipeline.push(chunk, nowMs);
    this.#acknowledgements?.flush();
    if (pipeline.gapMs > 0) {
      if (this.#idle === undefined) this.#idle = setTimeout(() => this.#silent(), pipeline.gapMs);
      else this.#idle.refresh();
    }
    this.#account(nowMs, performance.now());
    if (this.#waiting >= WAITING_MAX || this.#waitingBytes >= WAITING_BYTES_MAX) {
      this.#isHeld = true;
      this.supervisor.pause();
    }
  }

  #silent(): void {
    this.#pipeline?.idle(performance.now());
    this.#acknowledgements?.flush();
  }

  /** Lets a port that floods wait: its neighbours and the rest of the box come first. */
  #account(fromMs: number, toMs: number): void {
    if (this.#throttle !== undefined) return;
    const waitMs = this.#share.spent(fromMs, toMs);
    if (waitMs === 0) return;
    this.#counters.throttled++;
    this.supervisor.pause();
    this.#throttle = setTimeout(() => {
      this.#throttle = undefined;
      if (!this.#isHeld) this.supervisor.resume();
    }, waitMs);
  }

  #frame(content: Buffer): boolean {
    this.#acknowledgements?.begin(this.#pipeline?.counters.frames ?? 0);
    return this.#commands.frame(content);
  }

  #publish(subject: string, payload: Buffer, frame: number): void {
    const token = this.#acknowledgements === null ? payload.length : frame;
    this.#waiting++;
    this.#waitingBytes += payload.length;
    this.#acknowledgements?.add(frame, payload.length);
    const message = {
      subject,
      reply: '',
      headers: NO_HEADERS,
      payload,
      receivedAtMs: this.#lastSeenMs,
      origin: this.party,
    };
    this.#router.publish(message, this, token);
  }

  #end(token: number): void {
    this.#waiting--;
    this.#waitingBytes -= this.#acknowledgements === null ? token : this.#acknowledgements.bytesOf(token);
    if (this.#isHeld && this.#waiting <= WAITING_MAX / 2 && this.#waitingBytes <= WAITING_BYTES_MAX / 2) {
      this.#isHeld = false;
      if (this.#throttle === undefined) this.supervisor.resume();
    }
  }

  #error(cause: string, detail: string): void {
    this.recorder.mark(this.#lastSeenMs, cause, detail);
    this.#acknowledgements?.bad(this.#pipeline?.counters.frames ?? 0, cause);
    if (this.#strangeness.error(this.#pipeline?.counters.decoded ?? 0)) this.#strange();
  }

  #strange(): void {
    void this.#context.whose(this, this.recorder.latest()).then((name) => {
      this.#strangeness.looksLike = name;
      if (name === '') return;
      const where = { port: this.options.name, node: this.supervisor.node, looksLike: name };
      this.#context.log.warn(where, 'the device on this port speaks like that of another one: were two plugs swapped?');
    });
  }

  #opened(): void {
    this.#strangeness.begin(this.#pipeline?.counters.decoded ?? 0);
    if (this.#isHeld || this.#throttle !== undefined) this.supervisor.pause();
  }

  #lost(reason: GatewayError): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    this.#silent();
    this.#commands.fail(reason);
  }

  /** A message on the port's command subject. */
  #command(message: Message): boolean {
    this.#counters.commands++;
    const { reply, payload } = message;
    const answer = (outcome: Buffer | null | GatewayError): void => {
      if (outcome instanceof GatewayError) this.#counters.commandsFailed++;
      if (reply !== '') this.#answer(reply, outcome);
      else if (outcome instanceof GatewayError) {
        this.#context.log.warn({ port: this.options.name, code: outcome.code }, `a command failed: ${outcome.message}`);
      }
    };
    const bytes = (this.#encoder as CommandEncoder).encode(payload);
    if (bytes instanceof GatewayError) {
      answer(bytes);
      return true;
    }
    const timeoutMs = reply === '' ? 0 : this.options.command.timeoutMs;
    this.#commands.add({ bytes, timeoutMs, match: this.#match, isTaken: true, done: answer });
    return true;
  }

  #poll(bytes: Buffer): void {
    this.#counters.polls++;
    const done = (outcome: Buffer | null | GatewayError): void => {
      if (outcome instanceof GatewayError) this.#counters.pollsUnanswered++;
      this.#polls?.finished();
    };
    this.#commands.add({ bytes, timeoutMs: this.options.command.timeoutMs, match: null, isTaken: false, done });
  }

  #answer(reply: string, outcome: Buffer | null | GatewayError): void {
    const isError = outcome instanceof GatewayError;
    const headers = isError ? errorHeaders(outcome) : NO_HEADERS;
    const payload = isError ? Buffer.from(`${outcome.message}\n`) : (outcome ?? Buffer.alloc(0));
    this.#router.publish({ subject: reply, reply: '', headers, payload, receivedAtMs: Date.now(), origin: this.party });
  }
}
