import type { StatusFrame } from './api.ts';
import type { Snapshot } from './snapshot.ts';
import { summary } from './summary.ts';
import { toneOf } from './view.ts';

/** A snapshot serves everybody who asks within this time, however many they are. A timer of 1 s may fire a bit early. */
export const SNAPSHOT_AGE_MAX_MS = 990;

interface Latest {
  readonly snapshot: Snapshot;
  readonly atMs: number;
  json: string | null;
}

/** Takes snapshots for those who look: one a second at most, none while nobody does, and holds none after `forget`. */
export class Look {
  readonly #take: () => Snapshot;
  #latest: Latest | null = null;

  constructor(take: () => Snapshot) {
    this.#take = take;
  }

  /** `nowMs` from a clock that doesn't jump. */
  snapshot(nowMs: number): Snapshot {
    return this.#look(nowMs).snapshot;
  }

  /** The same as text; written out once for all who ask. */
  json(nowMs: number): string {
    const latest = this.#look(nowMs);
    latest.json ??= `${JSON.stringify(latest.snapshot)}\n`;
    return latest.json;
  }

  frame(nowMs: number, trial: StatusFrame['trial']): StatusFrame {
    const snapshot = this.snapshot(nowMs);
    const { mqtt, nats, serial } = snapshot;
    return {
      snapshot: { ...snapshot, mqtt: { ...mqtt, clients: [] }, nats: { ...nats, clients: [] } },
      clients: { mqtt: mqtt.clients.length, nats: nats.clients.length, serial: serial.length },
      sentence: summary(snapshot),
      tone: toneOf(snapshot.problems),
      trial,
    };
  }

  /** Called when the last viewer has gone: what it held is of no use to the next one. */
  forget(): void {
    this.#latest = null;
  }

  #look(nowMs: number): Latest {
    if (this.#latest !== null && nowMs - this.#latest.atMs < SNAPSHOT_AGE_MAX_MS) return this.#latest;
    const latest = { snapshot: this.#take(), atMs: nowMs, json: null };
    this.#latest = latest;
    return latest;
  }
}
