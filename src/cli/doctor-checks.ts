import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config, UpstreamConfig } from '../config/schema.ts';
import { describeError, GatewayError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { LeafLink } from '../nats/leaf-link.ts';
import type { LeafListener } from '../nats/leaf-types.ts';
import { bytes } from '../ops/words.ts';
import { JetStream } from '../upstream/jetstream.ts';

export interface Finding {
  /** What was tried: 'hub', 'disk', … */
  name: string;
  /** `unknown`: it can't be told here. */
  verdict: 'good' | 'warning' | 'bad' | 'unknown';
  message: string;
  /** '' where there is nothing to mend. */
  cure: string;
}

export const good = (name: string, message: string): Finding => ({ name, verdict: 'good', message, cure: '' });
export const bad = (name: string, message: string, cure: string): Finding => ({ name, verdict: 'bad', message, cure });
export const warning = (name: string, message: string, cure: string): Finding => ({
  ...bad(name, message, cure),
  verdict: 'warning',
});
export const unknown = (name: string, message: string): Finding => ({ ...good(name, message), verdict: 'unknown' });

/** No box was ever built before. */
const YEAR_MIN = 2026;
const TIMESYNC = '/run/systemd/timesync/synchronized';

/** Certificates, ages and times of records all stand on the clock; a Pi has none that runs without power. */
export function clock(now = new Date()): Finding {
  if (now.getUTCFullYear() < YEAR_MIN) {
    return bad('clock', `it says ${now.toISOString()}`, 'Let it be set by NTP, or with `timedatectl set-time`');
  }
  if (existsSync(TIMESYNC)) return good('clock', `${now.toISOString()}, synchronised`);
  if (!existsSync('/run/systemd/timesync'))
    return unknown('clock', `${now.toISOString()}; nothing here tells whether it is synchronised`);
  return warning(
    'clock',
    `${now.toISOString()}, not synchronised since the start`,
    'Check `timedatectl timesync-status`',
  );
}

const PROBES = 40;
const PROBE_BYTES = 4096;
/** A healthy card commits in a few milliseconds; the journal shares one fsync among all that wait. */
const FSYNC_SLOW_MS = 100;
const FSYNC_BROKEN_MS = 1000;

/** Writes and fsyncs small blocks where the journal is, as it will. */
export function disk({ gateway, journal }: Config): Finding[] {
  const folder = gateway.data;
  const file = join(folder, `.doctor-${randomBytes(4).toString('hex')}`);
  let took: number[];
  try {
    mkdirSync(folder, { recursive: true });
    took = fsyncs(file);
  } catch (error) {
    const cure = 'Make it writable for the user that the box runs as, or set gateway.data to another folder';
    return [bad('disk', `${folder} cannot be written: ${describeError(error).message}`, cure)];
  }
  const [median = 0, slowest = 0] = [took[took.length >> 1], took.at(-1)];
  const speed = `${folder}: an fsync takes ${median.toFixed(1)} ms, the slowest of ${PROBES} took ${slowest.toFixed(0)} ms`;
  const { bavail, bsize } = statfsSync(folder);
  const room = `${bytes(bavail * bsize)} free, ${bytes(journal.reserveBytes)} kept in reserve`;
  return [
    slowest >= FSYNC_BROKEN_MS || median >= FSYNC_SLOW_MS
      ? warning('disk speed', speed, 'A card this slow is worn out or overloaded: plan to replace it')
      : good('disk speed', speed),
    bavail * bsize > journal.reserveBytes
      ? good('disk space', room)
      : bad('disk space', room, 'Free some space: the box refuses messages'),
  ];
}

function fsyncs(file: string): number[] {
  const block = Buffer.alloc(PROBE_BYTES, 1);
  const handle = openSync(file, 'wx', 0o600);
  try {
    return Array.from({ length: PROBES }, () => {
      const began = performance.now();
      writeSync(handle, block);
      fsyncSync(handle);
      return performance.now() - began;
    }).sort((a, b) => a - b);
  } finally {
    closeSync(handle);
    rmSync(file);
  }
}

export interface Place {
  name: string;
  host: string;
  port: number;
}

/** Whether the box could listen there; asked only where no box runs. */
export function listening({ name, host, port }: Place): Promise<Finding> {
  const where = `${host}:${port}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const cure =
        code === 'EACCES' ? 'Take a port of 1024 or above' : `\`ss -ltnp\` names who has it; or set another address`;
      resolve(bad(name, `cannot listen on ${where}: ${code === 'EADDRINUSE' ? 'it is in use' : message}`, cure));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(good(name, `${where} is free`))));
  });
}

