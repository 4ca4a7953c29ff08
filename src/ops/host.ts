import { readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { type CpuInfo, cpus, loadavg, networkInterfaces, release, uptime } from 'node:os';
import { join } from 'node:path';
import type { Flag, HealthSample } from './api.ts';

/**
 * The machine under the box: files of /proc and /sys, one read each. systeminformation costs 11 MiB resident for the two
 * of its calls that start no process, and the others run commands (30 to 60 ms of processor time each, on a Pi several
 * times that).
 */

/** Where the kernel shows itself; another folder in tests. */
export interface Roots {
  readonly sys: string;
  readonly proc: string;
}

const ROOTS: Roots = { sys: '/sys', proc: '/proc' };
/** Interfaces, cards: more than a box has. */
const ENTRIES_MAX = 32;

/** What only the box knows of itself. */
export interface Lifetime {
  readonly restarts: number;
  readonly resetReason: string;
}

/** Reads one sample after another; what is counted since the sample before is remembered. */
export class Host {
  readonly #folder: string;
  readonly #roots: Roots;
  #last: { atMs: number; cpu: NodeJS.CpuUsage } = { atMs: performance.now(), cpu: process.cpuUsage() };
  #times = { busyMs: 0, allMs: 0 };
  readonly #machine: string;

  /** `folder`: on the disk that is looked at. */
  constructor(folder: string, roots: Roots = ROOTS) {
    this.#folder = folder;
    this.#roots = roots;
    this.#machine = text(join(roots.proc, 'device-tree/model')) || (cpus()[0]?.model ?? '');
  }

  async sample({ restarts, resetReason }: Lifetime): Promise<HealthSample> {
    const disk = await statfs(this.#folder);
    const { sys, proc } = this.#roots;
    const memory = text(join(proc, 'meminfo'));
    const bytesOf = (name: string) => 1024 * Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(memory)?.[1] ?? 0);
    const processors = cpus();
    return {
      atMs: Date.now(),
      cpuShare: this.#share(processors),
      processCpuShare: this.#ownShare(processors.length || 1),
      load1: loadavg()[0] ?? 0,
      cores: processors.length,
      memoryBytes: bytesOf('MemTotal'),
      memoryAvailableBytes: bytesOf('MemAvailable'),
      rssBytes: process.memoryUsage.rss(),
      swapUsedBytes: bytesOf('SwapTotal') - bytesOf('SwapFree'),
      diskBytes: disk.blocks * disk.bsize,
      diskFreeBytes: disk.bavail * disk.bsize,
      writtenBytes: Number(/^write_bytes: (\d+)$/m.exec(text(join(proc, 'self/io')))?.[1] ?? 0),
      temperatureC: temperature(sys),
      throttling: throttling(sys),
      interfaces: interfaces(sys),
      emmc: emmc(sys),
      restarts,
      resetReason,
      machineUptimeS: Math.floor(uptime()),
      machine: this.#machine,
      kernel: release(),
    };
  }

  /** Of all processors since the last sample. */
  #share(processors: readonly CpuInfo[]): number {
    let [busyMs, allMs] = [0, 0];
    for (const { times } of processors) {
      const ofOneMs = times.user + times.nice + times.sys + times.irq + times.idle;
      busyMs += ofOneMs - times.idle;
      allMs += ofOneMs;
    }
    const before = this.#times;
    this.#times = { busyMs, allMs };
    return allMs > before.allMs ? Math.max(0, (busyMs - before.busyMs) / (allMs - before.allMs)) : 0;
  }

  #ownShare(cores: number): number {
    const now = { atMs: performance.now(), cpu: process.cpuUsage() };
    const usedMs = (now.cpu.user + now.cpu.system - this.#last.cpu.user - this.#last.cpu.system) / 1000;
    const share = usedMs / Math.max(1, now.atMs - this.#last.atMs) / cores;
    this.#last = now;
    return share;
  }
}

/** '' for a file that is not there. */
function text(path: string): string {
  try {
    return readFileSync(path, 'latin1').replaceAll('\0', '').trim();
  } catch {
    return '';
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).slice(0, ENTRIES_MAX);
  } catch {
    return [];
  }
}

/** The hottest zone that there is; a Pi has one. */
function temperature(sys: string): number | null {
  const zones = entries(join(sys, 'class/thermal')).filter((name) => name.startsWith('thermal_zone'));
  const degrees = zones.map((zone) => text(join(sys, 'class/thermal', zone, 'temp'))).filter((value) => value !== '');
  return degrees.length === 0 ? null : Math.max(...degrees.map(Number)) / 1000;
}

/** Bits of the firmware of a Raspberry Pi, as `vcgencmd get_throttled` names them: now, and 16 higher since the start. */
function throttling(sys: string): HealthSample['throttling'] {
  const found = text(join(sys, 'devices/platform/soc/soc:firmware/get_throttled'));
  if (found === '') return null;
  const bits = Number.parseInt(found, 16);
  const flag = (bit: number): Flag => ({ now: (bits & (1 << bit)) !== 0, since: (bits & (1 << (bit + 16))) !== 0 });
  return { underVoltage: flag(0), frequencyCapped: flag(1), throttled: flag(2), softTemperatureLimit: flag(3) };
}

function interfaces(sys: string): HealthSample['interfaces'] {
  const addresses = networkInterfaces();
  return entries(join(sys, 'class/net'))
    .filter((name) => name !== 'lo')
    .map((name) => {
      const at = (file: string) => text(join(sys, 'class/net', name, file));
      return {
        name,
        addresses: (addresses[name] ?? []).map(({ address }) => address),
        isUp: at('operstate') === 'up' || (at('operstate') === 'unknown' && addresses[name] !== undefined),
        receivedBytes: Number(at('statistics/rx_bytes')),
        sentBytes: Number(at('statistics/tx_bytes')),
      };
    });
}

/** JEDEC eMMC 5.0 (JESD84-B50): life time estimation A and B in tenths, pre-EOL information. SD cards have none. */
function emmc(sys: string): HealthSample['emmc'] {
  return entries(join(sys, 'block'))
    .filter((name) => /^mmcblk\d+$/.test(name))
    .flatMap((name) => {
      const at = (file: string) => text(join(sys, 'block', name, 'device', file));
      const [a, b] = at('life_time').split(/\s+/);
      const life = (value: string | undefined) => (value ? Number(value) : null);
      if (!a) return [];
      return [{ name, lifeTimeA: life(a), lifeTimeB: life(b), preEol: life(at('pre_eol_info') || undefined) }];
    });
}
