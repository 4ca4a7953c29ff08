import type { Gauge as GaugeType } from 'prom-client';
import type { HealthSample } from './api.ts';
import type { Snapshot } from './snapshot.ts';

/** The text format of Prometheus. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;
interface Sample {
  labels?: Labels;
  value: number;
}
interface Family {
  name: string;
  help: string;
  kind: 'gauge' | 'counter';
  samples: Sample[];
}

/**
 * The snapshot as metrics, named by the conventions of Prometheus: base units, `_total` for counters. Labels are only
 * what the configuration names (lanes) or the program knows (reasons, causes, codes): no client identifier, no subject.
 */
export function families(snapshot: Snapshot, machine: HealthSample | null = null): Family[] {
  const { gateway, clock, link, lanes, losses, store, mqtt, nats, problems } = snapshot;
  const nowS = gateway.nowMs / 1000;
  const found: Family[] = [];
  const add = adderTo(found);
  const perLane = (value: (lane: Snapshot['lanes'][number]) => number): Sample[] =>
    lanes.map((lane) => ({ labels: { lane: lane.name }, value: value(lane) }));
  const each = (label: string, values: Record<string, number>): Sample[] =>
    Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));

  add('gauge', 'build_info', 'Version of the box and of its Node.', {
    labels: { version: gateway.version, node: gateway.node },
    value: 1,
  });
  add('gauge', 'start_time_seconds', 'When the box started, in seconds since 1970.', gateway.startedAtMs / 1000);
  add('gauge', 'resident_memory_bytes', 'Resident memory of the process.', gateway.memory.rssBytes);
  add('gauge', 'heap_used_bytes', 'Memory of the JavaScript heap in use.', gateway.memory.heapUsedBytes);
  const told = problems.map(({ part, code, severity }) => ({ labels: { part, code, severity }, value: 1 }));
  add('gauge', 'problem', 'One for each thing that is wrong now.', ...told);

  add('gauge', 'clock_trusted', 'Whether the time of the box is known.', Number(clock.trust !== 'untrusted'));

  add('gauge', 'link_up', 'Whether the box is linked to a hub.', Number(link.state === 'up'));
  if (link.rttMs !== null) add('gauge', 'link_rtt_seconds', 'Round trip of the last PING.', link.rttMs / 1000);
  if (link.lastPubAckMs !== null) {
    add('gauge', 'link_last_puback_age_seconds', 'Age of the last PubAck.', nowS - link.lastPubAckMs / 1000);
  }
  add('counter', 'link_reconnects_total', 'Links that fell and came back.', link.reconnects);
  const flows = { in: link.messagesIn, out: link.messagesOut };
  add('counter', 'link_messages_total', 'Messages over the link.', ...each('direction', flows));
  add(
    'counter',
    'link_bytes_total',
    'Bytes over the link.',
    ...each('direction', { in: link.bytesIn, out: link.bytesOut }),
  );
  add('counter', 'link_dropped_total', 'Live messages that did not go up, by cause.', ...each('cause', link.drops));

  add('gauge', 'lane_depth_records', 'Records that the hub has not acknowledged.', ...perLane(({ depth }) => depth));
  add('gauge', 'lane_bytes', 'Bytes of those records.', ...perLane(({ bytes }) => bytes));
  add('gauge', 'lane_bytes_max', 'Bytes that the lane may hold.', ...perLane(({ bytesMax }) => bytesMax));
  const ages = perLane(({ oldestMs }) => (oldestMs === null ? 0 : Math.max(0, nowS - oldestMs / 1000)));
  add('gauge', 'lane_oldest_age_seconds', 'Age of the oldest of those records.', ...ages);
  add('gauge', 'lane_in_flight_records', 'Records that wait for a PubAck.', ...perLane(({ inFlight }) => inFlight));
  add(
    'gauge',
    'lane_state',
    'One for the state that the lane is in.',
    ...lanes.map(({ name, state }) => ({ labels: { lane: name, state }, value: 1 })),
  );
  for (const name of ['appended', 'acknowledged', 'evicted', 'expired', 'refused', 'duplicates', 'resent'] as const) {
    add('counter', `lane_${name}_total`, `Records ${WORDS[name]}.`, ...perLane(({ counters }) => counters[name]));
  }
  add('counter', 'lost_total', 'Messages lost since the store was made, by reason.', ...each('reason', losses));

  add('gauge', 'store_state', 'One for the state of the store.', { labels: { state: store.state }, value: 1 });
  add('gauge', 'store_file_bytes', 'Size of the journal file.', store.fileBytes);
  add('gauge', 'store_free_bytes', 'Free space of its file system.', store.freeBytes);
  add('gauge', 'store_reserve_bytes', 'Free space that is kept in reserve.', store.reserveBytes);
  add('gauge', 'store_queued_messages', 'Messages that wait for a commit.', store.queuedMessages);
  if (store.saver) {
    add('gauge', 'store_held_messages', "Messages that wait for the hub's PubAck in memory.", store.saver.held);
    add(
      'counter',
      'store_spared_messages_total',
      'Messages that the hub took before they had to be written.',
      store.saver.spared,
    );
  }
  add('counter', 'store_commits_total', 'Commits, each with its fsync.', store.commits);
  const quantiles = { '0.5': store.fsyncP50Ms, '0.99': store.fsyncP99Ms };
  const timed = Object.entries(quantiles).flatMap(([quantile, ms]) =>
    ms === null ? [] : [{ labels: { quantile }, value: ms / 1000 }],
  );
  add('gauge', 'store_commit_seconds', 'How long a commit takes, by quantile.', ...timed);

  const mqttOpen = mqtt.listeners.map(({ host, port, connections }) => ({
    labels: { listener: `${host}:${port}` },
    value: connections,
  }));
  add('gauge', 'mqtt_clients_lost', 'Sensors that went without a word and have not come again.', mqtt.lost.count);
  add('gauge', 'mqtt_connections', 'Open connections of each listener.', ...mqttOpen);
  add('counter', 'mqtt_events_total', 'What happened at the MQTT listeners.', ...each('event', mqtt.counters));
  if (mqtt.retained !== null) {
    add('gauge', 'mqtt_retained_messages', 'Retained messages.', mqtt.retained.count);
    add('gauge', 'mqtt_retained_bytes', 'Bytes of the retained messages.', mqtt.retained.bytes);
  }
  if (mqtt.sessions !== null) {
    add('gauge', 'mqtt_sessions', 'Persistent sessions.', mqtt.sessions.count);
    add('gauge', 'mqtt_sessions_queued_messages', 'QoS 1 and 2 messages on their way to them.', mqtt.sessions.queued);
    add('gauge', 'mqtt_sessions_queued_bytes', 'Bytes of these messages.', mqtt.sessions.bytes);
  }
  const natsOpen = nats.listeners.map(({ host, port, connections }) => ({
    labels: { listener: `${host}:${port}` },
    value: connections,
  }));
  add('gauge', 'nats_connections', 'Open connections of each listener for NATS clients.', ...natsOpen);
  add('counter', 'nats_events_total', 'What happened at the NATS port.', ...each('event', nats.counters));
  addPorts(add, snapshot.serial);
  if (machine !== null) addMachine(add, machine);
  return found;
}

