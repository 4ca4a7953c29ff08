/**
 * `npm run soak:serial`: plugs of serial devices that are pulled and put back.
 *
 *   --cycles N   1000, over all ports
 *   --ports N    20
 *
 * Exit 0: each came back and was heard, no descriptor is left, and the memory is flat. 1: not so.
 */
import { parseArgs } from 'node:util';
import { Lifetime } from '../support/scope.ts';
import { pullPlugs } from '../support/serial-plugs.ts';
import { slopeOf } from './soak-slope.ts';

/** A port's buffers and one line left behind each time would be 10 KiB. */
const LEAK_KIB_MAX = 4;

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '1000' }, ports: { type: 'string', default: '20' } },
});
const ports = Number(values.ports);
const rounds = Math.ceil(Number(values.cycles) / ports);
await using life = new Lifetime();
const { cycles, descriptors, memory } = await pullPlugs(life, { ports, cycles: rounds }, (round) => {
  if (round % 10 === 0) console.error(`serial-soak: ${round * ports} of ${rounds * ports}`);
});
// The first half is the heap that finds its size.
const later = memory.slice(memory.length >> 1).map((mib, index): [number, number] => [index * ports, mib * 1024]);
const kibPerCycle = slopeOf(later);
console.log(`${cycles} cycles on ${ports} ports, each heard again`);
console.log(`descriptors: ${descriptors.before} before, ${descriptors.after} after`);
console.log(
  `memory: ${memory[0]?.toFixed(1)} MiB at first, ${memory.at(-1)?.toFixed(1)} at last; ${kibPerCycle.toFixed(2)} KiB a cycle`,
);
if (descriptors.after > descriptors.before || kibPerCycle > LEAK_KIB_MAX) process.exitCode = 1;
