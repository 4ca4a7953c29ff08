import { realpath } from 'node:fs/promises';
import { describeError, GatewayError } from '../core/errors.ts';
import { KeepConnected } from '../core/keep-connected.ts';
import type { Log } from '../core/log.ts';
import { describeIdentity, findDevice } from './devices.ts';
import { type Line, openSerialLine } from './line.ts';
import type { LineSettings, PortIdentity } from './options.ts';

/** How often an open port's node is looked at, and an absent one looked for. */
const WATCH_MS = 500;
/**
 * A node that is new is often refused for some seconds: udev has not set its group yet, or ModemManager tries it. After so
 * many attempts it is another program's, or a mistake, and is tried less often.
 */
const QUICK_TRIES = 20;
const SLOW_TRY_MS = 5_000;

export type PortState = 'closed' | 'opening' | 'open' | 'absent' | 'waiting';

export interface SupervisorOptions {
  readonly name: string;
  readonly identity: PortIdentity;
  readonly settings: LineSettings;
  readonly silenceMs: number;
  readonly isGathered: boolean;
  /** '/' but for tests. */
  readonly root: string;
  /** Device nodes that other ports of the box hold, by node; each supervisor enters its own. */
  readonly held: Map<string, string>;
  readonly log: Log;
}

export interface SupervisorEvents {
  data(chunk: Buffer): void;
  opened(): void;
  lost(reason: GatewayError): void;
}

export type Sniffer = (direction: 'in' | 'out', bytes: Buffer) => void;

