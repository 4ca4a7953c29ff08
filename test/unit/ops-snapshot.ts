import type { HealthSample } from '../../src/ops/api.ts';
import { problems } from '../../src/ops/health.ts';
import type { ClientFacts, Facts, LaneFacts, LedgerFacts, SerialPortFacts, Snapshot } from '../../src/ops/snapshot.ts';

/** 2026-01-15 12:00 UTC: every time in these tests is counted from it. */
export const NOW_MS = Date.UTC(2026, 0, 15, 12);
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

export function lane(changes: Partial<LaneFacts> = {}): LaneFacts {
  return {
    name: 'telemetry',
    subjects: ['>'],
    priority: 5,
    procedure: 'read-back',
    state: 'idle',
    reason: null,
    depth: 0,
    bytes: 0,
    bytesMax: 1024 ** 3,
    oldestMs: null,
    inFlight: 0,
    lastSequence: 1000,
    ackedSequence: 1000,
    rateInPerS: 0,
    rateOutPerS: 0,
    timeToFullS: null,
    timeToEmptyS: null,
    full: 'drop-oldest',
    dropsFirst: 'the oldest messages',
    counters: { appended: 1000, acknowledged: 1000, evicted: 0, expired: 0, refused: 0, duplicates: 0, resent: 0 },
    ...changes,
  };
}

export function client(clientId: string, changes: Partial<ClientFacts> = {}): ClientFacts {
  return {
    clientId,
    user: '',
    // A port of its own for each name.
    remote: `192.0.2.7:${10_000 + [...clientId].reduce((sum, char, i) => sum + (i + 1) * char.charCodeAt(0), 0)}`,
    protocol: 'MQTT 5.0',
    connectedAtMs: NOW_MS - HOUR_MS,
    lastSeenMs: NOW_MS - 2000,
    messagesIn: 7200,
    messagesOut: 0,
    bytesIn: 921_600,
    bytesOut: 28_800,
    dropped: 0,
    subscriptions: 0,
    inflight: 0,
    ...changes,
  };
}

export function loss(changes: Partial<LedgerFacts> = {}): LedgerFacts {
  return {
    lane: 'telemetry',
    reason: 'evicted',
    count: 12,
    firstSequence: 100,
    lastSequence: 111,
    atMs: NOW_MS - 5 * MINUTE_MS,
    synced: false,
    ...changes,
  };
}

/** A Raspberry Pi at its best. */
export const sample: HealthSample = {
  atMs: NOW_MS,
  cpuShare: 0.05,
  processCpuShare: 0.01,
  load1: 0.2,
  cores: 4,
  memoryBytes: 1024 ** 3,
  memoryAvailableBytes: 700 * 1024 ** 2,
  rssBytes: 81 * 1024 ** 2,
  swapUsedBytes: 0,
  diskBytes: 16 * 1024 ** 3,
  diskFreeBytes: 11 * 1024 ** 3,
  writtenBytes: 1e9,
  temperatureC: 48.3,
  throttling: {
    underVoltage: { now: false, since: true },
    frequencyCapped: { now: false, since: false },
    throttled: { now: false, since: false },
    softTemperatureLimit: { now: false, since: false },
  },
  interfaces: [],
  emmc: [{ name: 'mmcblk0', lifeTimeA: 3, lifeTimeB: 1, preEol: 1 }],
  restarts: 2,
  resetReason: 'the program was restarted',
  machineUptimeS: 86_400,
  machine: 'Raspberry Pi 4 Model B Rev 1.4',
  kernel: '6.6.31',
};

/** A serial port at its best. */
export function port(changes: Partial<SerialPortFacts> = {}): SerialPortFacts {
  return {
    name: 'line3',
    kind: 'frames',
    state: 'open',
    node: '/dev/ttyUSB0',
    opens: 1,
    retryInMs: null,
    lastError: null,
    refusedSettings: '',
    lastSeenMs: NOW_MS - 1000,
    bytesIn: 100,
    messagesIn: 4,
    frames: 9,
    filtered: 0,
    discardedBytes: 0,
    undecodable: 0,
    discarded: {},
    faults: {},
    throttled: 0,
    isFlooding: false,
    refused: 0,
    commands: 0,
    commandsFailed: 0,
    polls: 0,
    pollsUnanswered: 0,
    queued: 0,
    captures: 0,
    swap: '',
    units: [],
    board: null,
    ...changes,
  };
}

