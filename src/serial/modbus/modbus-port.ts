import { setImmediate as tick, setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../../core/errors.ts';
import { type Message, NO_HEADERS, type Party } from '../../core/message.ts';
import type { Receipt, Subscription } from '../../core/router.ts';
import { once } from '../../core/service.ts';
import { errorHeaders } from '../error-headers.ts';
import type { ModbusPortOptions } from '../options.ts';
import { Recorder } from '../recorder.ts';
import { Reporter } from '../reporter.ts';
import type { SerialContext, SerialPortStatus } from '../serial-edge.ts';
import { Supervisor } from '../supervisor.ts';
import { ModbusClient } from './client.ts';
import { carryOut, parseOrder } from './orders.ts';
import { type Group, Unit } from './unit.ts';
import { RtuPort, TcpPort, type WirePort } from './wire-port.ts';

/** Orders that wait for the bus. */
const ORDERS_MAX = 64;
/** Messages that wait for their commit: then the bus is polled no further. */
const WAITING_MAX = 4096;
/** Silence between frames in characters of 11 bits; from 19,200 baud on it is fixed. [Modbus over serial line 1.02, 2.5.1.1] */
const SILENT_CHARS = 3.5;
const SILENT_MS_MIN = 1.75;

interface Order {
  readonly message: Message;
}

/** The master of one bus: polls its units group by group, and carries out orders between two requests. */
export class ModbusPort implements Receipt {
  readonly options: ModbusPortOptions;
  readonly party: Party;
  readonly recorder: Recorder;
  readonly #context: SerialContext;
  readonly supervisor: Supervisor;
  readonly #wire: WirePort;
  readonly #units: readonly Unit[];
  readonly #groups: readonly Group[];
  readonly #reporter: Reporter;
  readonly #orders: Order[] = [];
  readonly #stopping = new AbortController();
  #client: ModbusClient | null = null;
  #subscription: Subscription | null = null;
  #work: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;
  #waiting = 0;
  #lastSeenMs = 0;
  /** The same of a clock that does not jump. */
  #lastDataMs = 0;
  #counters = { bytesIn: 0, answers: 0, undecodable: 0, noSubject: 0 };
  #orderCounters = { refused: 0, commands: 0, commandsFailed: 0, polls: 0, pollsUnanswered: 0 };

  constructor(options: ModbusPortOptions, context: SerialContext) {
    const { name, identity, line, modbus, recorderBytes } = options;
    this.options = options;
    this.party = { kind: 'serial', name };
    this.recorder = new Recorder(recorderBytes);
    this.#context = context;
    const { root, held, log } = context;
    this.supervisor = new Supervisor(
      // A bus is silent while it is not asked; whether a unit is dead is told by its answers.
      { name, identity, settings: line, silenceMs: 0, isGathered: false, root, held, log },
      { data: (chunk) => this.#data(chunk), opened: () => this.#wake(), lost: () => undefined },
    );
    const send = (bytes: Buffer): void => void this.supervisor.write(bytes).catch(() => undefined);
    this.#wire = modbus.transport === 'tcp' ? new TcpPort(send) : new RtuPort(send);
    this.#units = modbus.units.map((unit) => new Unit(unit, modbus));
    this.#groups = this.#units.flatMap(({ groups }) => groups);
    const registers = modbus.units.flatMap((unit) => unit.registers);
    const units = registers.filter(({ unit }) => unit !== '').map((register) => [register.name, register.unit]);
    this.#reporter = new Reporter(options, Object.fromEntries(units), (subject, payload) =>
      this.#publish(subject, payload),
    );
  }

  async start(): Promise<void> {
    const { modbus, commandSubject } = this.options;
    this.#client = await ModbusClient.make(this.#wire, modbus.timeoutMs);
    if (commandSubject !== '') {
      this.#subscription = {
        filter: commandSubject,
        queue: '',
        owner: this.party,
        deliver: (message) => this.#order(message),
      };
      this.#context.router.subscribe(this.#subscription);
    }
    this.supervisor.start();
    this.#work = this.#run(this.#client);
  }

  readonly stop = once(async () => {
    if (this.#subscription !== null) this.#context.router.unsubscribe(this.#subscription);
    this.#stopping.abort();
    this.#wake();
    await this.supervisor.stop();
    await this.#work;
  });

  status(): SerialPortStatus {
    const clockMs = performance.now();
    const { state, node, opens, retryInMs, lastError, refusedSettings } = this.supervisor;
    const { bytesIn, answers, undecodable, noSubject } = this.#counters;
    return {
      name: this.options.name,
      kind: 'modbus',
      state,
      node,
      opens,
      retryInMs,
      lastError,
      refusedSettings,
      lastSeenMs: this.#lastSeenMs || null,
      bytesIn,
      messagesIn: this.#reporter.counters.messages,
      frames: answers,
      filtered: this.#reporter.counters.filtered,
      discardedBytes: this.#wire.discarded,
      undecodable,
      discarded: { noise: this.#wire.discarded },
      faults: { no_subject: noSubject },
      throttled: 0,
      isFlooding: false,
      ...this.#orderCounters,
      queued: this.#orders.length,
      captures: this.recorder.captures.length,
      swap: '',
      units: this.#units.map((unit) => unit.status(clockMs)),
      board: null,
    };
  }

  accepted(): void {
    this.#settled();
  }

  refused(): void {
    this.#orderCounters.refused++;
    this.#settled();
  }

  #settled(): void {
    this.#waiting--;
    if (this.#waiting === WAITING_MAX / 2) this.#wake();
  }

  #data(chunk: Buffer): void {
    this.#lastSeenMs = Date.now();
    this.#lastDataMs = performance.now();
    this.#counters.bytesIn += chunk.length;
    this.recorder.add(chunk);
    this.#wire.receive(chunk);
  }

  /** One request at a time, orders first, then the group that has waited longest. */
  async #run(client: ModbusClient): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const order = this.#orders.shift();
      if (order !== undefined) {
        await this.#carryOut(order.message, client);
        continue;
      }
      const nowMs = performance.now();
      const group = this.#next();
      const isReady = this.supervisor.state === 'open' && this.#waiting < WAITING_MAX;
      if (group !== null && isReady && wakeAt(group) <= nowMs) await this.#poll(group, client);
      // A closed port is looked at again when it opens; the longest wait is only for what nobody tells.
      else await this.#sleep(group === null || !isReady ? 1_000 : Math.min(wakeAt(group) - nowMs, 60_000));
    }
  }

  #next(): Group | null {
    let next: Group | null = null;
    for (const group of this.#groups) {
      if (group.everyMs > 0 && (next === null || wakeAt(group) < wakeAt(next))) next = group;
    }
    return next;
  }

  /** Until something happens, or the time is over. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(ms, 0));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #poll(group: Group, client: ModbusClient): Promise<void> {
    const { unit, name, blocks, everyMs } = group;
    const startedMs = performance.now();
    // At the pace of the plan, but never behind it: a bus that is too slow is polled as fast as it can.
    group.dueAtMs = Math.max(group.dueAtMs + everyMs, startedMs);
    const values: Record<string, unknown> = {};
    let isAnswered = false;
    for (const block of blocks) {
      if (this.#orders.length > 0) await this.#carryOut((this.#orders.shift() as Order).message, client);
      this.#orderCounters.polls++;
      try {
        const answer = await client.read(unit.options.unit, block.table, block.address, block.count);
        unit.answered(Date.now());
        this.#counters.answers++;
        isAnswered = true;
        const fault = unit.values(block, answer, values);
        if (fault !== '') this.#counters.undecodable++;
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        this.#orderCounters.pollsUnanswered++;
        const isSilent = error.code !== 'modbus_exception';
        unit.failed(error.message, isSilent, performance.now());
        this.recorder.mark(Date.now(), error.code, `unit ${unit.options.unit}: ${error.message}`);
        // The rest of this unit would only cost the others one time-out after the other.
        if (isSilent) break;
      }
      await this.#turnaround();
    }
    if (!isAnswered) return;
    const names = { unit: unit.options.name, unit_id: unit.options.unit, group: name };
    if (!this.#reporter.report({ fields: values }, null, performance.now(), names)) this.#counters.noSubject++;
  }

  /** The silence before the next request, from the last byte on: what was done meanwhile is part of it. */
  async #turnaround(): Promise<void> {
    const { modbus, line } = this.options;
    if (modbus.transport === 'tcp' && modbus.turnaroundMs === 0) return;
    const silentMs = Math.max((SILENT_CHARS * 11_000) / line.baud, SILENT_MS_MIN);
    const endMs = this.#lastDataMs + (modbus.turnaroundMs > 0 ? modbus.turnaroundMs : silentMs);
    const left = endMs - performance.now();
    if (left >= 1) await wait(Math.floor(left));
    // The rest is less than a timer can tell, and a tenth of what a poll takes.
    while (performance.now() < endMs) await tick();
  }

  #publish(subject: string, payload: Buffer): void {
    this.#waiting++;
    const headers = NO_HEADERS;
    const message = { subject, reply: '', headers, payload, receivedAtMs: Date.now(), origin: this.party };
    this.#context.router.publish(message, this);
  }

  #order(message: Message): boolean {
    this.#orderCounters.commands++;
    if (this.#orders.length >= ORDERS_MAX) {
      this.#answer(message, new GatewayError('queue_full', `${ORDERS_MAX} orders wait for this bus already`));
      return true;
    }
    this.#orders.push({ message });
    this.#wake();
    return true;
  }

  async #carryOut(message: Message, client: ModbusClient): Promise<void> {
    try {
      if (this.supervisor.state !== 'open') throw new GatewayError('not_connected', 'The bus is not open');
      const order = parseOrder(message.payload);
      if (order instanceof GatewayError) throw order;
      this.#answer(message, await carryOut(order, this.#units, client));
      await this.#turnaround();
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#answer(message, error);
    }
  }

  #answer({ reply }: Message, outcome: object | GatewayError): void {
    const isError = outcome instanceof GatewayError;
    if (isError) this.#orderCounters.commandsFailed++;
    if (reply === '') {
      if (isError) this.#context.log.warn({ port: this.options.name, code: outcome.code }, outcome.message);
      return;
    }
    const headers = isError ? errorHeaders(outcome) : NO_HEADERS;
    const payload = Buffer.from(isError ? `${outcome.message}\n` : JSON.stringify(outcome));
    const message = { subject: reply, reply: '', headers, payload, receivedAtMs: Date.now(), origin: this.party };
    this.#context.router.publish(message);
  }
}

/** When a group is to be read: as planned, and for a dead unit when it may be asked again. */
function wakeAt({ dueAtMs, unit }: Group): number {
  return Math.max(dueAtMs, unit.retryAtMs);
}
