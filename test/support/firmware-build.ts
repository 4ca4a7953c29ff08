import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const BRIDGE = join(import.meta.dirname, '../../firmware-bridge');
export const SOURCES = readdirSync(join(BRIDGE, 'src'))
  .filter((name) => name.endsWith('.c'))
  .map((name) => join(BRIDGE, 'src', name));

/** What every compiler is asked for: the library gives no warning. */
export const STRICT = ['-std=c99', '-Wall', '-Wextra', '-Wconversion', '-Werror', '-pedantic'];

/** What a program said and how it ended; throws where it ended badly. */
export function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\nended with ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** Targets of firmware-bridge/Makefile; gives the folder of what was built. */
export function make(...targets: string[]): string {
  run('make', '-s', '-C', BRIDGE, ...targets);
  return join(BRIDGE, 'build');
}

/** Bytes of code and constants, initial values, and cleared memory of an object file or program. */
export function sizeOf(tool: string, file: string): { text: number; data: number; bss: number } {
  const [text = 0, data = 0, bss = 0] = (run(tool, file).split('\n')[1] ?? '').trim().split(/\s+/).map(Number);
  return { text, data, bss };
}

/** Compiles each source by itself into `folder`; gives the object files. */
export function compile(folder: string, compiler: readonly string[], sources: readonly string[]): string[] {
  const [program = '', ...args] = compiler;
  return sources.map((source, index) => {
    const object = join(folder, `${index}.o`);
    run(program, ...args, '-c', source, '-o', object);
    if (!existsSync(object)) throw new Error(`${object} is not there`);
    return object;
  });
}
