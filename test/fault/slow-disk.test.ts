import assert from 'node:assert/strict';
import { it } from 'node:test';
import { tempDir } from '../support/temp.ts';
import { onSlowDisk, quantile } from './slow-disk.ts';

/**
 * Goal: a card that takes 400 ms for each fsync stalls nobody but who waits for it. Method: the real box on a slowed disk,
 * under QoS 1 load; PINGRESPs and live messages are timed meanwhile, and the durable ones counted by commit. The figures
 * at length: `npm run bench -- --only slow-disk`.
 */

const SYNC_MS = 400;

it('a disk of 400 ms per fsync delays neither pings nor live messages, and its commits grow instead', async (scope) => {
  const result = await onSlowDisk(scope, tempDir(scope, 'slow'), { syncMs: SYNC_MS, samples: 60 });
  const { pingsMs, livesMs, acknowledged, commits } = result;
  const figures = [pingsMs, livesMs].map(
    (times) => `p50 ${quantile(times, 0.5).toFixed(1)}, p99 ${quantile(times, 0.99).toFixed(1)} ms`,
  );
  scope.diagnostic(`PINGRESP ${figures[0]}; live ${figures[1]}; ${acknowledged} durable in ${commits} commits`);
  // Whoever waited for the disk would have waited for most of an fsync each time. The figures above are for people.
  assert((pingsMs[0] ?? SYNC_MS) < SYNC_MS / 4, figures[0]);
  assert((livesMs[0] ?? SYNC_MS) < SYNC_MS / 4, figures[1]);
  assert(acknowledged / commits > 20, `${acknowledged} in ${commits} commits: one fsync serves many`);
});
