import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reachable } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { Authenticator } from './core/authenticator.ts';
import { GatewayError } from './core/errors.ts';
import type { Log } from './core/log.ts';
import { LogRing } from './core/log-ring.ts';
import type { Message } from './core/message.ts';
import { Router } from './core/router.ts';
import { once, type Service } from './core/service.ts';
import { journalLanes, laneUp, ledgerSubject } from './lane-plan.ts';
import { listenFor } from './listen/listen.ts';
import { mqtt as mqttProtocol, nats as natsProtocol } from './listen/protocol.ts';
import { MqttEdge } from './mqtt/mqtt-edge.ts';
import type { ClientPort, ClientPortStatus } from './nats/client-port.ts';
import { Announcer } from './ops/announcer.ts';
import type { ApiParts } from './ops/api-parts.ts';
import { compose, LaneRates, type LaneRules } from './ops/compose.ts';
import { DrainControl } from './ops/drain-control.ts';
import { problems } from './ops/health.ts';
import { Monitor, type OwnFigures } from './ops/monitor.ts';
import { accepts, ServiceManager } from './ops/service-manager.ts';
import type { Settings } from './ops/settings.ts';
import { settingsRequests } from './ops/settings-requests.ts';
import type { Snapshot } from './ops/snapshot.ts';
import { StatusServer } from './ops/status-server.ts';
import { summary } from './ops/summary.ts';
import { TimeKeeper } from './ops/time-keeper.ts';
import { Wear } from './ops/wear.ts';
import type { Firmware } from './serial/bridge/firmware/firmware.ts';
import type { BridgeContext } from './serial/bridge/options.ts';
import type { SerialEdge } from './serial/serial-edge.ts';
import { Journal } from './store/journal.ts';
import { serverId, Uplink } from './uplink.ts';

/** How often the lanes' counters are looked at for their rates. */
const RATES_MS = 1_000;

interface Address {
  host: string;
  port: number;
}

const NO_NATS: ClientPortStatus = { listeners: [], note: '', counters: {}, clients: [] };

export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/**
 * The map of the program: every part, and how they hold each other. Started from the store outwards, so that nothing
 * takes a message before it can be kept; stopped in reverse.
 */
export class Gateway implements Service {
  readonly #config: Config;
  readonly #log: Log;
  /** Null: the configuration can't be changed while it runs. */
  readonly #settings: Settings | null;
  readonly #router = new Router();
  readonly #journal: Journal;
  /** Null: there are no users. */
  readonly #authenticator: Authenticator | null;
  readonly #mqtt: MqttEdge;
  readonly #rules: readonly LaneRules[];
  readonly #rates = new LaneRates();
  readonly #uplink: Uplink;
  readonly #drain: DrainControl;
  readonly #wear: Wear;
  readonly #time: TimeKeeper;
  readonly #monitor: Monitor;
  readonly #status: StatusServer | null;
  readonly #announcer: Announcer;
  readonly #manager: ServiceManager;
  readonly #startedAtMs = Date.now();
  #nats: ClientPort | null = null;
  #serial: SerialEdge | null = null;
  #firmware: Firmware | null = null;
  #sampling: NodeJS.Timeout | undefined;

