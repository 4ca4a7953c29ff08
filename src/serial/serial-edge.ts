import type { Log } from '../core/log.ts';
import { wrongRequest } from '../core/requests.ts';
import type { Router, Subscription } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import type { BridgePort } from './bridge/bridge-port.ts';
import type { BoardStatus, BridgeContext, BridgePortOptions } from './bridge/options.ts';
import { captureText } from './capture-file.ts';
import { lendingRequests } from './lending.ts';
import type { ModbusPort } from './modbus/modbus-port.ts';
import type { ModbusPortOptions, PortOptions } from './options.ts';
import { faultsOf } from './pipeline.ts';
import { Port } from './port.ts';
import type { PortState, Sniffer, Supervisor } from './supervisor.ts';

export interface SerialEdgeOptions {
  readonly ports: readonly PortOptions[];
  readonly buses?: readonly ModbusPortOptions[];
  readonly boards?: readonly BridgePortOptions[];
  /** Where there are boards. */
  readonly bridge?: BridgeContext;
  readonly router: Router;
  /** Name of the gateway: requests for its ports carry it. */
  readonly gateway: string;
  readonly log: Log;
  /** Where /sys and /dev are; '/' but for tests. */
  readonly root?: string;
}

/** What a port sees of the edge. */
export interface SerialContext {
  readonly router: Router;
  readonly log: Log;
  readonly root: string;
  /** Which port holds which device node. */
  readonly held: Map<string, string>;
  /** The other port whose device speaks like this; '' for none. */
  whose(port: Port, bytes: Buffer): Promise<string>;
}

/** What the status page shows of one serial port. Times ending in `Ms` are wall clock unless they name a span. */
export interface SerialPortStatus {
  readonly name: string;
  readonly kind: 'frames' | 'modbus' | 'bridge';
  readonly state: PortState;
  /** Device node while it is open. */
  readonly node: string;
  /** How often it has been opened. */
  readonly opens: number;
  readonly retryInMs: number | null;
  readonly lastError: { code: string; message: string; hint: string } | null;
  /** Line settings that the driver did not take. */
  readonly refusedSettings: string;
  readonly lastSeenMs: number | null;
  readonly bytesIn: number;
  readonly messagesIn: number;
  readonly frames: number;
  readonly filtered: number;
  readonly discardedBytes: number;
  readonly undecodable: number;
  /** Bytes thrown away, by cause. */
  readonly discarded: Record<string, number>;
  /** Frames that could not be decoded, by cause. */
  readonly faults: Record<string, number>;
  /** How often it was read no further for a while, because it flooded. */
  readonly throttled: number;
  readonly isFlooding: boolean;
  /** Messages that their lane did not take. */
  readonly refused: number;
  readonly commands: number;
  readonly commandsFailed: number;
  readonly polls: number;
  readonly pollsUnanswered: number;
  readonly queued: number;
  /** Captures of the flight recorder. */
  readonly captures: number;
  /** The port whose device seems to be plugged in here; '' for none. */
  readonly swap: string;
  /** Modbus units. */
  readonly units: readonly UnitStatus[];
  /** The board of a bridge; null for none. */
  readonly board: BoardStatus | null;
}

export interface UnitStatus {
  readonly unit: number;
  readonly name: string;
  readonly state: 'unknown' | 'answers' | 'silent';
  readonly lastSeenMs: number | null;
  readonly requests: number;
  readonly failures: number;
  readonly retryInMs: number | null;
  readonly lastError: string;
}

/** Bytes that decide whether a device is another's: frames of which most are good. */
const ALIKE_FRAMES_MIN = 3;

/** Every serial port of the box. One port's fault touches no other. */
export class SerialEdge implements Service {
  readonly #ports: readonly Port[];
  readonly #buses: readonly ModbusPortOptions[];
  readonly #context: SerialContext;
  readonly #masters: ModbusPort[] = [];
  readonly #boards: readonly BridgePortOptions[];
  readonly #bridge: BridgeContext | null;
  readonly #bridges: BridgePort[] = [];
  readonly #lending: Subscription;

