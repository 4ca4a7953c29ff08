import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { findDevice } from '../serial/devices.ts';
import { type Line, type OnData, openSerialLine } from '../serial/line.ts';
import type { LineSettings, PortIdentity } from '../serial/options.ts';

/** What the `petiole serial` commands are given. */
export interface SerialOptions {
  readonly action: string;
  /** What stands behind the action: a port, a capture, what to send. */
  readonly rest: readonly string[];
  readonly config: string | null;
  /** Of `replay`: which port of the configuration. */
  readonly port: string | null;
  readonly baud: number | null;
  readonly parity: LineSettings['parity'] | null;
  readonly dataBits: LineSettings['dataBits'] | null;
  readonly stopBits: LineSettings['stopBits'] | null;
  /** Null: until interrupted. */
  readonly seconds: number | null;
  readonly save: string | null;
  readonly hex: boolean;
  readonly line: boolean;
  readonly strict: boolean;
  readonly json: boolean;
}

/** Throws an Error in the words of its reader. */
export function serialOptionsOf(args: string[]): SerialOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      port: { type: 'string' },
      baud: { type: 'string' },
      parity: { type: 'string' },
      'data-bits': { type: 'string' },
      'stop-bits': { type: 'string' },
      seconds: { type: 'string' },
      save: { type: 'string' },
      hex: { type: 'boolean', default: false },
      line: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [action = '', ...rest] = positionals;
  const { config = null, port = null, save = null, hex, line, strict, json } = values;
  return {
    ...{ action, rest, config, port, save, hex, line, strict, json },
    baud: choice('--baud', values.baud, (text) => (/^\d{2,8}$/.test(text) ? Number(text) : undefined), 'a number'),
    parity: choice(
      '--parity',
      values.parity,
      (text) => (['none', 'even', 'odd'] as const).find((known) => known === text),
      'none, even or odd',
    ),
    dataBits: choice('--data-bits', values['data-bits'], (text) => of([5, 6, 7, 8] as const, text), '5, 6, 7 or 8'),
    stopBits: choice('--stop-bits', values['stop-bits'], (text) => of([1, 2] as const, text), '1 or 2'),
    seconds: choice(
      '--seconds',
      values.seconds,
      (text) => (Number(text) > 0 ? Number(text) : undefined),
      'a number above 0',
    ),
  };
}

function of<T extends number>(known: readonly T[], text: string): T | undefined {
  return known.find((one) => String(one) === text);
}

function choice<T>(
  option: string,
  text: string | undefined,
  read: (text: string) => T | undefined,
  expected: string,
): T | null {
  if (text === undefined) return null;
  const value = read(text);
  if (value === undefined) throw new Error(`${option} is ${expected}`);
  return value;
}

/** The configuration of the box; null where there is no file. Throws config_invalid with every problem in it. */
export function serialConfig({ config: file }: SerialOptions): Config | null {
  const loaded = loadConfig({ file, env: process.env, cwd: process.cwd() });
  if (loaded.file === null) return null;
  if (loaded.config !== null) return loaded.config;
  const text = describeProblems(loaded.file, loaded.problems).trimEnd();
  throw new GatewayError('config_invalid', text, { retriable: false });
}

const DEVICE_ALONE: LineSettings = {
  ...{ baud: 9600, dataBits: 8, parity: 'none', stopBits: 1, flowControl: 'none', rts: null, dtr: null, rs485: 'off' },
};

const NOBODY: PortIdentity = {
  ...{ vendor: null, product: null, serial: null, usb: null, byId: null, byPath: null, path: null, tcp: null },
};

export interface Chosen {
  readonly identity: PortIdentity;
  readonly settings: LineSettings;
  /** Of the configuration; null for a device that was named by its node. */
  readonly port: Config['serial'][number] | null;
}

/** PORT of the command line: a node, a serial server, or the name of a port of the configuration. */
export function choosePort(text: string, options: SerialOptions): Chosen {
  const { baud, parity, dataBits, stopBits } = options;
  const given = {
    ...(baud !== null && { baud }),
    ...(parity !== null && { parity }),
    ...(dataBits !== null && { dataBits }),
    ...(stopBits !== null && { stopBits }),
  };
  const server = /^tcp:\/\/([^/:]+|\[[^\]]+\]):(\d{1,5})$/.exec(text);
  if (server !== null) {
    const tcp = { host: (server[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(server[2]) };
    return { identity: { ...NOBODY, tcp }, settings: { ...DEVICE_ALONE, ...given }, port: null };
  }
  if (text.includes('/')) {
    return { identity: { ...NOBODY, path: text }, settings: { ...DEVICE_ALONE, ...given }, port: null };
  }
  const config = serialConfig(options);
  const port = config?.serial.find(({ name }) => name === text) ?? null;
  const any = port ?? [...(config?.modbus ?? []), ...(config?.bridges ?? [])].find(({ name }) => name === text);
  if (any !== undefined) return { identity: any.identity, settings: { ...any.line, ...given }, port };
  const hint = 'Give a device such as /dev/ttyUSB0, tcp://host:port, or the name of a port of the configuration';
  throw new GatewayError('port_missing', `There is no port ${text}`, { hint, retriable: false });
}

/** Opens it, exclusively. Rejects with `port_busy`, `permission_denied`, `port_missing` or `port_failed`. */
export async function openChosen(
  { identity, settings }: Chosen,
  onData: OnData,
): Promise<Line & { setBaud?(baud: number): Promise<void> }> {
  const { tcp } = identity;
  if (tcp !== null) {
    const { openTcpLine } = await import('../serial/tcp-line.ts');
    return openTcpLine(tcp.host, tcp.port, onData);
  }
  const onRefused = (setting: string, why: string): void => {
    process.stderr.write(`the driver refused ${setting}: ${why}\n`);
  };
  const node = await findDevice(identity);
  return openSerialLine(node, { settings, onData, onRefused, isGathered: false });
}