type Add = (kind: Family['kind'], name: string, help: string, ...samples: (Sample | number)[]) => void;

function adderTo(found: Family[]): Add {
  return (kind, name, help, ...samples) => {
    const list = samples.map((sample) => (typeof sample === 'number' ? { value: sample } : sample));
    found.push({ name: `petiole_${name}`, help, kind, samples: list });
  };
}

/** Ports are those of the configuration. */
function addPorts(add: Add, ports: Snapshot['serial']): void {
  const each = (value: (port: Snapshot['serial'][number]) => number): Sample[] =>
    ports.map((port) => ({ labels: { port: port.name }, value: value(port) }));
  add(
    'gauge',
    'serial_port_open',
    'Whether the device is there and open.',
    ...each(({ state }) => Number(state === 'open')),
  );
  add('counter', 'serial_messages_total', 'Messages from the port.', ...each(({ messagesIn }) => messagesIn));
  add('counter', 'serial_received_bytes_total', 'Bytes from the port.', ...each(({ bytesIn }) => bytesIn));
  add('counter', 'serial_discarded_bytes_total', 'Bytes thrown away.', ...each(({ discardedBytes }) => discardedBytes));
  add(
    'counter',
    'serial_undecodable_total',
    'Frames that could not be decoded.',
    ...each(({ undecodable }) => undecodable),
  );
  add(
    'counter',
    'serial_polls_unanswered_total',
    'Polls without an answer.',
    ...each(({ pollsUnanswered }) => pollsUnanswered),
  );
}