  constructor({ ports, buses = [], boards = [], bridge, router, gateway, log, root = '/' }: SerialEdgeOptions) {
    this.#lending = lendingRequests(gateway, this, (message) => router.publish(message));
    this.#buses = buses;
    this.#boards = boards;
    this.#bridge = bridge ?? null;
    const context: SerialContext = {
      router,
      log,
      root,
      held: new Map(),
      whose: (port, bytes) => this.#whose(port, bytes),
    };
    this.#context = context;
    this.#ports = ports.map((options) => new Port(options, context));
  }

  /** Rejects with `config_invalid` where a pattern or an encoding is none; an absent device is waited for. */
  async start(): Promise<void> {
    for (const port of this.#ports) await port.start();
    if (this.#buses.length > 0) {
      // Loaded only where there is a bus.
      const { ModbusPort } = await import('./modbus/modbus-port.ts');
      for (const options of this.#buses) {
        const master = new ModbusPort(options, this.#context);
        this.#masters.push(master);
        await master.start();
      }
    }
    if (this.#boards.length > 0 && this.#bridge !== null) {
      const { BridgePort } = await import('./bridge/bridge-port.ts');
      for (const options of this.#boards) {
        const port = new BridgePort(options, this.#context, this.#bridge);
        this.#bridges.push(port);
        await port.start();
      }
    }
    this.#context.router.subscribe(this.#lending);
    this.#context.log.info({ ports: this.#all.map(({ options }) => options.name) }, 'serial ports are watched');
  }

  get #all(): (Port | ModbusPort | BridgePort)[] {
    return [...this.#ports, ...this.#masters, ...this.#bridges];
  }

  readonly stop = once(async () => {
    this.#context.router.unsubscribe(this.#lending);
    await Promise.all(this.#all.map((port) => port.stop()));
  });

  status(): SerialPortStatus[] {
    return this.#all.map((port) => port.status());
  }

  /** The flight recorder of a port as a capture file; null where there is no such port. */
  capture(name: string): string | null {
    const port = this.#all.find(({ options }) => options.name === name);
    return port === undefined ? null : captureText(name, port.recorder.captures);
  }

  /** The bytes of a port as they pass, until the function that is returned is called; null where there is no such port. */
  sniff(name: string, sniffer: Sniffer): (() => void) | null {
    const port = this.#all.find(({ options }) => options.name === name);
    return port?.supervisor.sniff(sniffer) ?? null;
  }

  /** Lends the device of a port to another program: see `Supervisor.lend`. Rejects where there is no such port. */
  lend(name: string, forMs: number): Promise<string> {
    return this.#supervisorOf(name).lend(forMs);
  }

  takeBack(name: string): void {
    this.#supervisorOf(name).takeBack();
  }

  #supervisorOf(name: string): Supervisor {
    const port = this.#all.find(({ options }) => options.name === name);
    if (port !== undefined) return port.supervisor;
    const names = this.#all.map(({ options }) => options.name).join(', ');
    throw wrongRequest(`there is no port ${JSON.stringify(name)}`, `the ports are ${names}`);
  }

  async #whose(port: Port, bytes: Buffer): Promise<string> {
    for (const other of this.#ports) {
      if (other === port) continue;
      const trial = await other.makeTrial();
      trial.push(bytes, 0);
      trial.idle(0);
      const { frames, decoded } = trial.counters;
      // Text of any kind is taken by a decoder that refuses nothing: that is no evidence.
      const isChoosy =
        !['raw', 'hex', 'text'].includes(other.options.decoder.type) || other.options.framing.check !== null;
      const isGood = decoded >= ALIKE_FRAMES_MIN && faultsOf(trial.counters) * 4 <= frames;
      if (isChoosy && isGood) return other.options.name;
    }
    return '';
  }
}
