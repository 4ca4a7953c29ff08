/**
 * What the box knows of the time. A Pi has no battery clock: it may begin in 1970, or where it was switched off, and jump
 * when a time server is reached. The monotonic clock never jumps, so the difference of the two (the base) is constant as
 * long as nobody sets the wall clock, and what was stamped by a wrong clock can be put right once a right one is known.
 *
 *   untrusted ── a time server says so, or nothing speaks against it ──▶ trusted ── a step of hours ──▶ untrusted
 *   └─ stretch: records stamped by one base ─┘ their offset = trusted base − base of the stretch
 */

/** synced: a time server stands behind it. assumed: nothing speaks for or against it. */
export type Trust = 'synced' | 'assumed' | 'untrusted';

/** What the system says of its time service: none where there is none to ask. */
export type Evidence = 'synced' | 'unsynced' | 'none';

/** Smaller differences are the slewing of a time service and the jitter of reading two clocks. */
const STEP_MS = 2_000;
/** A larger step that no time service stands behind is a mistake of somebody's until the contrary is known. */
const STEP_TRUSTED_MS = 3_600_000;
/** Stretches that are remembered: each boot without a time server and each step makes one. */
const STRETCHES_MAX = 64;

/** Records of each lane from `first` on, to `last` where it has ended, stamped by one base. */
interface Stretch {
  readonly boot: string;
  readonly baseMs: number;
  readonly first: { readonly [lane: string]: number };
  last: { readonly [lane: string]: number } | null;
  /**
   * What a clock of this base can have said meanwhile. The clock may have been set at any moment between two looks, so the
   * numbers reach a look too far on both sides, and the stamp itself tells by which base it was made.
   */
  readonly fromMs: number;
  /** Null: there is no end yet. */
  toMs: number | null;
  /** What must be added to the stamps; null while nobody knows. */
  offsetMs: number | null;
}

export interface Stamp {
  readonly ms: number;
  readonly quality: 'restamped' | 'untrusted';
}

/** Last sequence given, by lane. */
export type LastSequences = { readonly [lane: string]: number };

export interface Look {
  wallMs: number;
  monotonicMs: number;
  evidence: Evidence;
  last: LastSequences;
}

export class Clock {
  readonly #boot: string;
  readonly #floorMs: number;
  readonly #goodMs: number;
  #trust: Trust | null = null;
  #baseMs = 0;
  #trustedBaseMs: number | null = null;
  #stretches: Stretch[] = [];
  /** As of the look before. */
  #seen: { last: LastSequences; monotonicMs: number } | null = null;

  /**
   * `boot`: identity of this start of the machine. Before `floorMs` no clock is right, nor before `goodMs`, when a time
   * server last stood behind it, unless one does so again.
   */
  constructor(boot: string, floorMs: number, goodMs = 0) {
    this.#boot = boot;
    this.#floorMs = floorMs;
    this.#goodMs = goodMs;
  }

  get trust(): Trust {
    return this.#trust ?? 'untrusted';
  }

  get isTrusted(): boolean {
    return this.trust !== 'untrusted';
  }

