import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { reachable } from './config/address.ts';
import type { Config } from './config/schema.ts';
import { Authenticator } from './core/authenticator.ts';
import { describeError } from './core/errors.ts';
import type { Log } from './core/log.ts';
import type { Message, Party } from './core/message.ts';
import { type Journal as JournalPort, Router, type Upstream } from './core/router.ts';
import { once, type Service } from './core/service.ts';
import { matches } from './core/subject.ts';
import { Sublist } from './core/sublist.ts';
import { listenFor } from './listen/listen.ts';
import { mqtt as mqttProtocol, nats as natsProtocol } from './listen/protocol.ts';
import { MqttEdge } from './mqtt/mqtt-edge.ts';
import type { ClientPort, ClientPortStatus } from './nats/client-port.ts';
import type { LeafLink } from './nats/leaf-link.ts';
import type { LeafListener } from './nats/leaf-types.ts';
import { Announcer } from './ops/announcer.ts';
import { compose, LaneRates, type LaneRules } from './ops/compose.ts';
import { DrainControl } from './ops/drain-control.ts';
import { problems } from './ops/health.ts';
import { accepts, ServiceManager } from './ops/service-manager.ts';
import type { LinkFacts, Snapshot } from './ops/snapshot.ts';
import { StatusServer } from './ops/status-server.ts';
import { summary } from './ops/summary.ts';
import { TimeKeeper } from './ops/time-keeper.ts';
import { Wear } from './ops/wear.ts';
import type { SerialEdge } from './serial/serial-edge.ts';
import { Journal, type JournalLane } from './store/journal.ts';
import { LATE_SUFFIX } from './store/late-parts.ts';
import type { Commands } from './upstream/commands.ts';
import type { Forwarder } from './upstream/forwarder.ts';
import type { LaneForwarderOptions } from './upstream/lane-forwarder.ts';
import type { HubStreams } from './upstream/streams.ts';

/** Carries the ledger's own messages, so that a full lane cannot keep its losses from being told. */
const LEDGER_LANE = 'petiole-ledger';
/** A row is some 200 bytes and rows merge: years of losses. */
const LEDGER_BYTES_MAX = 16 * 1024 * 1024;
/** Of a live-first lane, what goes up at once needs the lesser part of the space. */
const LIVE_SHARE = 1 / 4;
/** How often the lanes' counters are looked at for their rates. */
const RATES_MS = 1_000;

interface Address {
  host: string;
  port: number;
}

const NO_NATS: ClientPortStatus = { listeners: [], note: '', counters: {}, clients: [] };

const HUB: Party = { kind: 'hub', name: 'hub' };
const BOX: Party = { kind: 'box', name: 'petiole' };

export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/**
 * The map of the program: every part, and how they hold each other. Started from the store outwards, so that nothing
 * takes a message before it can be kept; stopped in reverse.
 */
