import { createHash, randomBytes } from 'node:crypto';
import type { Config } from './config/schema.ts';
import { describeError } from './core/errors.ts';
import type { Log } from './core/log.ts';
import type { Message, Party } from './core/message.ts';
import type { Journal as JournalPort, Router, Upstream } from './core/router.ts';
import { once, type Service } from './core/service.ts';
import { matches } from './core/subject.ts';
import { Sublist } from './core/sublist.ts';
import { laneUp } from './lane-plan.ts';
import type { ClockFloor } from './nats/hub-certificate.ts';
import type { LeafLink } from './nats/leaf-link.ts';
import type { LeafListener } from './nats/leaf-types.ts';
import type { CommandsFacts, LinkFacts, StreamFacts } from './ops/snapshot.ts';
import type { TimeKeeper } from './ops/time-keeper.ts';
import type { Journal } from './store/journal.ts';
import type { Commands } from './upstream/commands.ts';
import type { Forwarder } from './upstream/forwarder.ts';
import type { HubStreams } from './upstream/streams.ts';

const HUB: Party = { kind: 'hub', name: 'hub' };
const BOX: Party = { kind: 'box', name: 'petiole' };

export interface UplinkOptions {
  readonly config: Config;
  readonly router: Router;
  readonly journal: Journal;
  readonly time: TimeKeeper;
  readonly log: Log;
}

/**
 * The box's way to the hub: the leaf link, the forwarder that sends the journal through it, the streams that take what it
 * sends, and the commands that come down. Without an upstream in the configuration nothing of it is loaded.
 */
export class Uplink implements Service {
  readonly #config: Config;
  readonly #router: Router;
  readonly #journal: Journal;
  readonly #time: TimeKeeper;
  readonly #log: Log;
  #link: LeafLink | null = null;
  #forwarder: Forwarder | null = null;
  #streams: HubStreams | null = null;
  #commands: Commands | null = null;

  constructor({ config, router, journal, time, log }: UplinkOptions) {
    this.#config = config;
    this.#router = router;
    this.#journal = journal;
    this.#time = time;
    this.#log = log;
  }

  /** Null without an upstream, and before `make`. */
  get link(): LeafLink | null {
    return this.#link;
  }

  get forwarder(): Forwarder | null {
    return this.#forwarder;
  }

  /** Loads and builds the parts; the journal is open by then, for only it knows all lanes. */
  async make(): Promise<void> {
    const { upstream, gateway } = this.#config;
    if (!upstream) return;
    const { LeafLink } = await import('./nats/leaf-link.ts');
    const { Forwarder } = await import('./upstream/forwarder.ts');
    const { HubStreams } = await import('./upstream/streams.ts');
    // Random for each run: a late answer to the run before must not be taken for one to this.
    const inboxPrefix = `_INBOX.${gateway.name}.${randomBytes(6).toString('hex')}`;
    const link = new LeafLink(
      {
        ...upstream,
        name: gateway.name,
        serverId: serverId(gateway.name),
        inboxPrefix,
        clockFloor: this.#clockFloor(),
        denyImports: this.#barred(upstream.denyImports),
        denyExports: this.#barred(upstream.denyExports),
      },
      this.#leafListener(),
      this.#log,
    );
    this.#link = link;
    if (upstream.commands.length > 0) await this.#makeCommands(link, inboxPrefix);
    const { window, ackTimeoutMs, limit, drain } = upstream;
    const lanes = this.#journal.laneNames.map((name, index) => ({ index, ...laneUp(this.#config, name) }));
    this.#streams = new HubStreams(upstream, this.#config.lanes, link, this.#log);
    this.#forwarder = new Forwarder(
      { gateway: gateway.name, inboxPrefix, lanes, window, ackTimeoutMs, limit, drain },
      {
        hub: link,
        records: this.#journal.records,
        served: (subject) => this.#router.servedQueues(subject),
        stamp: (lane, sequence, receivedAtMs) => this.#time.stamp(lane, sequence, receivedAtMs),
      },
      this.#log,
    );
  }

  /** On a clock that is behind, certificates are checked by the last known good time, and the log says so. */
  #clockFloor(): ClockFloor {
    const hint = 'let the box reach a time server: until then a certificate that begins later is accepted';
    return {
      ms: () => (Date.now() < this.#time.floorMs ? this.#time.floorMs : null),
      used: (url, floorMs) => {
        const since = new Date(floorMs).toISOString();
        this.#log.warn(
          { url, since, hint },
          "the clock is behind: the hub's certificate was checked by the last good time",
        );
      },
    };
  }

  async start(): Promise<void> {
    await this.#forwarder?.start();
    await this.#link?.start();
  }

  readonly stop = once(async () => {
    await this.#commands?.stop();
    await this.#forwarder?.stop();
    await this.#link?.stop();
  });

  status() {
    return {
      link: this.#linkFacts(),
      /** Null without an upstream. */
      lanes: this.#forwarder?.status() ?? null,
      streams: (this.#streams?.status() ?? []).map((one): StreamFacts => ({ ...one, notes: [...one.notes] })),
      commands: (this.#commands?.status() ?? []).map(
        (one): CommandsFacts => ({ ...one, reason: one.reason && describeError(one.reason) }),
      ),
    };
  }

  /** The journal as the router sees it: what is never to leave the box is in no lane, where it would wait for ever. */
  keptForHub(): JournalPort {
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

  /** The hub as the router sees it. */
  upstream(): Upstream | null {
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

  /** Subjects that do not pass the link live: the given ones, and commands, which come from their stream alone. */
  #barred(filters: readonly string[]): string[] {
    return [...filters, ...(this.#config.upstream?.commands ?? []).map(({ filter }) => filter)];
  }

  async #makeCommands(hub: LeafLink, inboxPrefix: string): Promise<void> {
    const { Commands } = await import('./upstream/commands.ts');
    const ports = {
      hub,
      // QoS 1: sessions of absent MQTT clients take nothing less.
      deliver: (subject: string, headers: Buffer, payload: Buffer) => {
        const message = { subject, reply: '', headers, payload, receivedAtMs: Date.now(), origin: HUB, qos: 1 };
        return this.#router.deliverKept(message, this.#router.servedQueues(subject));
      },
      publish: (subject: string, headers: Buffer, payload: Buffer) => this.#publish(subject, headers, payload),
      mark: (name: string) => this.#journal.mark(name),
      setMark: (name: string, value: string) => this.#journal.setMark(name, value),
    };
    this.#commands = new Commands(this.#config.upstream?.commands ?? [], ports, inboxPrefix, this.#log);
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

/** Stable for a gateway name and shaped like a server's public key, which hubs show in their monitoring. */
export function serverId(name: string): string {
  const digest = createHash('sha256').update(`petiole ${name}`).digest();
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return `N${Array.from({ length: 55 }, (_, i) => alphabet[(digest[i % digest.length] ?? 0) % 32]).join('')}`;
}
