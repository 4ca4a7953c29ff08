/**
 * The core of the suite on an emulated arm64: `npm run test:arm64`. The unit tests (every parser, framer and decision of
 * the box) and the journal with its native addon, in one emulated process, since the emulator can't start others.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { arm64 } from './arm64.ts';

const CLONE = join(import.meta.dirname, '../..');
/** They start programs of this machine's architecture, or read the sources with a compiler of it. */
const NOT_HERE = /import-rule|config-check-command|upstream-sessions|readme|page-build/;

const machine = arm64(join(CLONE, '.cache'));
if (machine === null) throw new Error('no Node for arm64: neither Debian nor npm can be reached');
const { emulator, sysroot, node } = machine;
const files = globSync('test/unit/*.test.ts', { cwd: CLONE }).filter((file) => !NOT_HERE.test(file));
const args = ['-L', sysroot, node, '--test', '--test-isolation=none', '--test-reporter=spec', ...files];
const { status } = spawnSync(emulator, args, { cwd: CLONE, stdio: 'inherit' });
process.exitCode = status ?? 1;
