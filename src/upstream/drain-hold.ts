import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { Windows } from '../core/windows.ts';

/**
 * When lanes may send: an operator may pause them, and the configuration may give hours in which the link may be used.
 * A lane that is held goes on taking messages; what it holds stays on the disk.
 */

/** Longest pause that ends by itself. */
export const PAUSE_MAX_MS = 7 * 24 * 3_600_000;

export interface HoursOptions {
  /** Cron expressions of five fields, by the box's local time: the link may be used in every minute that one matches. */
  readonly windows: readonly string[];
  /** Lanes of this priority and above (1 is the highest) may use it at any time; 0: none. */
  readonly overridePriority: number;
}

interface Pause {
  readonly sinceMs: number;
  /** Monotonic; Infinity until somebody resumes. */
  readonly untilMs: number;
  readonly by: string;
}

export interface HoldStatus {
  /** By lane; the key '*' holds all. */
  paused: { lane: string; sinceMs: number; by: string; leftMs: number | null }[];
  windows: readonly string[];
  /** False outside all windows; true where there are none. */
  windowOpen: boolean;
}

export class DrainHold {
  readonly #hours: HoursOptions;
  readonly #log: Log;
  readonly #changed: () => void;
  readonly #windows: Windows;
  #windowOpen = true;
  readonly #pauses = new Map<string, Pause>();

  /** `changed`: somebody may send again. */
  constructor(hours: HoursOptions, log: Log, changed: () => void) {
    this.#hours = hours;
    this.#windows = new Windows(hours.windows);
    this.#log = log;
    this.#changed = changed;
  }

  async start(): Promise<void> {
    await this.#windows.start();
    this.#windowOpen = this.#windows.isOpen(new Date());
  }

  /** Called a few times a second. */
  tick(wall: Date, nowMs: number): void {
    for (const [lane, { untilMs }] of this.#pauses) {
      if (untilMs <= nowMs) this.#end([lane], 'the time given with the pause is up');
    }
    const open = this.#windows.isOpen(wall);
    if (open === this.#windowOpen) return;
    this.#windowOpen = open;
    this.#log.info({ windows: this.#hours.windows }, open ? 'drain window opens' : 'drain window closes');
    if (open) this.#changed();
  }

  /** `lane` '*' for all. `forMs` 0: until somebody resumes, or the box restarts. */
  pause(lane: string, by: string, forMs: number, nowMs: number): void {
    const untilMs = forMs > 0 ? nowMs + Math.min(forMs, PAUSE_MAX_MS) : Infinity;
    this.#pauses.set(lane, { sinceMs: Date.now(), untilMs, by });
    this.#log.warn({ lane, by, forMs }, 'drain paused');
  }

  /** '*' takes back every pause. */
  resume(lane: string, by: string): void {
    this.#end(lane === '*' ? [...this.#pauses.keys()] : [lane], by);
  }

  #end(lanes: readonly string[], by: string): void {
    for (const name of lanes) if (this.#pauses.delete(name)) this.#log.info({ lane: name, by }, 'drain resumed');
    this.#changed();
  }

  /** Why a lane may not send now, null where it may. */
  reason(lane: string, priority: number): GatewayError | null {
    const pause = this.#pauses.get('*') ?? this.#pauses.get(lane);
    if (pause) {
      return new GatewayError('paused', `paused by ${pause.by}`, { hint: 'petiole drain resume lets it go on' });
    }
    if (this.#windowOpen || priority <= this.#hours.overridePriority) return null;
    return new GatewayError('paused', `outside the drain windows (${this.#hours.windows.join('; ')})`, {
      hint: 'it goes on by itself; upstream.drain.override_priority lets important lanes go at any time',
    });
  }

  /** The same as `reason` without a word, for the hot path. */
  isOpen(lane: string, priority: number): boolean {
    if (this.#pauses.size > 0 && (this.#pauses.has('*') || this.#pauses.has(lane))) return false;
    return this.#windowOpen || priority <= this.#hours.overridePriority;
  }

  status(nowMs: number): HoldStatus {
    return {
      paused: [...this.#pauses].map(([lane, { sinceMs, untilMs, by }]) => ({
        lane,
        sinceMs,
        by,
        leftMs: untilMs === Infinity ? null : Math.max(0, Math.round(untilMs - nowMs)),
      })),
      windows: this.#hours.windows,
      windowOpen: this.#windowOpen,
    };
  }
}