  /** What an earlier run kept; text that makes no sense is as good as none. */
  load(text: string): void {
    try {
      const { stretches, boot, trustedBaseMs } = JSON.parse(text) as { [field: string]: unknown };
      if (!Array.isArray(stretches)) return;
      this.#stretches = (stretches as Stretch[]).slice(-STRETCHES_MAX);
      // In the same boot the monotonic clock has gone on.
      if (boot === this.#boot && typeof trustedBaseMs === 'number') this.#trustedBaseMs = trustedBaseMs;
    } catch {
      // The store has checked its bytes: this was another release.
    }
  }

  save(): string {
    return JSON.stringify({ boot: this.#boot, trustedBaseMs: this.#trustedBaseMs, stretches: this.#stretches });
  }

  /**
   * Looks at both clocks, every second or so; says by how much the wall clock was set since the last look (0: it was not)
   * and whether anything is to be saved.
   */
  look({ wallMs, monotonicMs, evidence, last }: Look): { stepMs: number; changed: boolean } {
    const baseMs = wallMs - monotonicMs;
    const isFirst = this.#trust === null;
    const moved = baseMs - this.#baseMs;
    const stepMs = !isFirst && Math.abs(moved) >= STEP_MS ? moved : 0;
    const trust = this.#judge(wallMs, baseMs, stepMs, evidence);
    const begins = trust === 'untrusted' && (this.trust !== 'untrusted' || stepMs !== 0 || isFirst);
    const before = this.#trust;
    if ((this.#trust === 'untrusted' || isFirst) && (trust !== 'untrusted' || begins))
      this.#endStretch(last, monotonicMs);
    this.#trust = trust;
    // Without a step it follows the slewing, so that many small differences do not add up to one.
    this.#baseMs = baseMs;
    const seen = this.#seen ?? { last, monotonicMs };
    if (begins) this.#beginStretch(baseMs, seen.last, seen.monotonicMs);
    this.#seen = { last, monotonicMs };
    if (trust !== 'untrusted') this.#know(baseMs);
    return { stepMs, changed: before !== trust || begins };
  }

  #judge(wallMs: number, baseMs: number, stepMs: number, evidence: Evidence): Trust {
    if (wallMs < this.#floorMs) return 'untrusted';
    if (evidence === 'synced') return 'synced';
    if (wallMs < this.#goodMs) return 'untrusted';
    // Back where it was when it was right.
    if (this.#trustedBaseMs !== null && Math.abs(baseMs - this.#trustedBaseMs) < STEP_MS) return 'assumed';
    // It was set by hours while it was thought right; from a clock that was known to be wrong it is the cure.
    if (this.isTrusted && Math.abs(stepMs) >= STEP_TRUSTED_MS) return 'untrusted';
    if (this.#trust === 'untrusted' && stepMs === 0) return 'untrusted';
    if (this.#trust === 'untrusted' && this.#trustedBaseMs !== null) return 'untrusted';
    return evidence === 'unsynced' ? 'untrusted' : 'assumed';
  }

  #beginStretch(baseMs: number, last: LastSequences, monotonicMs: number): void {
    const first = Object.fromEntries(Object.entries(last).map(([lane, sequence]) => [lane, sequence + 1]));
    const fromMs = baseMs + monotonicMs - STEP_MS;
    this.#stretches.push({ boot: this.#boot, baseMs, first, last: null, fromMs, toMs: null, offsetMs: null });
    if (this.#stretches.length > STRETCHES_MAX) this.#stretches.shift();
  }

  #endStretch(last: LastSequences, monotonicMs: number): void {
    for (const stretch of this.#stretches) {
      if (stretch.last !== null) continue;
      stretch.last = { ...last };
      // One that another boot left open ended nobody knows when.
      if (stretch.boot === this.#boot) stretch.toMs = stretch.baseMs + monotonicMs + STEP_MS;
    }
  }

  /** The right base of this boot: what was stamped by others can be put right. */
  #know(baseMs: number): void {
    this.#trustedBaseMs = baseMs;
    for (const stretch of this.#stretches) {
      if (stretch.boot === this.#boot) stretch.offsetMs ??= Math.round(baseMs - stretch.baseMs);
    }
  }

  /** When the record came in, as well as that is known now; null where its own stamp is right. */
  stamp(lane: string, sequence: number, receivedAtMs: number): Stamp | null {
    for (const { first, last, fromMs, toMs, offsetMs } of this.#stretches) {
      const from = first[lane] ?? 1;
      const to = last === null ? Infinity : (last[lane] ?? 0);
      if (sequence < from || sequence > to || receivedAtMs < fromMs || receivedAtMs > (toMs ?? Infinity)) continue;
      if (offsetMs === null) return { ms: receivedAtMs, quality: 'untrusted' };
      return { ms: receivedAtMs + offsetMs, quality: 'restamped' };
    }
    return null;
  }

  /** Forgets the stretches whose records have all gone up. True where there were any. */
  prune(cursors: LastSequences): boolean {
    const kept = this.#stretches.filter(
      ({ last }) => last === null || Object.entries(last).some(([lane, sequence]) => sequence > (cursors[lane] ?? 0)),
    );
    const pruned = kept.length < this.#stretches.length;
    this.#stretches = kept;
    return pruned;
  }

  /** Stretches of records whose time is not known, or was put right afterwards. */
  get stretches(): number {
    return this.#stretches.length;
  }
}
