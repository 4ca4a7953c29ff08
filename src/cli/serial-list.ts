import { describeError } from '../core/errors.ts';
import { printable } from '../ops/words.ts';
import { findDevice, listDevices, type SerialDevice } from '../serial/devices.ts';
import { type Holder, holdersOf } from '../serial/holders.ts';
import { portLine, suggestPort } from '../serial/suggest.ts';
import { type SerialOptions, serialConfig } from './serial-options.ts';

/** `petiole serial list`. */
export async function list(options: SerialOptions): Promise<number> {
  const devices = await listDevices();
  const holders = await holdersOf(new Set(devices.map(({ path }) => path)));
  const ports = await portsByNode(options);
  const rows = devices.map((device) => ({
    ...device,
    ports: ports.get(device.path) ?? [],
    usedBy: holders.get(device.path) ?? [],
    line: portLine(suggestPort(device, devices)),
  }));
  if (options.json) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return 0;
  }
  if (rows.length === 0) process.stdout.write('There is no serial device on this machine.\n');
  process.stdout.write(rows.map(describe).join('\n'));
  return 0;
}

interface Row extends SerialDevice {
  readonly ports: readonly string[];
  readonly usedBy: readonly Holder[];
  readonly line: string;
}

function describe(row: Row): string {
  const { path, description, vendor, product, serial, usb, driver, byId, byPath, ports, usedBy, line } = row;
  const usbIdentity = vendor === '' ? '' : `${vendor}:${product}${serial === '' ? ', no serial number' : ` ${serial}`}`;
  const programs = usedBy.map(({ pid, name }) => `${name} (${pid})`).join(', ');
  const facts = [
    ['identity', [usbIdentity, usb && `at ${usb}`].filter(Boolean).join(', ') || 'on board'],
    ['by id', byId.join(', ')],
    ['by path', byPath.join(', ')],
    ['driver', driver],
    ['port', ports.join(', ') || 'none of the configuration'],
    ['used by', programs || 'nobody'],
    ['paste', line],
  ];
  const head = `${path}${description === '' ? '' : `  ${printable(description)}`}\n`;
  return (
    head +
    facts
      .filter(([, text]) => text !== '')
      .map(([label = '', text = '']) => `  ${label.padEnd(9)} ${label === 'paste' ? text : printable(text, 300)}\n`)
      .join('')
  );
}

/** Names of the configuration's ports by the node that they are now. A mistake in the file hides only them. */
async function portsByNode(options: SerialOptions): Promise<Map<string, string[]>> {
  const ports = new Map<string, string[]>();
  let config: ReturnType<typeof serialConfig>;
  try {
    config = serialConfig(options);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    process.stderr.write(`${describeError(error).message}\n`);
    return ports;
  }
  for (const { name, identity } of [...(config?.serial ?? []), ...(config?.modbus ?? []), ...(config?.bridges ?? [])]) {
    if (identity.tcp !== null) continue;
    const node = await findDevice(identity).catch(() => '');
    if (node !== '') ports.set(node, [...(ports.get(node) ?? []), name]);
  }
  return ports;
}
