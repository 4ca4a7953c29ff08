import { readFileSync } from 'node:fs';
import { reachable } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { Authenticator } from './core/authenticator.ts';
import type { Log } from './core/log.ts';
import { LogRing } from './core/log-ring.ts';
import type { Message } from './core/message.ts';
import { Router } from './core/router.ts';
import { once, type Service } from './core/service.ts';
import { Doors } from './doors.ts';
import { journalLanes, laneUp, ledgerSubject } from './lane-plan.ts';
import { listenFor } from './listen/listen.ts';
import { mqtt as mqttProtocol } from './listen/protocol.ts';
import { MqttEdge } from './mqtt/mqtt-edge.ts';
import { Announcer } from './ops/announcer.ts';
import { compose, LaneRates, type LaneRules, ownFigures } from './ops/compose.ts';
import { DrainControl } from './ops/drain-control.ts';
import { problems } from './ops/health.ts';
import { Monitor } from './ops/monitor.ts';
import { readNotices } from './ops/notices.ts';
import { accepts, ServiceManager } from './ops/service-manager.ts';
import type { Settings } from './ops/settings.ts';
import { settingsRequests } from './ops/settings-requests.ts';
import type { NoticeFacts, Snapshot } from './ops/snapshot.ts';
import { StatusServer } from './ops/status-server.ts';
import { summary } from './ops/summary.ts';
import { TimeKeeper } from './ops/time-keeper.ts';
import { UpdateGuard } from './ops/update-guard.ts';
import { UpdateLock } from './ops/update-lock.ts';
import { Wear } from './ops/wear.ts';
import { pageParts } from './page-parts.ts';
import { Journal } from './store/journal.ts';
import { Uplink } from './uplink.ts';

/** How often the lanes' counters are looked at for their rates. */
const RATES_MS = 1_000;
/** A commit this short ends well within the time that a stop may take; a card that stalls is waited for. */
const COMMIT_LONG_MS = 100;
interface Address {
  host: string;
  port: number;
}

export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/**
 * The map of the program: every part, and how they hold each other. Started from the store outwards, so that nothing
 * takes a message before it can be kept; stopped in reverse.
 */
export class Gateway implements Service {
  readonly #config: Config;
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
  readonly #doors: Doors;
  readonly #drain: DrainControl;
  readonly #wear: Wear;
  readonly #time: TimeKeeper;
  readonly #monitor: Monitor;
  readonly #status: StatusServer | null;
  readonly #announcer: Announcer;
  readonly #manager: ServiceManager;
  readonly #updates: UpdateGuard;
  readonly #startedAtMs = Date.now();
  #notices: NoticeFacts[] = [];
  #sampling: NodeJS.Timeout | undefined;

  /** `logs`: the newest lines of the log, for the status page. */
  constructor(config: Config, log: Log, logs: LogRing = new LogRing(), settings: Settings | null = null) {
    this.#config = config;
    this.#settings = settings;
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
    this.#doors = new Doors({
      config,
      router: this.#router,
      authenticator: this.#authenticator,
      journal: this.#journal,
      uplink: this.#uplink,
      isClockTrusted: () => this.#time.status().trust !== 'untrusted',
      log,
    });
    this.#drain = new DrainControl(
      () => this.#uplink.forwarder,
      () => this.#journal.laneNames,
    );
    this.#monitor = new Monitor({
      folder: config.gateway.data,
      figures: () => ownFigures(this.#journal.status(), this.#rates, this.#uplink.link?.status() ?? null),
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
          capture: (port) => this.#doors.serial?.capture(port) ?? null,
          parts: pageParts({
            gateway: config.gateway.name,
            version,
            logs,
            settings,
            monitor: this.#monitor,
            router: this.#router,
            journal: this.#journal,
            uplink: this.#uplink,
            mqtt: this.#mqtt,
            doors: this.#doors,
          }),
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
    this.#updates = new UpdateGuard({
      lock: UpdateLock.of(process.env),
      unsafe: () => this.#unsafe(),
      log: log.child({ part: 'updates' }),
    });
  }

  /** What an update must not break off now; '' for nothing. */
  #unsafe(): string {
    if (this.#journal.committingForMs >= COMMIT_LONG_MS) return 'a commit';
    return this.#doors.isUpdatingBoard ? 'the firmware of a board' : '';
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
      this.#notices = readNotices(this.#config.gateway.data);
      await this.#updates.start();
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
      await this.#doors.start();
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
    await this.#doors.stop();
    await this.#mqtt.stop();
    await this.#uplink.stop();
    await this.#journal.stop();
    await this.#updates.stop();
  });

  /** Where the box listens: with port 0 in the configuration only this tells. */
  get listeners(): { mqtt: Address[]; nats: Address[]; status: Address | null } {
    const { listeners } = this.#mqtt.status();
    return {
      mqtt: listeners.map(({ host, port }) => ({ host, port })),
      nats: this.#doors.nats?.addresses ?? [],
      status: this.#status?.address ?? null,
    };
  }

  /** The operator's secret of the status page, where this start made it; null otherwise. */
  get newSecret(): string | null {
    return this.#status?.newSecret ?? null;
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
      ...this.#doors.status(),
      notices: this.#notices,
    });
    return { ...facts, problems: problems(facts) };
  }
}
