import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { makeBacklog } from '../support/backlog.ts';
import { type BoxOptions, startBox } from '../support/box.ts';
import { changeBuild } from '../support/broken-build.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/**
 * Goal: a box with gigabytes waiting listens as soon as one without. Method: not the time but the bytes that a start reads:
 * they must not grow with the store. The time with 2 GiB: `npm run bench -- --only start`.
 */

const MIB = 1024 * 1024;
const LANES = [{ name: 'default', subjects: ['>'], max_bytes: '64GiB', replies: 'pass' }];

/** Bytes that a box had read, from the disk or from memory, when it listened; stops it. */
async function readAtStart(scope: Scope, options: BoxOptions): Promise<number> {
  const box = await startBox(scope, options);
  const [, bytes] = /^rchar: (\d+)/m.exec(readFileSync(`/proc/${box.pid}/io`, 'utf8')) ?? [];
  await box.stop();
  return Number(bytes);
}

it('a start does not read the backlog', async (scope) => {
  const dataDir = tempDir(scope, 'backlog');
  const { bytes, records } = await makeBacklog(dataDir, 96 * MIB);
  const config = { lanes: LANES };
  const without = await readAtStart(scope, { config });
  const first = await readAtStart(scope, { config, dataDir });
  // It knows all of it nevertheless.
  const box = await startBox(scope, { config, dataDir });
  assert.equal((await box.status()).lanes[0].depth, records);
  await box.kill9();
  const afterKill = await readAtStart(scope, { config, dataDir });
  const figures = [without, first, afterKill].map((read) => `${(read / MIB).toFixed(1)}`);
  scope.diagnostic(`${(bytes / MIB).toFixed(0)} MiB; MiB read without, with, after a kill: ${figures.join(', ')}`);
  const checked = changeBuild(scope, 'checked', {
    file: 'store/database.js',
    line: 'if (size > 0 && size <= CHECKED_BYTES_MAX) {',
    instead: '{',
  });
  const wholly = await readAtStart(scope, { config, dataDir, dist: checked });
  assert(wholly - without > bytes / 2, 'a build that checks every page is seen');
  for (const read of [first, afterKill]) assert(read - without < bytes / 10, `${read - without} of ${bytes} bytes`);
});
