import { join } from 'node:path';
import type { Config } from './config/schema.ts';
import type { Authenticator } from './core/authenticator.ts';
import type { Log } from './core/log.ts';
import type { Router } from './core/router.ts';
import { once, type Service } from './core/service.ts';
import { laneUp } from './lane-plan.ts';
import { listenFor } from './listen/listen.ts';
import { nats as natsProtocol } from './listen/protocol.ts';
import type { ClientPort, ClientPortStatus } from './nats/client-port.ts';
import type { Firmware } from './serial/bridge/firmware/firmware.ts';
import type { FirmwareStatus } from './serial/bridge/firmware/options.ts';
import type { BridgeContext } from './serial/bridge/options.ts';
import type { SerialEdge, SerialPortStatus } from './serial/serial-edge.ts';
import type { Journal } from './store/journal.ts';
import { serverId, type Uplink } from './uplink.ts';

const NO_NATS: ClientPortStatus = { listeners: [], note: '', counters: {}, clients: [] };
/** A board in one of them would have to begin again, or go back to what it ran before. */
const BOARD_UNSAFE: ReadonlySet<string> = new Set(['transferring', 'verifying', 'trial']);

export interface DoorsOptions {
  readonly config: Config;
  readonly router: Router;
  readonly authenticator: Authenticator | null;
  readonly journal: Journal;
  readonly uplink: Uplink;
  isClockTrusted(): boolean;
  readonly log: Log;
}

/**
 * The doors beside MQTT: the port for NATS clients, serial ports and boards. Each is loaded only where the configuration
 * has one, and made once the journal has been opened.
 */
export class Doors implements Service {
  readonly #options: DoorsOptions;
  #nats: ClientPort | null = null;
  #serial: SerialEdge | null = null;
  #firmware: Firmware | null = null;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  get nats(): ClientPort | null {
    return this.#nats;
  }

  get serial(): SerialEdge | null {
    return this.#serial;
  }

  /** A board is at a point of its update from which it could not go on. */
  get isUpdatingBoard(): boolean {
    const transfers = this.#firmware?.status().transfers ?? [];
    return transfers.some(({ state }) => BOARD_UNSAFE.has(state));
  }

  /** Rejects with the GatewayError of the first door that can't open. */
  async start(): Promise<void> {
    await this.#makeNats();
    await this.#nats?.start();
    await this.#makeSerial();
    await this.#firmware?.start();
    await this.#serial?.start();
  }

  readonly stop = once(async () => {
    await this.#serial?.stop();
    await this.#firmware?.stop();
    await this.#nats?.stop();
  });

  status(): { nats: ClientPortStatus; serial: SerialPortStatus[]; firmware: FirmwareStatus | null } {
    return {
      nats: this.#nats?.status() ?? NO_NATS,
      serial: this.#serial?.status() ?? [],
      firmware: this.#firmware?.status() ?? null,
    };
  }

  async #makeNats(): Promise<void> {
    const { config, router, authenticator, journal, uplink, log } = this.#options;
    const { nats, gateway, upstream } = config;
    if (!nats) return;
    const { ClientPort } = await import('./nats/client-port.ts');
    const kept = uplink.keptForHub();
    const streams = journal.laneNames.map((name) => laneUp(config, name).stream?.name ?? name);
    this.#nats = new ClientPort({
      router,
      listen: listenFor(natsProtocol),
      authenticator,
      lanes: { laneOf: (message) => kept.laneOf(message), streamOf: (lane) => streams[lane] ?? '' },
      hub: () => uplink.link,
      server: { id: serverId(gateway.name), name: gateway.name, jetstream: upstream !== null },
      options: nats,
      log: log.child({ part: 'nats' }),
    });
  }

  async #makeSerial(): Promise<void> {
    const { serial, modbus, bridges } = this.#options.config;
    if (serial.length + modbus.length + bridges.length === 0) return;
    const { SerialEdge } = await import('./serial/serial-edge.ts');
    const log = this.#options.log.child({ part: 'serial' });
    if (bridges.length > 0) this.#firmware = await this.#makeFirmware(log);
    this.#serial = new SerialEdge({
      ports: serial,
      buses: modbus,
      boards: bridges,
      ...(this.#firmware && { bridge: this.#bridgeContext(this.#firmware) }),
      router: this.#options.router,
      gateway: this.#options.config.gateway.name,
      log,
    });
  }

  async #makeFirmware(log: Log): Promise<Firmware> {
    const { Firmware } = await import('./serial/bridge/firmware/firmware.ts');
    const { config, router, journal, uplink } = this.#options;
    return new Firmware({
      options: config.firmware,
      gateway: config.gateway.name,
      ports: config.bridges.map(({ name }) => name),
      folder: join(config.gateway.data, 'firmware'),
      router,
      hub: uplink.link,
      mark: (name) => journal.mark(name),
      setMark: (name, value) => journal.setMark(name, value),
      log,
    });
  }

  #bridgeContext(firmware: Firmware): BridgeContext {
    const { config, journal, isClockTrusted } = this.#options;
    return { gateway: config.gateway.name, store: journal, isClockTrusted, firmware, activeSources: new Set() };
  }
}
