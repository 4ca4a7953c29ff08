import { join } from 'node:path';
import { BRIDGE, run, SOURCES } from '../support/firmware-build.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/** `npm run fuzz:bridge [SECONDS]`: libFuzzer on the board's side, with sanitizers; an input that fails is written here. */
const [seconds = '600'] = process.argv.slice(2);
await using lifetime = new Lifetime();
const program = join(tempDir(lifetime, 'fuzz'), 'receive');
const flags = ['-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'];
const sources = SOURCES.filter((source) => !/beacon|sha256/.test(source));
run('clang', ...flags, join(BRIDGE, 'fuzz', 'receive.c'), ...sources, '-o', program);
run(program, `-max_total_time=${seconds}`, '-max_len=600');
console.log(`${seconds} s, and nothing found`);
