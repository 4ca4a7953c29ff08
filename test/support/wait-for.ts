import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Deadline; the default is far beyond what a healthy condition needs, so a busy machine does not fail a test. */
  timeoutMs?: number;
  intervalMs?: number;
}

/**
 * Resolves with the first truthy value of `probe`; a probe that throws counts as "not yet". At the deadline it rejects
 * with `what` and the last error or value seen.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 20_000, intervalMs = 10 } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const seen = last instanceof Error ? last.message : String(last);
      throw new Error(`waited ${timeoutMs} ms for ${what}; last seen: ${seen}`, { cause: last });
    }
    await sleep(intervalMs);
  }
}