/**
 * Keeps one port open under whatever name its device has. It never trusts a close event: the line reports a hang-up by
 * what it reads, the node is looked at twice a second, and a silence can be told to mean a loss. It closes first and
 * opens then.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #events: SupervisorEvents;
  readonly #loop: KeepConnected<Line>;
  /** Those who look at the bytes as they pass. */
  readonly #sniffers = new Set<Sniffer>();
  #line: Line | null = null;
  #node = '';
  #lastDataMs = 0;
  #watch: NodeJS.Timeout | undefined;
  #lastError: ReturnType<typeof describeError> | null = null;
  #refusedSettings = '';
  /** In a row, by a device that is there. */
  #refusals = 0;
  #told = '';
  #opening: Promise<Line> | null = null;
  #lentUntilMs = 0;

  constructor(options: SupervisorOptions, events: SupervisorEvents) {
    this.#options = options;
    this.#events = events;
    this.#loop = new KeepConnected<Line>({
      connect: (signal) => {
        this.#opening = this.#open(signal);
        return this.#opening;
      },
      delayMs: (reason) => {
        // One that was lost was open before: it may be back at once.
        const isRefused = !['port_missing', 'port_ambiguous', 'port_lost', 'port_silent', 'port_lent'].includes(
          reason.code,
        );
        this.#refusals = isRefused ? this.#refusals + 1 : 0;
        return this.#refusals > QUICK_TRIES ? SLOW_TRY_MS : WATCH_MS;
      },
      waiting: (reason) => this.#tell(reason),
      stableMs: 0,
    });
  }

  get state(): PortState {
    const { state } = this.#loop;
    if (state === 'up') return 'open';
    if (state === 'connecting') return 'opening';
    if (state === 'waiting') return this.#lastError?.code === 'port_missing' ? 'absent' : 'waiting';
    return 'closed';
  }

  /** Device node while it is open, '' otherwise. */
  get node(): string {
    return this.#line === null ? '' : this.#node;
  }

  get opens(): number {
    return this.#loop.epoch;
  }

  get retryInMs(): number | null {
    return this.#loop.retryInMs;
  }

  get lastError(): ReturnType<typeof describeError> | null {
    return this.#lastError;
  }

  /** Line settings that the driver did not take; '' for none. */
  get refusedSettings(): string {
    return this.#refusedSettings;
  }

  start(): void {
    this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  /** Rejects with `not_connected` while the port is not open. */
  write(bytes: Buffer): Promise<void> {
    if (this.#line !== null) {
      for (const sniffer of this.#sniffers) sniffer('out', bytes);
      return this.#line.write(bytes);
    }
    const why = this.#lastError?.message ?? 'it is being opened';
    return Promise.reject(new GatewayError('not_connected', `The port ${this.#options.name} is not open: ${why}`));
  }

  /** Shows the bytes of both directions as they pass; the function that is returned ends it. */
  sniff(sniffer: Sniffer): () => void {
    this.#sniffers.add(sniffer);
    return () => this.#sniffers.delete(sniffer);
  }

  /**
   * Lets go of the device for another program, until `takeBack` or for `forMs`; asked again it is lent for longer. Resolves
   * with the device node once it is free; rejects where the device is absent, or no device of this machine.
   */
  async lend(forMs: number): Promise<string> {
    const { name, identity, root } = this.#options;
    if (identity.tcp !== null) {
      throw new GatewayError('port_failed', `${name} is no device of this machine`, { retriable: false });
    }
    this.#lentUntilMs = performance.now() + forMs;
    // What is half open is closed too.
    await this.#opening?.catch(() => undefined);
    const line = this.#line;
    if (line === null) return findDevice(identity, root);
    const node = this.#node;
    await line.close(this.#lent());
    await line.ended;
    return node;
  }

  /** The device is ours again: it is opened within half a second. */
  takeBack(): void {
    this.#lentUntilMs = 0;
  }

  pause(): void {
    this.#line?.pause();
  }

  resume(): void {
    this.#line?.resume();
  }

  async #open(signal: AbortSignal): Promise<Line> {
    const { name, identity, held, root, settings, isGathered, log } = this.#options;
    if (performance.now() < this.#lentUntilMs) throw this.#lent();
    const onData = (chunk: Buffer): void => {
      for (const sniffer of this.#sniffers) sniffer('in', chunk);
      this.#lastDataMs = performance.now();
      this.#events.data(chunk);
    };
    let line: Line;
    let node = '';
    if (identity.tcp !== null) {
      node = describeIdentity(identity);
      // Loaded only where there is a serial server.
      const { openTcpLine } = await import('./tcp-line.ts');
      line = await openTcpLine(identity.tcp.host, identity.tcp.port, onData);
    } else {
      node = await findDevice(identity, root);
      const holder = held.get(node);
      if (holder !== undefined) {
        const hint = 'Give each port an identity of its own: petiole serial list shows what tells them apart';
        throw new GatewayError('port_busy', `${node} is held by the port ${holder} already`, { hint });
      }
      held.set(node, name);
      const onRefused = (setting: string, why: string): void => {
        this.#refusedSettings = setting;
        log.warn({ port: name, setting, why }, 'the driver refused a line setting; the port is used without it');
      };
      line = await openSerialLine(node, { settings, onData, onRefused, isGathered }).catch((error: unknown) => {
        held.delete(node);
        throw error;
      });
    }
    const stopping = (): void => void line.close(signal.reason as GatewayError);
    signal.addEventListener('abort', stopping, { once: true });
    this.#node = node;
    this.#line = line;
    this.#lastError = null;
    this.#told = '';
    this.#lastDataMs = performance.now();
    this.#watch = setInterval(() => void this.#look(line, node), WATCH_MS);
    log.info({ port: name, node }, 'serial port open');
    this.#events.opened();
    if (signal.aborted) stopping();
    const ended = line.ended.then((reason) => {
      clearInterval(this.#watch);
      signal.removeEventListener('abort', stopping);
      if (held.get(node) === name) held.delete(node);
      this.#line = null;
      this.#events.lost(reason);
      return reason;
    });
    return Object.assign(Object.create(line) as Line, { ended });
  }

  /** Whether the device is still there under this node, and still speaks. */
  async #look(line: Line, node: string): Promise<void> {
    const { identity, silenceMs, root, name } = this.#options;
    const silentMs = performance.now() - this.#lastDataMs;
    if (silenceMs > 0 && silentMs > silenceMs) {
      const hint = 'The device is off, or its baud rate differs; the port is opened again';
      const why = `Nothing came from ${name} for ${Math.round(silentMs / 1000)} s`;
      return line.close(new GatewayError('port_silent', why, { hint }));
    }
    if (identity.tcp !== null) return;
    const { path, byId, byPath } = identity;
    const link = path ?? (byId && `/dev/serial/by-id/${byId}`) ?? (byPath && `/dev/serial/by-path/${byPath}`);
    // The link leads elsewhere once the device has come back under another name.
    const now = await realpath(link ? `${root.replace(/\/$/, '')}${link}` : node).catch(() => '');
    if (now !== node && this.#line === line) {
      await line.close(new GatewayError('port_lost', `${node} is no longer ${describeIdentity(identity)}`));
    }
  }

  #lent(): GatewayError {
    const leftS = Math.ceil((this.#lentUntilMs - performance.now()) / 1000);
    const hint = `It is taken back when that program is done, and after ${leftS} s at the latest`;
    return new GatewayError('port_lent', `${this.#options.name} is lent to another program`, { hint });
  }

  #tell(reason: GatewayError): void {
    this.#lastError = describeError(reason);
    // Once for each cause: an adapter that is away for a week is one line.
    if (this.#told === reason.code) return;
    this.#told = reason.code;
    const { log, name } = this.#options;
    log.warn({ port: name, code: reason.code, hint: reason.hint }, reason.message);
  }
}