/** What this machine does not have has no series. */
function addMachine(add: Add, machine: HealthSample): void {
  const { cpuShare, load1, memoryBytes, memoryAvailableBytes, diskBytes, temperatureC, throttling, emmc } = machine;
  if (cpuShare !== null) add('gauge', 'machine_cpu_ratio', 'Share of all cores in use, 0 to 1.', cpuShare);
  add('gauge', 'machine_load1', 'Load average over a minute.', load1);
  add('gauge', 'machine_memory_bytes', 'Memory of the machine.', memoryBytes);
  add('gauge', 'machine_memory_available_bytes', 'Memory that programs can still get.', memoryAvailableBytes);
  add('gauge', 'machine_disk_bytes', 'Size of the file system of the journal.', diskBytes);
  add('counter', 'written_bytes_total', 'Bytes that the process caused to be written.', machine.writtenBytes);
  add('counter', 'restarts_total', 'Starts on this store after the first.', machine.restarts);
  if (temperatureC !== null) add('gauge', 'machine_temperature_celsius', 'The hottest zone.', temperatureC);
  if (throttling !== null) {
    const now = Object.entries(throttling).map(([what, flag]) => ({ labels: { what }, value: Number(flag.now) }));
    add('gauge', 'machine_throttled', 'What the firmware of a Raspberry Pi complains of now.', ...now);
  }
  const lives = emmc.flatMap(({ name, lifeTimeA, lifeTimeB }) => {
    const tenths = Math.max(lifeTimeA ?? 0, lifeTimeB ?? 0);
    return tenths === 0 ? [] : [{ labels: { device: name }, value: Math.min(1, tenths / 10) }];
  });
  add('gauge', 'machine_emmc_life_used_ratio', 'Life that an eMMC has behind it, by its own estimate.', ...lives);
}

const WORDS = {
  appended: 'committed to the journal',
  acknowledged: 'acknowledged by the hub',
  evicted: 'evicted to make room',
  expired: 'that became too old',
  refused: 'refused at the bound',
  duplicates: 'that the hub had already',
  resent: 'sent again after a doubt',
} as const;

/** The answer of `/metrics`. What it needs is loaded at the first scrape: most boxes are never scraped. */
export async function metrics(snapshot: Snapshot, machine: HealthSample | null = null): Promise<string> {
  // Not the package's index, which loads node:cluster and an HTTP client, 14 MB resident.
  const [{ default: Registry }, { default: Gauge }, { default: Counter }] = await Promise.all([
    import('prom-client/lib/registry.js'),
    import('prom-client/lib/gauge.js'),
    import('prom-client/lib/counter.js'),
  ]);
  const registry = new Registry();
  for (const { name, help, kind, samples } of families(snapshot, machine)) {
    const labelNames = Object.keys(samples[0]?.labels ?? {});
    const options = { name, help, labelNames, registers: [registry] };
    const metric = kind === 'gauge' ? new Gauge(options) : new Counter(options);
    // Without it a family whose labels have no value yet would show a sample without labels.
    metric.reset();
    if (samples.length === 0) registry.removeSingleMetric(name);
    for (const { labels = {}, value } of samples) (metric as GaugeType).inc(labels, value);
  }
  return registry.metrics();
}
