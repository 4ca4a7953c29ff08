import type { OwnFigures } from './monitor.ts';
import { forecast, RateMeter } from './rate.ts';
import type {
  ClockFacts,
  CommandsFacts,
  Facts,
  Failure,
  FirmwareFacts,
  GatewayFacts,
  HubFacts,
  LaneFacts,
  LedgerFacts,
  LinkFacts,
  LossReason,
  MqttFacts,
  NatsFacts,
  NoticeFacts,
  SaverFacts,
  SerialPortFacts,
  StoreFacts,
  StreamFacts,
  WearFacts,
} from './snapshot.ts';
import { lossReasons } from './snapshot.ts';

/**
 * Puts the parts' own reports together into the facts of a snapshot. The shapes below are what is needed of each part;
 * the gateway hands in objects that fit.
 */

export interface LaneReport {
  name: string;
  depth: number;
  bytes: number;
  oldestMs: number | null;
  lastSequence: number;
  cursor: number;
  evicted: number;
  expired: number;
  refused: number;
}

export interface StoreReport {
  epoch: string;
  commits: number;
  commitP50Ms: number;
  commitP99Ms: number;
  queuedMessages: number;
  saver: SaverFacts | null;
  failure: Failure | null;
  mended: StoreFacts['mended'];
  store: {
    fileBytes: number;
    freeBytes: number;
    reserveReached: boolean;
    failure: Failure | null;
    ledger: LedgerReport[];
  } | null;
  lanes: LaneReport[];
}

export interface LedgerReport {
  lane: string;
  reason: LedgerFacts['reason'];
  count: number;
  first: number | null;
  last: number | null;
  atMs: number;
  declared: boolean;
}

export interface LaneUpReport {
  name: string;
  procedure: LaneFacts['procedure'];
  state: Exclude<LaneFacts['state'], 'no-upstream'>;
  reason: Failure | null;
  inFlight: number;
  acknowledged: number;
  duplicates: number;
  resent: number;
  oversize: number;
}

export interface LaneRules {
  name: string;
  subjects: readonly string[];
  priority: number;
  bytesMax: number;
  full: 'refuse' | 'drop-oldest';
}

export interface Parts {
  gateway: GatewayFacts;
  clock: ClockFacts;
  link: LinkFacts;
  rules: readonly LaneRules[];
  store: StoreReport;
  reserveBytes: number;
  wear: WearFacts;
  /** Null without an upstream. */
  up: readonly LaneUpReport[] | null;
  streams: readonly StreamFacts[];
  commands: readonly CommandsFacts[];
  rates: LaneRates;
  mqtt: MqttFacts;
  nats: NatsFacts;
  serial: readonly SerialPortFacts[];
  /** Null where there is no board. */
  firmware?: FirmwareFacts | null;
  notices?: NoticeFacts[];
}

/** Rates of each lane, from counters that are looked at now and then. */
export class LaneRates {
  readonly #meters = new Map<string, { in: RateMeter; out: RateMeter; lastSequence: number; cursor: number }>();

  /** Call every second or two; `nowMs` from a clock that does not jump. */
  sample(lanes: readonly LaneReport[], nowMs: number): void {
    for (const { name, lastSequence, cursor } of lanes) {
      const known = this.#meters.get(name);
      const meter = known ?? { in: new RateMeter(), out: new RateMeter(), lastSequence, cursor };
      meter.in.add(lastSequence - meter.lastSequence, nowMs);
      meter.out.add(cursor - meter.cursor, nowMs);
      meter.lastSequence = lastSequence;
      meter.cursor = cursor;
      if (!known) this.#meters.set(name, meter);
    }
  }

  of(name: string, nowMs: number): { rateInPerS: number; rateOutPerS: number } {
    const meter = this.#meters.get(name);
    return { rateInPerS: meter?.in.perSecond(nowMs) ?? 0, rateOutPerS: meter?.out.perSecond(nowMs) ?? 0 };
  }
}

/** What the parts know, for the plots. `link`: null without an upstream. */
export function ownFigures(
  { lanes, commits, commitP99Ms }: { lanes: readonly LaneReport[]; commits: number; commitP99Ms: number },
  known: LaneRates,
  link: { state: string; rttMs: number | null } | null,
): OwnFigures {
  const nowMs = performance.now();
  const rates = lanes.map(({ name }) => known.of(name, nowMs));
  return {
    depth: lanes.reduce((sum, lane) => sum + lane.depth, 0),
    rateInPerS: rates.reduce((sum, rate) => sum + rate.rateInPerS, 0),
    rateOutPerS: rates.reduce((sum, rate) => sum + rate.rateOutPerS, 0),
    fsyncP99Ms: commits > 0 ? commitP99Ms : null,
    rttMs: link?.rttMs ?? null,
    linkUp: link === null ? null : Number(link.state === 'up'),
  };
}

