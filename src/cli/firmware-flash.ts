import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { GatewayError } from '../core/errors.ts';
import { UpdateLock } from '../ops/update-lock.ts';
import { openSigned } from '../serial/bridge/firmware/image.ts';
import { fileOf } from './firmware-files.ts';
import { type FirmwareOptions, needed } from './firmware-options.ts';

/** What a tool is told; everything but `file` was checked against what may stand there. */
interface Job {
  readonly device: string;
  readonly baud: string;
  readonly chip: string | undefined;
  readonly programmer: string;
  readonly address: string | undefined;
  readonly mode: string | undefined;
  readonly file: string;
}

/** The tools that may be run, under the names that they have in PATH, and how. No other program is ever started. */
const tools: Readonly<Record<string, { names: readonly string[]; args(job: Job): string[] }>> = {
  esptool: {
    names: ['esptool', 'esptool.py'],
    args: ({ device, baud, chip = 'auto', address = '0x0', file }) => [
      ...['--chip', chip, '--port', device, '--baud', baud],
      ...['write_flash', address, file],
    ],
  },
  avrdude: {
    names: ['avrdude'],
    args: ({ device, baud, chip = 'm328p', programmer, file }) => [
      ...['-p', chip, '-c', programmer, '-P', device, '-b', baud, '-D'],
      ...['-U', `flash:w:${file}:${file.endsWith('.hex') ? 'i' : 'r'}`],
    ],
  },
  stm32flash: {
    names: ['stm32flash'],
    args: ({ device, baud, address = '0x08000000', mode = '8e1', file }) => [
      ...['-b', baud, '-m', mode, '-w', file, '-v', '-S', address, device],
    ],
  },
};

/** `petiole firmware flash FILE`. The exit code of the tool where it fails is 1 here. */
export async function flash(options: FirmwareOptions): Promise<number> {
  const { with: name } = needed(options, 'with');
  const { device, port } = options;
  if ((device === undefined) === (port === undefined)) throw new Error('flash needs one of --device and --port');
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) {
    throw new GatewayError('config_invalid', `${name} is not one of ${Object.keys(tools).join(', ')}`, {
      retriable: false,
    });
  }
  const folder = mkdtempSync(join(tmpdir(), 'petiole-flash-'));
  try {
    const file = await imageFile(options, folder);
    const job = checked(options);
    const program = inPath(tool.names);
    const command = (path: string) => tool.args({ ...job, device: resolve(path), file });
    if (options['dry-run']) {
      process.stdout.write(`${[program ?? tool.names[0], ...command(device ?? `the device of ${port}`)].join(' ')}\n`);
      return 0;
    }
    if (program === null) {
      const hint = `Install it: apt install ${name}`;
      throw new GatewayError('config_invalid', `${name} is not installed`, { hint, retriable: false });
    }
    if (!options.yes) {
      const hint = 'Give --yes once it is the right image, board and device; --dry-run shows the command';
      throw new GatewayError('permission_denied', 'A boot loader keeps no image to go back to', { hint });
    }
    const work = (path: string) => runTool(name, program, command(path));
    if (port === undefined) return await work(device ?? '');
    const { withLentPort } = await import('./firmware-box.ts');
    return await withLentPort(options, port, work);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runTool(name: string, program: string, args: readonly string[]): Promise<number> {
  const [code] = await UpdateLock.during(process.env, 'the flashing', async () => {
    const child = spawn(program, args, { stdio: 'inherit' });
    return (await once(child, 'exit')) as [number | null];
  });
  if (code === 0) return 0;
  const hint =
    'Is the board in its boot loader, and does nobody else hold the device? --port has a running box let go of it';
  throw new GatewayError('port_failed', `${name} ended with ${code ?? 'a signal'}`, { hint });
}

/** The plain image as a file: the given one, or what a signed one holds. */
async function imageFile({ argument, unsigned, config }: FirmwareOptions, folder: string): Promise<string> {
  const bytes = await fileOf(argument);
  if (unsigned) return resolve(argument);
  const loaded = loadConfig({ file: config ?? null, env: process.env, cwd: process.cwd() });
  if (loaded.config === null) {
    const hint = 'petiole check lists them; or give --unsigned for a plain image';
    throw new GatewayError('config_invalid', 'There are mistakes in the configuration', { hint, retriable: false });
  }
  const { image, manifest } = openSigned(bytes, loaded.config.firmware.keys);
  const file = join(folder, `${manifest.sha256.slice(0, 16)}.bin`);
  writeFileSync(file, image);
  return file;
}

/** Words that a tool would take for another option do not pass. */
function checked({ baud, chip, programmer, address, mode }: FirmwareOptions): Omit<Job, 'device' | 'file'> {
  const given = { baud, chip, programmer, address, mode };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || /^[A-Za-z0-9][A-Za-z0-9_.]{0,31}$/.test(value)) continue;
    throw new GatewayError('config_invalid', `--${name} takes letters, digits, "_" and "."`, { retriable: false });
  }
  return given;
}

function inPath(names: readonly string[]): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const path of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}
