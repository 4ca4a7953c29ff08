import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.ts';
import { make } from './firmware-build.ts';
import { atEnd, type Scope } from './scope.ts';

const START_TIMEOUT_MS = 20_000;

/** Real firmware on an emulated processor, whose UART is a pty. */
export interface EmulatedBoard {
  readonly path: string;
  readonly child: Child;
}

/** examples/cortex-m on QEMU's MPS2, with its boot loader and version 1.0.0 from the factory. */
export async function startCortexM(scope: Scope): Promise<EmulatedBoard> {
  const folder = join(make('cortex-m'), 'cortex-m');
  const machine = ['-M', 'mps2-an385', '-display', 'none', '-monitor', 'none', '-serial', 'pty'];
  const factory = `loader,file=${join(folder, 'app-1.0.0.bin')},addr=0x21c00000,force-raw=on`;
  return started(scope, 'qemu-system-arm', [...machine, '-kernel', join(folder, 'loader.elf'), '-device', factory]);
}

/** examples/avr on simavr's ATmega328P. */
export async function startAvr(scope: Scope): Promise<EmulatedBoard> {
  const folder = make('avr', 'avr-runner');
  return started(scope, join(folder, 'avr-runner'), [join(folder, 'avr', 'board.elf')]);
}

async function started(scope: Scope, program: string, args: string[]): Promise<EmulatedBoard> {
  const child = new Child(program, args);
  atEnd(scope, async () => {
    await child.kill();
  });
  const line = await child.line('its pty', (text) => /redirected to \/dev|^pty \/dev/.test(text), START_TIMEOUT_MS);
  const [path = ''] = /\/dev\/\S+/.exec(line) ?? [];
  if (!existsSync(path)) throw new Error(`no pty in: ${line}`);
  return { path, child };
}
