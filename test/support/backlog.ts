import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { message, openJournal, produce } from './journal.ts';
import { Lifetime } from './scope.ts';

/** Random, so that it is as large on the disk however it is stored; small enough for many batches. */
const PAYLOAD_BYTES = 4_096;
/** In one batch, and so in one commit. */
const AHEAD = 120;
const LANE_BYTES_MAX = 64 * 1024 * 1024 * 1024;

/** A store with a backlog of so many bytes, written by the store's own code: `bytes` of the file, and records. */
export async function makeBacklog(folder: string, bytes: number): Promise<{ bytes: number; records: number }> {
  await using life = new Lifetime();
  const journal = await openJournal(life, { folder, lanes: [{ bytesMax: LANE_BYTES_MAX }] });
  const records = Math.ceil(bytes / PAYLOAD_BYTES);
  const payload = randomBytes(PAYLOAD_BYTES);
  const { refused } = await produce(journal, 0, records, () => message('bench.x', payload), { ahead: AHEAD });
  if (refused[0]) throw refused[0].error;
  await journal.stop();
  return { bytes: statSync(join(folder, 'petiole.db')).size, records };
}
