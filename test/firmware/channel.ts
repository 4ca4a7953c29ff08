import { join } from 'node:path';
import { run, SOURCES } from '../support/firmware-build.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/** `npm run soak:channel [FRAMES [SEED]]`: the channel of channel.c for 10 million frames. */
const [frames = '10000000', seed = '1'] = process.argv.slice(2);
await using lifetime = new Lifetime();
const program = join(tempDir(lifetime, 'channel'), 'channel');
run('gcc', '-std=c99', '-O2', join(import.meta.dirname, 'channel.c'), ...SOURCES, '-o', program);
console.log(run(program, frames, seed).trim());
