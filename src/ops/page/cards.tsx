import type { JSX } from 'preact';
import type { Flag, HealthSample, StatusFrame } from '../api.ts';
import type { ClockFacts, Snapshot } from '../snapshot.ts';
import { ago, bytes, count, counted, milliseconds, percent, printable, sentences, span } from '../words.ts';
import { HardwareDetails } from './hardware.tsx';
import { Facts, Meter, Panel, State, type Tone } from './parts.tsx';

/** Above these a Pi is near the end of something: worth a colour, not an alarm. */
const CPU_BUSY = 0.9;
const MEMORY_BUSY = 0.9;
/** The Pi's firmware begins to slow down at 80 °C. */
const HOT_C = 80;

/** What comes in: sensors, programs and ports. */
export function InputCard({ status }: { status: StatusFrame }): JSX.Element {
  const { mqtt, nats, serial } = status.snapshot;
  const { clients } = status;
  const open = serial.filter(({ state }) => state === 'open').length;
  const tone: Tone = mqtt.listeners.length > 0 ? 'ok' : 'failing';
  return (
    <Panel title="Inputs" class="card" aside={<a href="#/devices">Devices</a>}>
      <State tone={tone}>{tone === 'ok' ? counted(clients.mqtt, 'MQTT client') : 'No MQTT listener'}</State>
      <Facts
        facts={[
          ...mqtt.listeners.map(({ host, port, connections }) => ({
            label: `MQTT ${address(host, port)}`,
            value: counted(connections, 'connection'),
          })),
          ...nats.listeners.map(({ host, port, connections }) => ({
            label: `NATS ${address(host, port)}`,
            value: counted(connections, 'connection'),
          })),
          serial.length > 0 && { label: 'Serial ports', value: `${open} of ${serial.length} open` },
          mqtt.sessions !== null &&
            mqtt.sessions.count > 0 && {
              label: 'Kept sessions',
              value: `${count(mqtt.sessions.count)}, ${counted(mqtt.sessions.queued, 'message')} waiting`,
            },
          mqtt.retained !== null && { label: 'Retained messages', value: count(mqtt.retained.count) },
        ]}
      />
      {nats.note !== '' && <p class="hint">{printable(nats.note, 300)}</p>}
    </Panel>
  );
}

export function BoxCard({ snapshot, sample }: { snapshot: Snapshot; sample: HealthSample | null }): JSX.Element {
  const { gateway } = snapshot;
  const limits = sample?.throttling ? throttled(sample.throttling) : null;
  return (
    <Panel title="Box" class="card">
      <State tone={limits?.tone ?? 'quiet'}>{limits?.isNow ? limits.text : `Up ${span(gateway.uptimeS)}`}</State>
      {sample !== null && <Gauges sample={sample} />}
      <Facts
        facts={[
          { label: 'Petiole itself', value: bytes(gateway.memory.rssBytes) },
          sample !== null && { label: 'Load', value: `${sample.load1.toFixed(2)} on ${counted(sample.cores, 'core')}` },
          sample !== null &&
            sample.temperatureC !== null && {
              label: 'Temperature',
              value: (
                <span data-tone={sample.temperatureC >= HOT_C ? 'degraded' : 'quiet'}>
                  {sample.temperatureC.toFixed(0)} °C
                </span>
              ),
            },
          limits !== null && { label: 'Power and throttling', value: limits.text },
          ...(sample?.interfaces ?? [])
            .filter(({ isUp, addresses }) => isUp && addresses.length > 0)
            .map(({ name, addresses }) => ({ label: printable(name), value: printable(addresses.join(' ')) })),
          sample !== null && { label: 'Restarts', value: restarts(sample) },
          sample !== null && { label: 'Machine', value: printable(sample.machine) },
        ]}
      />
      <HardwareDetails />
    </Panel>
  );
}

function Gauges({ sample }: { sample: HealthSample }): JSX.Element {
  const used = sample.memoryBytes - sample.memoryAvailableBytes;
  const memory = sample.memoryBytes === 0 ? 0 : used / sample.memoryBytes;
  const cpu = sample.cpuShare ?? sample.processCpuShare;
  return (
    <div class="gauges">
      <Gauge label="CPU" share={cpu} text={percent(cpu)} isBusy={cpu >= CPU_BUSY} />
      <Gauge
        label="Memory"
        share={memory}
        text={`${bytes(used)} of ${bytes(sample.memoryBytes)}`}
        isBusy={memory >= MEMORY_BUSY}
      />
    </div>
  );
}

function Gauge(props: { label: string; share: number; text: string; isBusy: boolean }): JSX.Element {
  return (
    <div class="gauge">
      <span>{props.label}</span>
      <span>{props.text}</span>
      <Meter label={props.label} share={props.share} text={props.text} tone={props.isBusy ? 'degraded' : 'ok'} />
    </div>
  );
}