export class Gateway implements Service {
  readonly #config: Config;
  readonly #log: Log;
  readonly #router = new Router();
  readonly #journal: Journal;
  /** Null: there are no users. */
  readonly #authenticator: Authenticator | null;
  readonly #mqtt: MqttEdge;
  readonly #rules: readonly LaneRules[];
  readonly #rates = new LaneRates();
  readonly #drain: DrainControl;
  readonly #wear: Wear;
  readonly #time: TimeKeeper;
  readonly #status: StatusServer | null;
  readonly #announcer: Announcer;
  readonly #manager: ServiceManager;
  readonly #startedAtMs = Date.now();
  #nats: ClientPort | null = null;
  #serial: SerialEdge | null = null;
  #link: LeafLink | null = null;
  #forwarder: Forwarder | null = null;
  #streams: HubStreams | null = null;
  #commands: Commands | null = null;
  #sampling: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
    const lanes = lanesOf(config).map((lane) => ({ ...lane, compress: config.journal.compress }));
    this.#rules = lanes.map(({ name, subjects, full, bytesMax }) => {
      const { priority } = this.#laneUp(name);
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
        retained: config.mqtt.retained,
        sessions: config.mqtt.sessions,
      },
      log.child({ part: 'store' }),
      (change) => (this.#forwarder ? this.#forwarder.renew(change) : change()),
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
    this.#drain = new DrainControl(
      () => this.#forwarder,
      () => this.#journal.laneNames,
    );
    this.#status = config.status
      ? new StatusServer({
          ...config.status,
          snapshot: () => this.status(),
          drain: this.#drain,
          capture: (port) => this.#serial?.capture(port) ?? null,
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
      await this.#makeLink();
      this.#router.connect(this.#keptForHub(), this.#upstream(), this.#journal.sessions);
      const answer = (message: Message) => this.#router.publish(message);
      this.#router.subscribe(this.#drain.subscription(this.#config.gateway.name, answer));
      await this.#forwarder?.start();
      await this.#link?.start();
      await this.#mqtt.start();
      await this.#makeNats();
      await this.#nats?.start();
      await this.#makeSerial();
      await this.#serial?.start();
      await this.#announcer.start();
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
    await this.#announcer.stop();
    await this.#serial?.stop();
    await this.#nats?.stop();
    await this.#mqtt.stop();
    await this.#commands?.stop();
    await this.#forwarder?.stop();
    await this.#link?.stop();
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

  /** The journal as the router sees it: what is never to leave the box is in no lane, where it would wait for ever. */
  #keptForHub(): JournalPort {
    const denied = this.#barred(this.#config.upstream?.denyExports ?? []);
    const journal = this.#journal;
    if (denied.length === 0) return journal;
    // A tree, because it remembers: it is asked for every message.
    const barred = new Sublist();
    for (const filter of denied) barred.insert({ filter, queue: '' });
    return {
      laneOf: (message) => (barred.hasInterest(message.subject) ? -1 : journal.laneOf(message)),
      append: (...parts) => journal.append(...parts),
      get isBehind() {
        return journal.isBehind;
      },
    };
  }

  /** Subjects that do not pass the link live: the given ones, and commands, which come from their stream alone. */
  #barred(filters: readonly string[]): string[] {
    return [...filters, ...(this.#config.upstream?.commands ?? []).map(({ filter }) => filter)];
  }

  /**
   * For dead commands: kept where a lane names the subject, else live. A lane on everything does not count: without a
   * stream for this one subject it would wait for ever, and all its records with it. Resolves once it is done.
   */
  #publish(subject: string, headers: Buffer, payload: Buffer): Promise<void> {
    const message: Message = { subject, reply: '', headers, payload, receivedAtMs: Date.now(), origin: BOX };
    const isNamed = this.#config.lanes.some(({ subjects }) =>
      subjects.some((one) => one !== '>' && matches(one, subject)),
    );
    if (!isNamed) {
      const served = this.#router.servedQueues(subject);
      this.#router.deliver(message, served);
      this.#link?.publish(subject, '', headers, payload, served);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#router.publish(message, { accepted: () => resolve(), refused: (_token, error) => reject(error) });
    });
  }

  /** The link and what sends through it; the lanes are known once the journal has been opened. */
  async #makeLink(): Promise<void> {
    const { upstream, gateway } = this.#config;
    if (!upstream) return;
    // Loaded only where there is an upstream.
    const { LeafLink } = await import('./nats/leaf-link.ts');
    const { Forwarder } = await import('./upstream/forwarder.ts');
    const { HubStreams } = await import('./upstream/streams.ts');
    // Random for each run: a late answer to the run before must not be taken for one to this.
    const inboxPrefix = `_INBOX.${gateway.name}.${randomBytes(6).toString('hex')}`;
    const log = this.#log.child({ part: 'upstream' });
    const link = new LeafLink(
      {
        ...upstream,
        name: gateway.name,
        serverId: serverId(gateway.name),
        inboxPrefix,
        denyImports: this.#barred(upstream.denyImports),
        denyExports: this.#barred(upstream.denyExports),
      },
      this.#leafListener(),
      log,
    );
    this.#link = link;
    if (upstream.commands.length > 0) {
      const { Commands } = await import('./upstream/commands.ts');
      const ports = {
        hub: link,
        // QoS 1: sessions of absent MQTT clients take nothing less.
        deliver: (subject: string, headers: Buffer, payload: Buffer) => {
          const message = { subject, reply: '', headers, payload, receivedAtMs: Date.now(), origin: HUB, qos: 1 };
          return this.#router.deliverKept(message, this.#router.servedQueues(subject));
        },
        publish: (subject: string, headers: Buffer, payload: Buffer) => this.#publish(subject, headers, payload),
        mark: (name: string) => this.#journal.mark(name),
        setMark: (name: string, value: string) => this.#journal.setMark(name, value),
      };
      this.#commands = new Commands(upstream.commands, ports, inboxPrefix, log);
    }
    const { window, ackTimeoutMs, limit, drain } = upstream;
    const lanes = this.#journal.laneNames.map((name, index) => ({ index, ...this.#laneUp(name) }));
    this.#streams = new HubStreams(upstream.streams, this.#config.lanes, link, log);
    this.#forwarder = new Forwarder(
      { gateway: gateway.name, inboxPrefix, lanes, window, ackTimeoutMs, limit, drain },
      {
        hub: link,
        records: this.#journal,
        served: (subject) => this.#router.servedQueues(subject),
        stamp: (lane, sequence, receivedAtMs) => this.#time.stamp(lane, sequence, receivedAtMs),
      },
      log,
    );
  }

  /** The port for NATS clients; the lanes are known once the journal has been opened. */
  async #makeNats(): Promise<void> {
    const { nats, gateway, upstream } = this.#config;
    if (!nats) return;
    // Loaded only where there is such a port.
    const { ClientPort } = await import('./nats/client-port.ts');
    const journal = this.#keptForHub();
    const streams = this.#journal.laneNames.map((name) => this.#laneUp(name).stream?.name ?? name);
    this.#nats = new ClientPort({
      router: this.#router,
      listen: listenFor(natsProtocol),
      authenticator: this.#authenticator,
      lanes: { laneOf: (message) => journal.laneOf(message), streamOf: (lane) => streams[lane] ?? '' },
      hub: () => this.#link,
      server: { id: serverId(gateway.name), name: gateway.name, jetstream: upstream !== null },
      options: nats,
      log: this.#log.child({ part: 'nats' }),
    });
  }

  async #makeSerial(): Promise<void> {
    const { serial, modbus } = this.#config;
    if (serial.length + modbus.length === 0) return;
    // Loaded only where there is such a port.
    const { SerialEdge } = await import('./serial/serial-edge.ts');
    this.#serial = new SerialEdge({
      ports: serial,
      buses: modbus,
      router: this.#router,
      log: this.#log.child({ part: 'serial' }),
    });
  }

  /** What the forwarder is told of a lane; one that only the store still knows goes last. */
  #laneUp(name: string): Pick<LaneForwarderOptions, 'name' | 'subjects' | 'priority' | 'stream' | 'isLate'> {
    const isLate = name.endsWith(LATE_SUFFIX);
    const base = isLate ? name.slice(0, -LATE_SUFFIX.length) : name;
    const lane = this.#config.lanes.find((configured) => configured.name === base);
    // A lane that is not live-first any more has the stream to itself where it is its own: the rest goes by read-back.
    if (lane && isLate) return { ...lane, name, isLate, stream: lane.stream && { ...lane.stream, own: false } };
    if (lane) return lane;
    const subjects = name === LEDGER_LANE ? [ledgerSubject(this.#config)] : ['>'];
    return { name, subjects, priority: 9, stream: null };
  }

  #leafListener(): LeafListener {
    return {
      up: (hub, epoch) => {
        this.#journal.linked = true;
        const looked = this.#streams?.linkUp();
        const send = (): void => {
          if (!this.#link?.up || this.#link.epoch !== epoch) return;
          this.#forwarder?.linkUp(hub);
          this.#commands?.linkUp();
        };
        // A stream that the box is about to make is no reason for a lane to complain.
        if (this.#config.upstream?.streams.length) void looked?.then(send);
        else send();
      },
      down: () => {
        this.#journal.linked = false;
        this.#streams?.linkDown();
        this.#commands?.linkDown();
        this.#forwarder?.linkDown();
      },
      message: (subject, reply, headers, payload, queues, shownAs) => {
        const message: Message = { subject, reply, headers, payload, receivedAtMs: Date.now(), origin: HUB };
        this.#router.deliver(shownAs === subject ? message : { ...message, shownAs }, queues);
      },
      inbox: (token, headers, payload, reply, shownAs) => {
        if (token.startsWith('c.')) this.#commands?.take(token, headers, payload, reply, shownAs);
        else this.#forwarder?.answer(token, headers, payload);
      },
      interestChanged: () => this.#forwarder?.hubChanged(),
      drained: () => this.#forwarder?.drained(),
    };
  }

  #upstream(): Upstream | null {
    const link = this.#link;
    if (!link) return null;
    return {
      interest: (filter, queue, members) => {
        link.interest(filter, queue, members);
        if (members > 0) this.#commands?.interestChanged();
      },
      send: ({ subject, reply, headers, payload }, served) =>
        link.publish(subject, reply, headers, payload, served) === 'sent',
    };
  }

  /** Everything the parts know; composed only when somebody looks. */
  status(): Snapshot {
    const { gateway, journal } = this.#config;
    const { rss, heapUsed } = process.memoryUsage();
    const nowMs = Date.now();
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
      link: this.#linkFacts(),
      rules: this.#rules,
      store: this.#journal.status(),
      reserveBytes: journal.reserveBytes,
      wear: this.#wear.status(performance.now()),
      up: this.#forwarder?.status() ?? null,
      streams: this.#streams?.status().map((stream) => ({ ...stream, notes: [...stream.notes] })) ?? [],
      commands:
        this.#commands?.status().map((one) => ({ ...one, reason: one.reason && describeError(one.reason) })) ?? [],
      rates: this.#rates,
      mqtt: this.#mqtt.status(),
      nats: this.#nats?.status() ?? NO_NATS,
      serial: this.#serial?.status() ?? [],
    });
    return { ...facts, problems: problems(facts) };
  }

  #linkFacts(): LinkFacts {
    const status = this.#link?.status();
    return {
      state: !status ? 'off' : status.state === 'idle' ? 'connecting' : status.state,
      url: status?.url ?? '',
      hub: status?.hub ?? null,
      sinceMs: status?.sinceMs ?? null,
      rttMs: status?.rttMs ?? null,
      lastPubAckMs: this.#forwarder?.lastPubAckMs || null,
      lastError: status?.lastError ? { ...status.lastError, atMs: status.sinceMs } : null,
      retryInMs: status?.retryInMs ?? null,
      reconnects: status?.reconnects ?? 0,
      messagesIn: status?.in.messages ?? 0,
      messagesOut: status?.out.messages ?? 0,
      bytesIn: status?.in.bytes ?? 0,
      bytesOut: status?.out.bytes ?? 0,
      drops: { ...status?.drops },
    };
  }
}