const THROTTLED = '/sys/devices/platform/soc/soc:firmware/get_throttled';

/** What the firmware of a Raspberry Pi says of its supply. */
export function power(file = THROTTLED): Finding {
  let bits: number;
  try {
    bits = Number.parseInt(readFileSync(file, 'utf8').trim(), 16);
  } catch {
    return unknown('power', 'this machine does not tell');
  }
  const cure = 'Use the supply that the board asks for, and a short thick cable';
  if (bits & 0x1) return bad('power', 'the voltage is too low now', cure);
  if (bits & 0x1_0000) return warning('power', 'the voltage was too low since the start', cure);
  if (bits & 0xe_000e) return warning('power', 'the processor is or was slowed down by heat', 'Cool it');
  return good('power', 'no low voltage and no throttling since the start');
}

/** The whole way to the hub, each step by itself: name, port, TLS, sign-in, then the stream of each lane. */
export async function hub(config: Config, upstream: UpstreamConfig): Promise<Finding[]> {
  // Below the box's own name: its user may be allowed to hear no other inbox.
  const inboxPrefix = `_INBOX.${config.gateway.name}.${randomBytes(6).toString('hex')}`;
  const name = `${config.gateway.name}-doctor`;
  let up: () => void = () => {};
  const over = new AbortController();
  const linked = new Promise<void>((resolve) => {
    up = resolve;
  });
  const listener: LeafListener = {
    up,
    down: () => {},
    message: () => {},
    inbox: () => {},
    interestChanged: () => {},
    drained: () => {},
  };
  const link = new LeafLink(
    { ...upstream, name, serverId: `N${'DOCTOR'.repeat(10).slice(0, 55)}`, inboxPrefix },
    listener,
    silentLog,
  );
  try {
    await link.start();
    const failed = await Promise.race([
      linked.then(() => null),
      firstFailure(link, upstream.connectTimeoutMs, over.signal),
    ]);
    const { url, hub: info, rttMs, lastError } = link.status();
    if (failed !== null || info === null) {
      const { code, message, hint } =
        lastError ?? failed ?? new GatewayError('connection_timeout', 'the hub does not answer');
      return [bad('hub', `${url}: ${message} (${code})`, hint)];
    }
    const round = rttMs === null ? '' : `, round trip ${rttMs.toFixed(1)} ms`;
    const found = [good('hub', `${url}: signed in to ${info.serverName} ${info.version}${round}`)];
    const jetStream = new JetStream(link);
    for (const lane of config.lanes) found.push(await stream(jetStream, lane));
    return found;
  } finally {
    over.abort();
    await link.stop();
  }
}

async function stream(jetStream: JetStream, lane: Config['lanes'][number]): Promise<Finding> {
  const name = `stream of ${lane.name}`;
  try {
    if (lane.stream !== null) {
      const info = await jetStream.streamInfo(lane.stream.name);
      if (info !== null) return good(name, `${info.name} takes ${info.subjects.join(' ')}`);
      return bad(
        name,
        `the hub has no stream ${lane.stream.name}`,
        'Create it at the hub, or list it under upstream.streams',
      );
    }
    const missing: string[] = [];
    const streams = new Set<string>();
    for (const subject of lane.subjects) {
      const taker = await jetStream.streamOf(subject);
      if (taker === null) missing.push(subject);
      else streams.add(taker);
    }
    if (missing.length === 0) return good(name, `${[...streams].join(', ')} takes ${lane.subjects.join(' ')}`);
    return warning(
      name,
      `no stream takes ${missing.join(' ')}`,
      'Create one at the hub, or list it under upstream.streams',
    );
  } catch (error) {
    const { message, hint } = describeError(error);
    return bad(name, message, hint);
  }
}

const LOOK_MS = 50;
/** Steps of connecting that each have the configured bound: TCP, TLS, INFO, sign-in. */
const STEPS = 4;

/** Resolves once an attempt has failed, or nothing was decided in the time of all steps. */
async function firstFailure(link: LeafLink, connectTimeoutMs: number, signal: AbortSignal): Promise<GatewayError> {
  const deadlineMs = performance.now() + connectTimeoutMs * STEPS;
  while (!signal.aborted && link.status().lastError === null && performance.now() < deadlineMs) await delay(LOOK_MS);
  const hint = 'Check the address and any firewall';
  return new GatewayError('connection_timeout', `${link.status().url} does not answer`, { hint });
}