function restarts({ restarts: times, resetReason }: HealthSample): string {
  return resetReason === '' ? count(times) : `${count(times)}, last: ${printable(resetReason)}`;
}

type Throttling = NonNullable<HealthSample['throttling']>;

/** The Pi's own words: low voltage first, for it is behind most of the rest. */
function throttled(flags: Throttling): { text: string; tone: Tone; isNow: boolean } {
  const causes: readonly (readonly [Flag, string])[] = [
    [flags.underVoltage, 'Voltage too low'],
    [flags.throttled, 'Throttled'],
    [flags.frequencyCapped, 'Frequency capped'],
    [flags.softTemperatureLimit, 'At its temperature limit'],
  ];
  const now = causes.find(([flag]) => flag.now)?.[1];
  if (now !== undefined) return { text: now, tone: 'degraded', isNow: true };
  const before = causes.find(([flag]) => flag.since)?.[1];
  if (before !== undefined) return { text: `${before} since its start`, tone: 'quiet', isNow: false };
  return { text: 'Good', tone: 'quiet', isNow: false };
}

const STORE_STATES: Record<Snapshot['store']['state'], { text: string; tone: Tone }> = {
  ok: { text: 'Good', tone: 'ok' },
  full: { text: 'At its reserve', tone: 'failing' },
  failed: { text: 'Failed', tone: 'failing' },
};

/** JEDEC's device life time estimation: tenths of the life, 11 for beyond it. */
function lifeUsed(estimates: readonly (number | null)[]): string | null {
  const worst = Math.max(0, ...estimates.map((estimate) => estimate ?? 0));
  if (worst === 0) return null;
  return worst > 10 ? 'beyond its life' : `${(worst - 1) * 10} to ${worst * 10} % of its life used`;
}

export function StorageCard({ snapshot, sample }: { snapshot: Snapshot; sample: HealthSample | null }): JSX.Element {
  const { store } = snapshot;
  const { text, tone } = STORE_STATES[store.state];
  return (
    <Panel title="Storage" class="card">
      <State tone={tone}>{text}</State>
      <Facts
        facts={[
          { label: 'Commit, typical', value: milliseconds(store.fsyncP50Ms) },
          { label: 'Commit, slowest 1 %', value: milliseconds(store.fsyncP99Ms) },
          {
            label: 'Disk free',
            value: sample === null ? bytes(store.freeBytes) : `${bytes(store.freeBytes)} of ${bytes(sample.diskBytes)}`,
          },
          { label: 'Kept in reserve', value: bytes(store.reserveBytes) },
          { label: 'Journal file', value: bytes(store.fileBytes) },
          {
            label: 'Written a day',
            value: store.wear.bytesPerDay === null ? 'not known yet' : bytes(store.wear.bytesPerDay),
          },
          store.wear.cardLifeDays !== null && { label: 'Card life', value: `${count(store.wear.cardLifeDays)} days` },
          ...(sample?.emmc ?? []).map(({ name, lifeTimeA, lifeTimeB }) => {
            const used = lifeUsed([lifeTimeA, lifeTimeB]);
            return used === null ? null : { label: printable(name), value: used };
          }),
        ]}
      />
      {store.error !== null && (
        <p class="notice" data-tone="failing">
          {printable(sentences(store.error.message, store.error.hint), 500)}
        </p>
      )}
    </Panel>
  );
}

const CLOCK_STATES: Record<ClockFacts['trust'], { text: string; tone: Tone }> = {
  synced: { text: 'Set by a time server', tone: 'ok' },
  assumed: { text: 'Believed', tone: 'quiet' },
  untrusted: { text: 'Not to be trusted', tone: 'degraded' },
};

export function ClockCard({ snapshot }: { snapshot: Snapshot }): JSX.Element {
  const { clock, gateway } = snapshot;
  const { text, tone } = CLOCK_STATES[clock.trust];
  // By the box's clock and zone of the reader, to the second: to be held against a watch.
  const offsetS = (gateway.nowMs - Date.now()) / 1000;
  const agrees =
    Math.abs(offsetS) < 2 ? 'as this device' : `${span(Math.abs(offsetS))} ${offsetS < 0 ? 'behind' : 'ahead'}`;
  return (
    <Panel title="Clock" class="card">
      <State tone={tone}>{text}</State>
      <Facts
        facts={[
          { label: 'Time of the box', value: new Date(gateway.nowMs).toLocaleTimeString() },
          { label: 'Against this device', value: agrees },
          clock.sinceMs > 0 && { label: 'Since', value: ago(clock.sinceMs, gateway.nowMs) },
          { label: 'Steps', value: count(clock.steps) },
          clock.steps > 0 && { label: 'Last step', value: milliseconds(Math.abs(clock.lastStepMs)) },
          clock.stretches > 0 && { label: 'Stretches of unsure time', value: count(clock.stretches) },
        ]}
      />
    </Panel>
  );
}

function address(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
