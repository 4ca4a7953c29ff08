import { cpSync, rmSync } from 'node:fs';
import { connectHub, streamState } from './hub-stream.ts';
import { startNatsServer } from './nats-server.ts';
import { binaryFor, type Procedure } from './procedures.ts';
import type { Scope } from './scope.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

/** A real nats-server that can be put back to what it was. */
export interface RolledBackHub {
  hub: Awaited<ReturnType<typeof startNatsServer>>;
  reader: Awaited<ReturnType<typeof connectHub>>;
  dir: string;
  save(): Promise<void>;
  /** Kills the hub, and starts it on the copy that `save` made. */
  rollBack(): Promise<void>;
}

/** Streams are called T. */
export async function startRolledBackHub(scope: Scope, procedure: Procedure = 'read-back'): Promise<RolledBackHub> {
  const dir = tempDir(scope, 'hub');
  const copy = tempDir(scope, 'copy');
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, dir, ...binaryFor(procedure) });
  const reader = await connectHub(scope, hub.clientUrl);
  return {
    hub,
    reader,
    dir,
    async save() {
      // In order, so that the copy is what its last fsync would have been.
      await hub.stop();
      rmSync(copy, { recursive: true });
      cpSync(dir, copy, { recursive: true });
      await hub.restart();
      await waitFor('the hub', () => streamState(reader, 'T'), { timeoutMs: 20_000 });
    },
    async rollBack() {
      await hub.kill();
      rmSync(dir, { recursive: true });
      cpSync(copy, dir, { recursive: true });
      await hub.restart();
    },
  };
}
