import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { atEnd, type Scope } from './scope.ts';
import { SerialDevice } from './serial-device.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

/** Compiles the slave of modbus-slave.c, and gives the path of the program. */
function compile(dir: string): string {
  const program = join(dir, 'modbus-slave');
  const source = join(import.meta.dirname, 'modbus-slave.c');
  execFileSync('cc', ['-O1', '-o', program, source, '-lmodbus'], { stdio: ['ignore', 'inherit', 'inherit'] });
  return program;
}

/** A libmodbus slave with units 1 to 20 behind a pty (its path is given back); `paced` as a line of 115,200 baud. */
export async function startModbusBus(scope: Scope, paced = false): Promise<string> {
  const dir = tempDir(scope, 'modbus');
  const program = compile(dir);
  const [near, far] = [join(dir, 'ttyBus'), join(dir, 'ttySlave')];
  const pair = spawn('socat', [`pty,raw,echo=0,link=${near}`, `pty,raw,echo=0,link=${far}`]);
  atEnd(scope, () => void pair.kill());
  const device = new SerialDevice(near);
  await waitFor('the pty pair', () => device.isThere && new SerialDevice(far).isThere);
  await startSlave(scope, program, ['rtu', far, ...(paced ? ['paced'] : [])]);
  return near;
}

/** A libmodbus slave that speaks Modbus TCP. */
export async function startModbusTcp(scope: Scope, port: number): Promise<void> {
  const program = compile(tempDir(scope, 'modbus'));
  // It says that it is ready once somebody has connected.
  const child = spawn(program, ['tcp', String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(scope, () => void child.kill());
}

async function startSlave(scope: Scope, program: string, args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(scope, () => void child.kill());
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  await waitFor('the slave', () => output.includes('ready'));
}
