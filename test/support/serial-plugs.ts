import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readUsage } from '../bench/process-meter.ts';
import { startBox } from './box.ts';
import type { Scope } from './scope.ts';
import { plugDevice } from './serial-device.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

export interface PlugRun {
  /** How often a plug was pulled and put back, and a message came after it. */
  readonly cycles: number;
  /** Of the box, with all ports open, before the first and after the last. */
  readonly descriptors: { readonly before: number; readonly after: number };
  /** Resident memory in MiB, once a round. */
  readonly memory: readonly number[];
}

const TIMEOUT_MS = 60_000;

/** Pulls the plugs of all devices at once and puts them back, so many times. */
export async function pullPlugs(
  scope: Scope,
  { ports, cycles }: { ports: number; cycles: number },
  told: (round: number) => void = () => undefined,
): Promise<PlugRun> {
  const dir = tempDir(scope, 'plugs');
  const devices = await Promise.all(
    Array.from({ length: ports }, (_, index) => plugDevice(scope, join(dir, `tty${index}`))),
  );
  const serial = devices.map(({ path }, index) => ({ name: `p${index}`, port: path, subject: `p.${index}` }));
  const box = await startBox(scope, { config: { serial } });
  // biome-ignore lint/suspicious/noExplicitAny: the rows of /status.json
  const rows = async (): Promise<any[]> => (await box.status()).serial;
  const all = (what: string, test: (row: { state: string; messagesIn: number }) => boolean): Promise<unknown> =>
    waitFor(what, async () => (await rows()).every(test), { timeoutMs: TIMEOUT_MS });
  const descriptors = (): number =>
    readdirSync(`/proc/${box.pid}/fd`, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink()).length;
  await all('the ports to open', ({ state }) => state === 'open');
  // Connections of the status page come and go: counted where they are the same.
  await box.status();
  const before = descriptors();
  const memory: number[] = [];
  for (let round = 1; round <= cycles; round++) {
    await Promise.all(devices.map((device) => device.unplug()));
    await all('the loss', ({ state }) => state !== 'open');
    await Promise.all(devices.map((device) => device.plug()));
    await all('the ports to open again', ({ state }) => state === 'open');
    await Promise.all(devices.map((device) => device.send('hello\n')));
    await all('a message of each', ({ messagesIn }) => messagesIn === round);
    memory.push(readUsage(box.pid).residentMiB);
    told(round);
  }
  await waitFor('the descriptors of the last round to be closed', () => descriptors() <= before).catch(() => undefined);
  return { cycles: ports * cycles, descriptors: { before, after: descriptors() }, memory };
}
