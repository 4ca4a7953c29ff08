import assert from 'node:assert/strict';
import { closeSync, cpSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import Database from 'better-sqlite3';
import { connectHub } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, laneFor, procedures } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { assertExactly, readNumbers } from '../support/sent-numbers.ts';
import { tempDir } from '../support/temp.ts';
import { startUplink } from '../support/uplink.ts';

/**
 * Goal: a box whose store was damaged sends again nothing that the hub has, though records have another identity now.
 * Method: the folder of a box whose cursor on the disk is far behind, with its first page overwritten, several times over.
 */

/** What a killed box leaves whose cursor on the disk is far behind, with a file that can't be opened. */
function damagedCopy(scope: Scope, folder: string): string {
  const left = tempDir(scope, 'left');
  cpSync(folder, left, { recursive: true });
  const db = new Database(join(left, 'petiole.db'));
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  rmSync(join(left, 'petiole.running'), { force: true });
  const handle = openSync(join(left, 'petiole.db'), 'r+');
  writeSync(handle, 'no store', 0);
  closeSync(handle);
  return left;
}

for (const procedure of procedures) {
  it(`a salvaged store sends nothing again that the hub has by its old identity, by ${procedure}`, async (scope) => {
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, ...binaryFor(procedure) });
    const client = await connectHub(scope, hub.clientUrl);
    await createStreamFor(procedure, client, 'T', ['t.>'], { duplicate_window: 100_000_000 });
    const options = { leafUrl: hub.leafUrl, lanes: [laneFor(procedure)], keepMs: 600_000 };
    let folder = tempDir(scope, 'first');
    const epochs = new Set<string>();
    for (let run = 0; run < 3; run++) {
      const uplink = await startUplink(scope, { ...options, folder });
      epochs.add(uplink.journal.epoch);
      await uplink.drained();
      await uplink.produce(500, 't.a', { first: 1 + run * 500 });
      await uplink.drained();
      folder = damagedCopy(scope, folder);
      await uplink.stop();
    }
    assert.equal(epochs.size, 3);
    assertExactly(await readNumbers(client, 'T'), 1_500);
  });
}
