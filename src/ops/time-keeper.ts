import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Clock, type Evidence, type LastSequences, type Stamp, type Trust } from '../core/clock.ts';
import type { Log } from '../core/log.ts';

/** Looks at the clocks of the machine for the box, and keeps what it learns for the next start. */

const LOOK_MS = 1_000;
/** Asking chrony costs a process. */
const CHRONY_MS = 30_000;
/** Last-known-good time is written this often: a clock that is behind it is wrong. */
const GOOD_MS = 3_600_000;
/** No release is older: a clock before this is one without a battery. */
const FLOOR_MS = Date.UTC(2026, 0, 1);
const STATE = 'clock';
const GOOD = 'clock.good';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
/** systemd-timesyncd makes the folder when it starts and the file when it has the time. */
const TIMESYNC = '/run/systemd/timesync';
const TIMESYNC_DONE = '/run/systemd/timesync/synchronized';
const CHRONY = ['/run/chrony/chronyd.sock', '/var/run/chrony/chronyd.sock'];

export interface TimeKeeperParts {
  /** By lane: the last sequence given, and the one that the hub has. */
  lanes(): readonly { name: string; lastSequence: number; cursor: number }[];
  mark(name: string): string | null;
  setMark(name: string, value: string): Promise<void>;
  /** Told at every change: nothing may expire while it is false. */
  trusted(isTrusted: boolean): void;
}

export interface ClockReport {
  trust: Trust;
  /** Since when, by the wall clock of that moment. */
  sinceMs: number;
  /** Steps of the wall clock while the box ran, and the last one. */
  steps: number;
  lastStepMs: number;
  /** Kinds of records that wait with a time that is not known, or was put right. */
  stretches: number;
}

export class TimeKeeper {
  readonly #parts: TimeKeeperParts;
  readonly #log: Log;
  #clock: Clock = new Clock('', FLOOR_MS);
  #timer: NodeJS.Timeout | undefined;
  #sinceMs = Date.now();
  #steps = 0;
  #lastStepMs = 0;
  #goodAtMs = 0;
  /** Of an earlier run. */
  #goodBeforeMs = 0;
  #chrony: { atMs: number; evidence: Evidence } = { atMs: -Infinity, evidence: 'unsynced' };

  constructor(parts: TimeKeeperParts, log: Log) {
    this.#parts = parts;
    this.#log = log;
  }

  /** After the journal is open, before anything is taken. */
  start(): void {
    const good = Number(this.#parts.mark(GOOD) ?? 0);
    this.#goodBeforeMs = Number.isFinite(good) ? good : 0;
    this.#clock = new Clock(bootId(), FLOOR_MS, this.#goodBeforeMs);
    const state = this.#parts.mark(STATE);
    if (state !== null) this.#clock.load(state);
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  stamp(lane: string, sequence: number, receivedAtMs: number): Stamp | null {
    return this.#clock.stamp(lane, sequence, receivedAtMs);
  }

  get isTrusted(): boolean {
    return this.#clock.isTrusted;
  }

  /** No time before it is right: the last one that a time server stood behind, or that of the release. */
  get floorMs(): number {
    return Math.max(FLOOR_MS, this.#goodAtMs, this.#goodBeforeMs);
  }

  status(): ClockReport {
    const { trust, stretches } = this.#clock;
    return { trust, sinceMs: this.#sinceMs, steps: this.#steps, lastStepMs: this.#lastStepMs, stretches };
  }

  #look(): void {
    const wallMs = Date.now();
    // Not performance.now(): that begins anew with the process, this with the machine.
    const monotonicMs = Number(process.hrtime.bigint() / 1_000_000n);
    const lanes = this.#parts.lanes();
    const last: LastSequences = Object.fromEntries(lanes.map(({ name, lastSequence }) => [name, lastSequence]));
    const before = this.#clock.trust;
    const { stepMs, changed } = this.#clock.look({ wallMs, monotonicMs, evidence: this.#evidence(), last });
    if (stepMs !== 0) {
      this.#steps++;
      this.#lastStepMs = Math.round(stepMs);
      this.#log.warn({ stepMs: this.#lastStepMs, trust: this.#clock.trust }, 'the clock of the box was set');
    }
    const { trust, isTrusted } = this.#clock;
    if (changed) {
      if (before !== trust) this.#sinceMs = wallMs;
      this.#parts.trusted(isTrusted);
      if (!isTrusted) this.#log.warn({ hint: HINT }, 'the time is not known: nothing expires, and records say so');
      else if (before === 'untrusted')
        this.#log.info({ trust }, 'the time is known: what waits goes up with its right time');
    }
    const cursors = Object.fromEntries(lanes.map(({ name, cursor }) => [name, cursor]));
    const pruned = this.#clock.stretches > 0 && this.#clock.prune(cursors);
    if ((changed && this.#clock.stretches > 0) || pruned) this.#keep(STATE, this.#clock.save());
    if (trust === 'synced' && Math.abs(wallMs - this.#goodAtMs) >= GOOD_MS) {
      this.#goodAtMs = wallMs;
      this.#keep(GOOD, String(wallMs));
    }
  }

  /** Where the disk fails it is known for this run only, and the store says what is wrong. */
  #keep(name: string, value: string): void {
    this.#parts.setMark(name, value).catch(() => undefined);
  }

  #evidence(): Evidence {
    if (existsSync(TIMESYNC_DONE)) return 'synced';
    if (CHRONY.some((path) => existsSync(path))) return this.#askChrony();
    return existsSync(TIMESYNC) ? 'unsynced' : 'none';
  }

  /** The answer of last time; a new one is on its way now and then. */
  #askChrony(): Evidence {
    const nowMs = performance.now();
    if (nowMs - this.#chrony.atMs >= CHRONY_MS) {
      this.#chrony.atMs = nowMs;
      execFile('chronyc', ['-c', 'tracking'], { timeout: 5_000 }, (error, stdout) => {
        // The last field is the leap status: "Not synchronised" until there is a source.
        if (!error) this.#chrony.evidence = /,Not synchronised\s*$/.test(stdout) ? 'unsynced' : 'synced';
        else if ('code' in error && error.code === 'ENOENT') this.#chrony.evidence = 'none';
      });
    }
    return this.#chrony.evidence;
  }
}

const HINT = 'let the box reach a time server (timedatectl, chronyc), or fit a clock with a battery';

function bootId(): string {
  try {
    return readFileSync(BOOT_ID, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