/** What can be changed of the facts: whole parts, or some members of a part. */
export interface Changes {
  gateway?: Partial<Facts['gateway']>;
  clock?: Partial<Facts['clock']>;
  link?: Partial<Facts['link']>;
  store?: Partial<Facts['store']>;
  mqtt?: Partial<Facts['mqtt']>;
  nats?: Partial<Facts['nats']>;
  lanes?: LaneFacts[];
  streams?: Facts['streams'];
  commands?: Facts['commands'];
  ledger?: LedgerFacts[];
  losses?: Partial<Facts['losses']>;
  serial?: Facts['serial'];
  notices?: Facts['notices'];
}

/** A box at its best (connected, everything sent, two sensors), with changes. */
export function facts(changes: Changes = {}): Facts {
  return {
    gateway: {
      name: 'plant1',
      version: '0.1.0',
      pid: 4711,
      startedAtMs: NOW_MS - 5 * HOUR_MS,
      nowMs: NOW_MS,
      uptimeS: 18_000,
      node: '24.21.0',
      memory: { rssBytes: 81 * 1024 ** 2, heapUsedBytes: 14 * 1024 ** 2 },
      ...changes.gateway,
    },
    link: {
      state: 'up',
      url: 'tls://hub.example.com:7422',
      hub: {
        serverName: 'hub1',
        version: '2.10.27',
        cluster: 'cloud',
        domain: '',
        remoteAccount: '$G',
        maxPayload: 1_048_576,
      },
      sinceMs: NOW_MS - 3 * HOUR_MS - 12 * MINUTE_MS,
      rttMs: 18.4,
      lastPubAckMs: NOW_MS - 2000,
      lastError: null,
      retryInMs: null,
      reconnects: 2,
      messagesIn: 12,
      messagesOut: 14_400,
      bytesIn: 1800,
      bytesOut: 2_100_000,
      drops: {},
      ...changes.link,
    },
    lanes: changes.lanes ?? [lane()],
    streams: changes.streams ?? [],
    commands: changes.commands ?? [],
    ledger: changes.ledger ?? [],
    losses: {
      evicted: 0,
      expired: 0,
      refused: 0,
      undecodable: 0,
      corrupt: 0,
      oversize: 0,
      forgotten: 0,
      ...changes.losses,
    },
    clock: { trust: 'synced', sinceMs: 0, steps: 0, lastStepMs: 0, stretches: 0, ...changes.clock },
    store: {
      state: 'ok',
      error: null,
      epoch: '1k9f3',
      fileBytes: 4 * 1024 ** 2,
      freeBytes: 11 * 1024 ** 3,
      reserveBytes: 64 * 1024 ** 2,
      commits: 52_310,
      fsyncP50Ms: 3.2,
      fsyncP99Ms: 18,
      queuedMessages: 0,
      saver: null,
      mended: null,
      wear: {
        bytesWritten: 1e9,
        commits: 52_310,
        bytesPerHour: 2e7,
        bytesPerDay: 48e7,
        commitsPerHour: 1_000,
        commitsPerDay: 24_000,
        cardLifeDays: null,
      },
      ...changes.store,
    },
    mqtt: {
      listeners: [{ host: '127.0.0.1', port: 1883, connections: 2 }],
      counters: { connects: 2, protocolErrors: 0 },
      sessions: { count: 3, countMax: 10_000, connected: 2, queued: 5, bytes: 1_024, bytesMax: 64 * 1024 * 1024 },
      retained: { count: 12, countMax: 10_000, bytes: 7_000, bytesMax: 16 * 1024 ** 2, left: 0 },
      clients: [client('press-1'), client('oven-12')],
      lost: { count: 0, clients: [] },
      ...changes.mqtt,
    },
    nats: {
      listeners: [{ host: '127.0.0.1', port: 4222, connections: 0 }],
      note: '',
      counters: {},
      clients: [],
      ...changes.nats,
    },
    serial: changes.serial ?? [],
    firmware: null,
    notices: changes.notices ?? [],
  };
}

export function snapshot(changes: Changes = {}): Snapshot {
  const known = facts(changes);
  return { ...known, problems: problems(known) };
}

/** A link that has been down for two hours. */
export const noLink: Partial<Facts['link']> = {
  state: 'waiting',
  hub: null,
  sinceMs: NOW_MS - 2 * HOUR_MS,
  rttMs: null,
  retryInMs: 12_000,
  lastError: {
    code: 'connection_refused',
    message: 'hub.example.com:7422 refused the connection',
    hint: '',
    atMs: NOW_MS - 3000,
  },
};
