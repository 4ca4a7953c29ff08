import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { once, type Service } from '../core/service.ts';
import { Drain } from './drain.ts';
import { DrainHold, type HoldStatus, type HoursOptions } from './drain-hold.ts';
import { LaneForwarder } from './lane-forwarder.ts';
import type { LaneForwarderOptions, LaneForwarderParts, LaneState, Procedure } from './lane-forwarder-types.ts';
import { Pace } from './pace.ts';
import type { Hub, Records } from './ports.ts';
import { PubAckReader } from './puback.ts';
import type { Fetching, Inbox } from './read-back.ts';

/** How often answers that do not come are given up on. */
const TICK_MS = 250;
/** Longest wait at the stop for answers to what is in flight, so that the next start has nothing in doubt. */
const STOP_MS = 2_000;
/** Inbox tokens begin with what they are for. */
const ACK = 'a';
const FETCH = 'f';

export interface ForwarderOptions {
  readonly gateway: string;
  /** Subjects under which the hub answers, without the dot: the link has announced `${inboxPrefix}.>`. */
  readonly inboxPrefix: string;
  readonly lanes: readonly Omit<LaneForwarderOptions, 'gateway' | 'window' | 'ackTimeoutMs' | 'historicalAfterMs'>[];
  readonly window: number;
  readonly ackTimeoutMs: number;
  readonly limit: { messagesPerSecond: number; bytesPerSecond: number };
  readonly drain: HoursOptions & {
    /** What lanes are owed of the records that go ahead of them, 0 to 0.5. */
    readonly share: number;
    readonly historicalAfterMs: number;
  };
}

export interface LaneUpStatus {
  name: string;
  procedure: Procedure;
  state: LaneState;
  reason: GatewayError | null;
  inFlight: number;
  acknowledged: number;
  duplicates: number;
  resent: number;
  oversize: number;
}

/** Sends what the journal holds up to the hub's streams, lane by lane. */
export class Forwarder implements Service {
  readonly #hub: Hub;
  readonly #lanes: LaneForwarder[];
  readonly #drain: Drain;
  readonly #hold: DrainHold;
  readonly #fetches = new Map<string, Fetching>();
  readonly #inbox: Inbox;
  readonly #pubAcks = new PubAckReader();
  #nextFetch = 1;
  #linked: { headers: boolean } | null = null;
  #tick: NodeJS.Timeout | undefined;

  constructor(
    options: ForwarderOptions,
    parts: { hub: Hub; records: Records; served(subject: string): readonly string[] } & Pick<
      LaneForwarderParts,
      'stamp'
    >,
    log: Log,
  ) {
    this.#hub = parts.hub;
    const { inboxPrefix, gateway, window, ackTimeoutMs } = options;
    this.#inbox = {
      open: (fetching) => {
        const token = `${FETCH}.${this.#nextFetch++}`;
        this.#fetches.set(token, fetching);
        return `${inboxPrefix}.${token}`;
      },
      close: (reply) => {
        this.#fetches.delete(reply.slice(inboxPrefix.length + 1));
      },
    };
    const { share, historicalAfterMs } = options.drain;
    const drain = new Drain({
      pace: new Pace(options.limit),
      share,
      writable: () => parts.hub.writable,
      isShared: () => parts.hub.isShared,
    });
    const hold = new DrainHold(options.drain, log, () => drain.resume());
    this.#drain = drain;
    this.#hold = hold;
    const shared = { ...parts, drain, hold, inbox: this.#inbox, ackPrefix: `${inboxPrefix}.${ACK}` };
    this.#lanes = options.lanes.map(
      (lane) => new LaneForwarder({ ...lane, gateway, window, ackTimeoutMs, historicalAfterMs }, shared, log),
    );
    for (const lane of this.#lanes) drain.join(lane);
  }

  async start(): Promise<void> {
    await this.#hold.start();
    this.#tick = setInterval(() => {
      const nowMs = performance.now();
      for (const lane of this.#lanes) lane.tick(nowMs);
      this.#hold.tick(new Date(), nowMs);
    }, TICK_MS);
  }

  linkUp(hub: { headers: boolean }): void {
    this.#linked = hub;
    const obstacle = hub.headers
      ? null
      : new GatewayError('hub_no_headers', 'the hub takes no message headers, and so no record identities', {
          hint: 'remove no_header_support from the configuration of the hub',
        });
    for (const lane of this.#lanes) lane.linkUp(obstacle);
  }

  linkDown(): void {
    this.#linked = null;
    const reason = new GatewayError('not_connected', 'the link fell');
    for (const fetching of [...this.#fetches.values()]) fetching.fail(reason);
    for (const lane of this.#lanes) lane.linkDown();
  }

  /** Around a change of the journal's store: cursors, and perhaps the epoch, are others afterwards. */
  renew(change: () => void): void {
    const hub = this.#linked;
    this.linkDown();
    change();
    for (const lane of this.#lanes) lane.renew();
    if (hub) this.linkUp(hub);
  }

  hubChanged(): void {
    for (const lane of this.#lanes) lane.hubChanged();
  }

  drained(): void {
    for (const lane of this.#lanes) lane.schedule();
  }

  /** A message on the box's own inbox: `a.<lane>.<pass>.<slot>` for PubAcks, `f.<n>` for what is read back. */
  answer(token: string, headers: Buffer, payload: Buffer): void {
    if (token.startsWith(`${FETCH}.`)) {
      this.#fetches.get(token)?.take(headers, payload);
      return;
    }
    const passAt = token.indexOf('.', ACK.length + 1) + 1;
    const slotAt = token.indexOf('.', passAt) + 1;
    const lane = this.#lanes[decimal(token, ACK.length + 1, passAt - 1)];
    const ack = lane ? this.#pubAcks.read(payload) : null;
    // Somebody else who listens on the subject may answer too; the PubAck is still to come.
    if (ack) lane?.answered(decimal(token, passAt, slotAt - 1), decimal(token, slotAt, token.length), ack);
  }

  /** Holds a lane, or all with '*'; what they hold stays on the disk. `forMs` 0: until somebody resumes. */
  pause(lane: string, by: string, forMs: number): void {
    this.#hold.pause(lane, by, forMs, performance.now());
  }

  resume(lane: string, by: string): void {
    this.#hold.resume(lane, by);
  }

  get held(): HoldStatus {
    return this.#hold.status(performance.now());
  }

  /** Newest PubAck of any lane, 0 for none. */
  get lastPubAckMs(): number {
    return Math.max(0, ...this.#lanes.map((lane) => lane.lastPubAckMs));
  }

  status(): LaneUpStatus[] {
    return this.#lanes.map((lane) => ({
      name: lane.options.name,
      procedure: lane.procedure,
      ...lane.status(),
      ...lane.counters,
    }));
  }

  /** Sends nothing more and waits a little for the answers to what is in flight. */
  readonly stop = once(async () => {
    for (const lane of this.#lanes) lane.finish();
    const deadline = performance.now() + STOP_MS;
    while (this.#hub.up && this.#lanes.some((lane) => lane.status().inFlight > 0) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    clearInterval(this.#tick);
    this.#drain.stop();
    this.linkDown();
  });
}

/** The whole number that the text has there; NaN where it has none. */
function decimal(text: string, from: number, to: number): number {
  let value = from < to ? 0 : Number.NaN;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  return value;
}
