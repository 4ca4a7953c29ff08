import { writeSync } from 'node:fs';
import { message } from './journal.ts';
import { Uplink, type UplinkProcessOptions } from './uplink.ts';

/**
 * A box that exists to be killed: appends numbered records for ever and says on stdout, once they are committed, up to
 * which number that is the case. Run with the JSON of the options; `first` is the first number, `leafUrl` '' for no link.
 *
 *     lost 0          records behind the cursor at the start
 *     acked 1234
 *     spared 1000     of them at the hub alone; with the flash saver
 */
const {
  first,
  limitPerTurn,
  behindMax = Infinity,
  ...options
} = JSON.parse(process.argv[2] ?? '') as UplinkProcessOptions;
const uplink = new Uplink({ ...options, leafUrl: options.leafUrl || 'nats://127.0.0.1:1' });
await uplink.start({ linked: options.leafUrl !== '' });

let next = first;
let acked = first - 1;
let told = acked;
const receipt = {
  accepted(n: number) {
    if (n !== acked + 1) writeSync(1, `disorder ${n} after ${acked}\n`);
    acked = n;
  },
  refused(n: number, error: Error) {
    writeSync(1, `refused ${n} ${error.message}\n`);
  },
};
function turn(): void {
  const isBehind = behindMax < Infinity && (uplink.journal.status().lanes[0]?.depth ?? 0) > behindMax;
  for (let i = 0; i < limitPerTurn && next - acked < 2_000 && !isBehind; i++) {
    const n = next++;
    uplink.journal.append(0, message(`t.${n % 10}`, String(n)), receipt, n, 0);
  }
  if (acked > told) {
    told = acked;
    writeSync(1, `acked ${acked}\n`);
    const { saver } = uplink.journal.status();
    if (saver) writeSync(1, `spared ${saver.spared}\n`);
  }
  setTimeout(turn, 1);
}
turn();
