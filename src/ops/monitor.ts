import { readFileSync } from 'node:fs';
import { describeError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { HealthSample } from './api.ts';
import { type Figures, HistoryKeeper, type HistoryStore } from './history.ts';
import { Host, type Lifetime } from './host.ts';

/** Every ten seconds: a plot of an hour has 360 points, and a Pi spends less than a thousandth of a core. */
const SAMPLE_MS = 10_000;
/** Under this name the store keeps how the last run went. */
const RUN_MARK = 'run';

/** What a sample is completed with from the parts of the box. */
export type OwnFigures = Pick<Figures, 'depth' | 'rateInPerS' | 'rateOutPerS' | 'fsyncP99Ms' | 'rttMs' | 'linkUp'>;

export interface MonitorParts extends HistoryStore {
  /** On the disk of the journal. */
  readonly folder: string;
  readonly figures: () => OwnFigures;
  readonly mark: (name: string) => string | null;
  readonly setMark: (name: string, value: string) => Promise<void>;
  readonly log: Log;
}

interface Run {
  readonly boot: string;
  readonly starts: number;
  readonly endedAtMs: number | null;
}

/** Looks at the machine and at the box every ten seconds, and keeps what it saw. */
export class Monitor {
  readonly #parts: MonitorParts;
  readonly #host: Host;
  readonly #history: HistoryKeeper;
  #lifetime: Lifetime = { restarts: 0, resetReason: '' };
  #latest: HealthSample | null = null;
  #timer: NodeJS.Timeout | undefined;
  #sampling: Promise<void> | null = null;
  #heard: ((sample: HealthSample) => void) | null = null;
  #failures = 0;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
    this.#host = new Host(parts.folder);
    this.#history = new HistoryKeeper(parts);
  }

  get latest(): HealthSample | null {
    return this.#latest;
  }

  get history(): HistoryKeeper {
    return this.#history;
  }

  /** Calls back with each sample; null ends it. */
  hear(heard: ((sample: HealthSample) => void) | null): void {
    this.#heard = heard;
  }

  /** The last sample; where there is none yet, one is taken. */
  async sample(): Promise<HealthSample | null> {
    if (this.#latest === null) await this.#sample();
    return this.#latest;
  }

  async start(): Promise<void> {
    this.#lifetime = this.#begin();
    // Not a cron task: one that has seen the clock jump by years makes up for each time that it missed.
    this.#timer = setInterval(() => void this.#sample(), SAMPLE_MS);
  }

  /** Writes what has gathered, and that the run has ended in order. */
  async stop(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#sampling;
    this.#history.keep(performance.now());
    await this.#end();
  }

  /** How often the box has started on this store, and why it did this time. */
  #begin(): Lifetime {
    const boot = bootId();
    const last = parsed(this.#parts.mark(RUN_MARK));
    const starts = (last?.starts ?? 0) + 1;
    void this.#note({ boot, starts, endedAtMs: null });
    return { restarts: starts - 1, resetReason: reasonOf(last, boot) };
  }

  async #end(): Promise<void> {
    const starts = this.#lifetime.restarts + 1;
    await this.#note({ boot: bootId(), starts, endedAtMs: Date.now() });
  }

  #note(run: Run): Promise<void> {
    // A disk that takes nothing is told of by the journal.
    return this.#parts.setMark(RUN_MARK, JSON.stringify(run)).catch(() => undefined);
  }

  #sample(): Promise<void> {
    this.#sampling ??= this.#take().finally(() => {
      this.#sampling = null;
    });
    return this.#sampling;
  }

  async #take(): Promise<void> {
    try {
      const sample = await this.#host.sample(this.#lifetime);
      this.#latest = sample;
      this.#history.add(sample.atMs, performance.now(), {
        cpuShare: sample.cpuShare,
        memoryUsedBytes: sample.memoryBytes - sample.memoryAvailableBytes,
        rssBytes: sample.rssBytes,
        temperatureC: sample.temperatureC,
        diskFreeBytes: sample.diskFreeBytes,
        ...this.#parts.figures(),
      });
      this.#heard?.(sample);
    } catch (error) {
      // One line, not one every ten seconds, while the same thing goes on failing.
      if (this.#failures++ === 0) this.#parts.log.warn(describeError(error), 'the machine could not be looked at');
    }
  }
}

/** Another one for each start of the machine. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

function reasonOf(last: Run | null, boot: string): string {
  if (last === null) return 'the first start on this store';
  const isSameBoot = last.boot === boot;
  if (last.endedAtMs !== null) return isSameBoot ? 'the program was restarted' : 'the machine was restarted in order';
  return isSameBoot ? 'the program was killed or crashed' : 'the machine lost power, or stopped without warning';
}

function parsed(text: string | null): Run | null {
  try {
    const run = JSON.parse(text ?? 'null');
    return typeof run?.starts === 'number' && typeof run.boot === 'string' ? run : null;
  } catch {
    return null;
  }
}