  /** `logs`: the newest lines of the log, for the status page. */
  constructor(config: Config, log: Log, logs: LogRing = new LogRing(), settings: Settings | null = null) {
    this.#config = config;
    this.#settings = settings;
    this.#log = log;
    const lanes = journalLanes(config);
    this.#rules = lanes.map(({ name, subjects, full, bytesMax }) => {
      const { priority } = laneUp(config, name);
      return { name, subjects, priority, full, bytesMax };
    });
    this.#journal = new Journal(
      {
        folder: config.gateway.data,
        gateway: config.gateway.name,
        lanes,
        ledgerLane: lanes.length - 1,
        ledgerSubject: ledgerSubject(config),
        reserveBytes: config.journal.reserveBytes,
        keep: config.journal.keep,
        saver: config.upstream ? config.journal.saver : null,
        retained: config.mqtt.retained,
        sessions: config.mqtt.sessions,
      },
      log.child({ part: 'store' }),
      (change) => (this.#uplink.forwarder ? this.#uplink.forwarder.renew(change) : change()),
    );
    this.#authenticator = config.users.length === 0 ? null : new Authenticator(config.users);
    this.#mqtt = new MqttEdge({
      router: this.#router,
      listen: listenFor(mqttProtocol),
      log: log.child({ part: 'mqtt' }),
      options: config.mqtt,
      gateway: config.gateway.name,
      authenticator: this.#authenticator,
      retained: this.#journal.retained,
      sessions: this.#journal.sessions,
      facts: () => ({ version, lanes: this.#journal.status().lanes }),
    });
    this.#wear = new Wear(config.journal.enduranceBytes, () => this.#journal.status().commits);
    this.#time = new TimeKeeper(
      {
        lanes: () => this.#journal.status().lanes,
        mark: (name) => this.#journal.mark(name),
        setMark: (name, value) => this.#journal.setMark(name, value),
        trusted: (isTrusted) => this.#journal.trustClock(isTrusted),
      },
      log.child({ part: 'clock' }),
    );
    this.#uplink = new Uplink({
      config,
      router: this.#router,
      journal: this.#journal,
      time: this.#time,
      log: log.child({ part: 'upstream' }),
    });
    this.#drain = new DrainControl(
      () => this.#uplink.forwarder,
      () => this.#journal.laneNames,
    );
    this.#monitor = new Monitor({
      folder: config.gateway.data,
      figures: () => this.#figures(),
      mark: (name) => this.#journal.mark(name),
      setMark: (name, value) => this.#journal.setMark(name, value),
      keepHistory: (points, pointsMax) => this.#journal.keepHistory(points, pointsMax),
      history: (span) => this.#journal.history(span),
      log: log.child({ part: 'health' }),
    });
    this.#status = config.status
      ? new StatusServer({
          ...config.status,
          folder: config.gateway.data,
          snapshot: () => this.status(),
          drain: this.#drain,
          capture: (port) => this.#serial?.capture(port) ?? null,
          parts: this.#pageParts(logs),
          log: log.child({ part: 'status' }),
        })
      : null;
    this.#announcer = new Announcer(config.gateway.name, this.#router, () => this.status());
    this.#manager = new ServiceManager({
      env: process.env,
      sentence: () => summary(this.status()),
      probes: () => this.#probes(),
      log: log.child({ part: 'watchdog' }),
    });
  }

  /** What the status page reaches of the parts. */
  #pageParts(logs: LogRing): ApiParts {
    const [router, journal] = [this.#router, this.#journal];
    const laneNames = () => journal.laneNames;
    return {
      gateway: this.#config.gateway.name,
      version,
      logs,
      monitor: this.#monitor,
      ...(this.#settings && { settings: this.#settings }),
      bus: {
        watch: (tap) => router.watch(tap),
        publish: (message, receipt) => router.publish(message, receipt),
        subscribe: (subscription) => router.subscribe(subscription),
        unsubscribe: (subscription) => router.unsubscribe(subscription),
        laneOf: (message) => laneNames()[this.#uplink.keptForHub().laneOf(message)] ?? '',
        retain: (message) => this.#retain(message),
      },
      records: {
        get laneNames() {
          return laneNames();
        },
        look: (lane, after) => journal.look(lane, after),
      },
      kicks: {
        mqtt: (clientId) => this.#mqtt.kick(clientId),
        nats: (clientId) => this.#nats?.kick(clientId) ?? false,
      },
      sniff: (port, taken) => this.#serial?.sniff(port, taken) ?? null,
    };
  }

  /** For the plots. */
  #figures(): OwnFigures {
    const { lanes, commits, commitP99Ms } = this.#journal.status();
    const nowMs = performance.now();
    const rates = lanes.map(({ name }) => this.#rates.of(name, nowMs));
    const link = this.#uplink.link?.status();
    return {
      depth: lanes.reduce((sum, lane) => sum + lane.depth, 0),
      rateInPerS: rates.reduce((sum, rate) => sum + rate.rateInPerS, 0),
      rateOutPerS: rates.reduce((sum, rate) => sum + rate.rateOutPerS, 0),
      fsyncP99Ms: commits > 0 ? commitP99Ms : null,
      rttMs: link?.rttMs ?? null,
      linkUp: link === undefined ? null : Number(link.state === 'up'),
    };
  }

  #retain(message: Message): GatewayError | null {
    const { retained } = this.#journal;
    if (retained !== null) return retained.keep(message, 1, 0);
    const hint = 'Set mqtt.retained to on';
    return new GatewayError('config_invalid', 'Retained messages are off', { hint, retriable: false });
  }

  /** What must answer for the box to be alive: a hub that is away is not one of them. */
  #probes(): ReadonlyMap<string, () => Promise<void>> {
    const { mqtt, nats, status } = this.listeners;
    const probes = new Map([['the writer thread', () => this.#journal.answers()]]);
    for (const { host, port } of [...mqtt, ...nats, status].filter((address) => address !== null)) {
      probes.set(`${host}:${port}`, () => accepts(reachable(host), port));
    }
    return probes;
  }

  /** Rejects with the GatewayError of the first part that can't start; what had started is stopped again. */
  async start(): Promise<void> {
    try {
      await this.#journal.start();
      this.#time.start();
      await this.#uplink.make();
      this.#router.connect(this.#uplink.keptForHub(), this.#uplink.upstream(), this.#journal.sessions);
      const answer = (message: Message) => this.#router.publish(message);
      this.#router.subscribe(this.#drain.subscription(this.#config.gateway.name, answer));
      if (this.#settings !== null) {
        const hasUsers = this.#config.users.length > 0;
        this.#router.subscribe(settingsRequests(this.#settings, this.#config.gateway.name, hasUsers, answer));
      }
      await this.#uplink.start();
      await this.#mqtt.start();
      await this.#makeNats();
      await this.#nats?.start();
      await this.#makeSerial();
      await this.#firmware?.start();
      await this.#serial?.start();
      await this.#announcer.start();
      await this.#monitor.start();
      await this.#status?.start();
      this.#sampling = setInterval(() => {
        this.#rates.sample(this.#journal.status().lanes, performance.now());
        this.#wear.sample(performance.now());
      }, RATES_MS);
      await this.#manager.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  readonly stop = once(async () => {
    clearInterval(this.#sampling);
    this.#time.stop();
    await this.#manager.stop();
    await this.#status?.stop();
    await this.#monitor.stop();
    await this.#announcer.stop();
    await this.#serial?.stop();
    await this.#firmware?.stop();
    await this.#nats?.stop();
    await this.#mqtt.stop();
    await this.#uplink.stop();
    await this.#journal.stop();
  });

  /** Where the box listens: with port 0 in the configuration only this tells. */
  get listeners(): { mqtt: Address[]; nats: Address[]; status: Address | null } {
    const { listeners } = this.#mqtt.status();
    return {
      mqtt: listeners.map(({ host, port }) => ({ host, port })),
      nats: this.#nats?.addresses ?? [],
      status: this.#status?.address ?? null,
    };
  }

  /** The operator's secret of the status page, where this start made it; null otherwise. */
  get newSecret(): string | null {
    return this.#status?.newSecret ?? null;
  }

  /** The port for NATS clients; the lanes are known once the journal has been opened. */
  async #makeNats(): Promise<void> {
    const { nats, gateway, upstream } = this.#config;
    if (!nats) return;
    // Loaded only where there is such a port.
    const { ClientPort } = await import('./nats/client-port.ts');
    const journal = this.#uplink.keptForHub();
    const streams = this.#journal.laneNames.map((name) => laneUp(this.#config, name).stream?.name ?? name);
    this.#nats = new ClientPort({
      router: this.#router,
      listen: listenFor(natsProtocol),
      authenticator: this.#authenticator,
      lanes: { laneOf: (message) => journal.laneOf(message), streamOf: (lane) => streams[lane] ?? '' },
      hub: () => this.#uplink.link,
      server: { id: serverId(gateway.name), name: gateway.name, jetstream: upstream !== null },
      options: nats,
      log: this.#log.child({ part: 'nats' }),
    });
  }

  async #makeSerial(): Promise<void> {
    const { serial, modbus, bridges } = this.#config;
    if (serial.length + modbus.length + bridges.length === 0) return;
    // Loaded only where there is such a port.
    const { SerialEdge } = await import('./serial/serial-edge.ts');
    const log = this.#log.child({ part: 'serial' });
    if (bridges.length > 0) this.#firmware = await this.#makeFirmware(log);
    this.#serial = new SerialEdge({
      ports: serial,
      buses: modbus,
      boards: bridges,
      ...(this.#firmware && { bridge: this.#bridgeContext(this.#firmware) }),
      router: this.#router,
      gateway: this.#config.gateway.name,
      log,
    });
  }

  async #makeFirmware(log: Log): Promise<Firmware> {
    const { Firmware } = await import('./serial/bridge/firmware/firmware.ts');
    const { gateway, bridges, firmware: options } = this.#config;
    return new Firmware({
      options,
      gateway: gateway.name,
      ports: bridges.map(({ name }) => name),
      folder: join(gateway.data, 'firmware'),
      router: this.#router,
      hub: this.#uplink.link,
      mark: (name) => this.#journal.mark(name),
      setMark: (name, value) => this.#journal.setMark(name, value),
      log,
    });
  }

  #bridgeContext(firmware: Firmware): BridgeContext {
    return {
      gateway: this.#config.gateway.name,
      store: this.#journal,
      isClockTrusted: () => this.#time.status().trust !== 'untrusted',
      firmware,
      activeSources: new Set(),
    };
  }

  /** Everything the parts know; composed only when somebody looks. */
  status(): Snapshot {
    const { gateway, journal } = this.#config;
    const { rss, heapUsed } = process.memoryUsage();
    const nowMs = Date.now();
    const { lanes: up, ...uplink } = this.#uplink.status();
    const facts = compose({
      gateway: {
        name: gateway.name,
        version,
        pid: process.pid,
        startedAtMs: this.#startedAtMs,
        nowMs,
        uptimeS: Math.floor(process.uptime()),
        node: process.version,
        memory: { rssBytes: rss, heapUsedBytes: heapUsed },
      },
      clock: this.#time.status(),
      rules: this.#rules,
      store: this.#journal.status(),
      reserveBytes: journal.reserveBytes,
      wear: this.#wear.status(performance.now()),
      ...uplink,
      up,
      rates: this.#rates,
      mqtt: this.#mqtt.status(),
      nats: this.#nats?.status() ?? NO_NATS,
      serial: this.#serial?.status() ?? [],
      firmware: this.#firmware?.status() ?? null,
    });
    return { ...facts, problems: problems(facts) };
  }
}
