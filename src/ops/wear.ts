import { readFileSync } from 'node:fs';

/**
 * What the box writes to its card: flash wears out by bytes and by commits. The kernel counts the bytes that this process
 * has had written to storage, of the journal and of everything else; the journal counts its commits, each of which is one
 * fsync of the log (a checkpoint adds two for some thousand pages).
 */

const HOUR_MS = 3_600_000;
const HOURS = 24;
/** Of a span this share must have been seen, or what is said of it is a guess: a minute of an hour, 24 minutes of a day. */
const SEEN_SHARE_MIN = 1 / 60;
const IO = '/proc/self/io';

export interface WearReport {
  /** Since the box started. */
  bytesWritten: number;
  commits: number;
  /**
   * Over the last hour and the last day, or since the start where that is shorter: scaled to the whole span. null where too
   * little of it has been seen.
   */
  bytesPerHour: number | null;
  bytesPerDay: number | null;
  commitsPerHour: number | null;
  commitsPerDay: number | null;
  /** null where no endurance is configured, or too little has been seen. */
  cardLifeDays: number | null;
}

interface Sample {
  atMs: number;
  bytes: number;
  commits: number;
}

export class Wear {
  readonly #enduranceBytes: number;
  readonly #commits: () => number;
  readonly #bytes: () => number;
  /** One an hour, and the first; oldest first. */
  #samples: Sample[] = [];

  /** `enduranceBytes` 0: not known. `bytes` is for tests. */
  constructor(enduranceBytes: number, commits: () => number, bytes: () => number = bytesWritten) {
    this.#enduranceBytes = enduranceBytes;
    this.#commits = commits;
    this.#bytes = bytes;
  }

  /** Call every second or two; `nowMs` from a clock that doesn't jump. */
  sample(nowMs: number): void {
    const last = this.#samples.at(-1);
    if (last && nowMs - last.atMs < HOUR_MS / 4) return;
    this.#samples.push(this.#now(nowMs));
    // Quarters of an hour, so that "the last hour" is at most a quarter off.
    if (this.#samples.length > HOURS * 4 + 1) this.#samples.shift();
  }

  status(nowMs: number): WearReport {
    const now = this.#now(nowMs);
    const hour = this.#rate(now, HOUR_MS);
    const day = this.#rate(now, HOURS * HOUR_MS);
    const bytesPerDay = day?.bytes ?? null;
    return {
      bytesWritten: now.bytes,
      commits: now.commits,
      bytesPerHour: hour?.bytes ?? null,
      bytesPerDay,
      commitsPerHour: hour?.commits ?? null,
      commitsPerDay: day?.commits ?? null,
      cardLifeDays: this.#enduranceBytes > 0 && bytesPerDay ? Math.round(this.#enduranceBytes / bytesPerDay) : null,
    };
  }

  #now(atMs: number): Sample {
    return { atMs, bytes: this.#bytes(), commits: this.#commits() };
  }

  /** What a span of this length takes, by what was seen of it; null where that was too little. */
  #rate(now: Sample, spanMs: number): { bytes: number; commits: number } | null {
    const since = this.#samples.find(({ atMs }) => now.atMs - atMs <= spanMs + HOUR_MS / 4);
    const elapsedMs = since ? now.atMs - since.atMs : 0;
    if (!since || elapsedMs < spanMs * SEEN_SHARE_MIN) return null;
    const scale = spanMs / elapsedMs;
    return {
      bytes: Math.round((now.bytes - since.bytes) * scale),
      commits: Math.round((now.commits - since.commits) * scale),
    };
  }
}

/** Of this process, all its threads; 0 where the kernel does not count. */
function bytesWritten(): number {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(IO, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