export function compose(parts: Parts): Facts {
  const { gateway, clock, link, store, mqtt, nats, reserveBytes, wear } = parts;
  const failure = store.failure ?? store.store?.failure ?? null;
  return {
    gateway,
    clock,
    link: { ...link, hub: link.hub && hubFacts(link.hub) },
    lanes: store.lanes.map((lane) => laneFacts(lane, parts)),
    streams: [...parts.streams],
    commands: [...parts.commands],
    ledger: (store.store?.ledger ?? []).map(ledgerFacts),
    losses: losses(parts),
    store: {
      state: failure ? 'failed' : store.store?.reserveReached ? 'full' : 'ok',
      error: failure,
      epoch: store.epoch,
      fileBytes: store.store?.fileBytes ?? 0,
      freeBytes: store.store?.freeBytes ?? 0,
      reserveBytes,
      commits: store.commits,
      fsyncP50Ms: store.commits > 0 ? store.commitP50Ms : null,
      fsyncP99Ms: store.commits > 0 ? store.commitP99Ms : null,
      queuedMessages: store.queuedMessages,
      saver: store.saver,
      mended: store.mended,
      wear,
    },
    mqtt,
    nats,
    serial: [...parts.serial],
    firmware: parts.firmware ?? null,
    notices: parts.notices ?? [],
  };
}

/** What is said of the hub, of all that the link knows of it. */
function hubFacts({ serverName, version, cluster, domain, remoteAccount, maxPayload }: HubFacts): HubFacts {
  return { serverName, version, cluster, domain, remoteAccount, maxPayload };
}

function laneFacts(lane: LaneReport, { rules, up, rates }: Parts): LaneFacts {
  const rule = rules.find(({ name }) => name === lane.name);
  const way = up?.find(({ name }) => name === lane.name);
  const bytesMax = rule?.bytesMax ?? lane.bytes;
  const full = rule?.full ?? 'refuse';
  const flow = { depth: lane.depth, bytes: lane.bytes, bytesMax, ...rates.of(lane.name, performance.now()) };
  return {
    name: lane.name,
    subjects: [...(rule?.subjects ?? [])],
    priority: rule?.priority ?? 9,
    procedure: way?.procedure ?? 'read-back',
    state: way?.state ?? 'no-upstream',
    reason: way?.reason ? { code: way.reason.code, message: way.reason.message, hint: way.reason.hint } : null,
    oldestMs: lane.depth > 0 ? lane.oldestMs : null,
    inFlight: way?.inFlight ?? 0,
    lastSequence: lane.lastSequence,
    ackedSequence: lane.cursor,
    ...flow,
    ...forecast(flow),
    full,
    dropsFirst: full === 'refuse' ? 'new messages of this lane are refused' : 'the oldest messages of this lane',
    counters: {
      appended: lane.lastSequence,
      acknowledged: way?.acknowledged ?? 0,
      evicted: lane.evicted,
      expired: lane.expired,
      refused: lane.refused,
      duplicates: way?.duplicates ?? 0,
      resent: way?.resent ?? 0,
    },
  };
}

function ledgerFacts({ lane, reason, count, first, last, atMs, declared }: LedgerReport): LedgerFacts {
  return { lane, reason, count, firstSequence: first, lastSequence: last, atMs, synced: declared };
}

/** Losses that each lane counts itself. */
const COUNTED_BY_LANE: readonly LossReason[] = ['evicted', 'expired', 'refused'];

/** Totals of the lanes where they are counted there, else what the ledger shows. */
function losses({ store }: Parts): Record<LossReason, number> {
  const totals = Object.fromEntries(lossReasons.map((reason) => [reason, 0])) as Record<LossReason, number>;
  for (const { evicted, expired, refused } of store.lanes) {
    totals.evicted += evicted;
    totals.expired += expired;
    totals.refused += refused;
  }
  for (const { reason, count } of store.store?.ledger ?? []) {
    if (reason !== 'unassigned' && !COUNTED_BY_LANE.includes(reason)) totals[reason] += count;
  }
  return totals;
}