function lanesOf(config: Config): JournalLane[] {
  const parted = config.lanes.filter(({ drain }) => drain === 'live-first');
  const lanes = config.lanes.map((lane): JournalLane => {
    const { name, subjects, replies, full, priority, maxBytes, maxAgeMs } = lane;
    const whole = { name, subjects, replies, full, priority, bytesMax: maxBytes, ageMaxMs: maxAgeMs };
    const late = parted.indexOf(lane);
    return late < 0
      ? whole
      : { ...whole, bytesMax: Math.floor(maxBytes * LIVE_SHARE), late: config.lanes.length + late };
  });
  // No filter leads to these: to the late parts the journal itself, and to the ledger's lane only the ledger.
  for (const { name, replies, full, priority, maxBytes, maxAgeMs } of parted) {
    const bytesMax = Math.ceil(maxBytes * (1 - LIVE_SHARE));
    lanes.push({ name: `${name}${LATE_SUFFIX}`, subjects: [], replies, full, priority, bytesMax, ageMaxMs: maxAgeMs });
  }
  const ledger = { name: LEDGER_LANE, subjects: [], priority: 1, bytesMax: LEDGER_BYTES_MAX, ageMaxMs: 0 };
  return [...lanes, { ...ledger, replies: 'pass', full: 'refuse' }];
}

function ledgerSubject(config: Config): string {
  return `petiole.${config.gateway.name}.ledger`;
}

/** Stable for a gateway name and shaped like a server's public key, which hubs show in their monitoring. */
function serverId(name: string): string {
  const digest = createHash('sha256').update(`petiole ${name}`).digest();
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return `N${Array.from({ length: 55 }, (_, i) => alphabet[(digest[i % digest.length] ?? 0) % 32]).join('')}`;
}
