import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GatewayError } from '../core/errors.ts';
import type { PortIdentity } from './options.ts';

/**
 * Serial devices of the machine, from /sys and /dev/serial alone: udevadm is absent in slim containers. `root` is '/'
 * but for tests, which make a tree of their own.
 */

/** One device node, and what tells it from others. Empty where the kernel does not say. */
export interface SerialDevice {
  /** Device node, such as /dev/ttyUSB0. */
  readonly path: string;
  /** USB vendor and product, four hexadecimal digits, and serial number. */
  readonly vendor: string;
  readonly product: string;
  readonly serial: string;
  /** Maker and product in words. */
  readonly description: string;
  /** Place on the bus: `1-1.4`. */
  readonly usb: string;
  readonly driver: string;
  /** Names in /dev/serial/by-id and /dev/serial/by-path. */
  readonly byId: readonly string[];
  readonly byPath: readonly string[];
}

/** A USB serial adapter sits three folders below its device; hubs and composite devices add a few. */
const PARENTS_MAX = 6;
/** More than any machine has ports; the kernel's own consoles have no device and are not counted. */
const DEVICES_MAX = 256;

export async function listDevices(root = '/'): Promise<SerialDevice[]> {
  const folder = join(root, 'sys/class/tty');
  const names = await readdir(folder).catch(() => []);
  const [byId, byPath] = [await linksTo(root, 'by-id'), await linksTo(root, 'by-path')];
  const devices: SerialDevice[] = [];
  for (const name of names.sort()) {
    if (devices.length === DEVICES_MAX) break;
    const device = await realpath(join(folder, name, 'device')).catch(() => '');
    if (device === '') continue;
    // An on-board port that the board does not have: PORT_UNKNOWN of the kernel's serial core.
    if ((await text(join(folder, name, 'type'))) === '0') continue;
    devices.push({
      path: join('/dev', name),
      ...(await usbOf(device)),
      driver: basename(await readlink(join(device, 'driver')).catch(() => '')),
      byId: byId.get(name) ?? [],
      byPath: byPath.get(name) ?? [],
    });
  }
  return devices;
}

async function usbOf(device: string) {
  let folder = device;
  for (let level = 0; level < PARENTS_MAX; level++) {
    const vendor = await text(join(folder, 'idVendor'));
    if (vendor !== '') {
      const [product, serial] = [await text(join(folder, 'idProduct')), await text(join(folder, 'serial'))];
      const words = [await text(join(folder, 'manufacturer')), await text(join(folder, 'product'))];
      const description = words.filter((word) => word !== '').join(' ');
      return { vendor, product, serial, description, usb: basename(folder) };
    }
    folder = dirname(folder);
  }
  return { vendor: '', product: '', serial: '', description: '', usb: '' };
}

async function text(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trim();
}

/** Names of links by the node (ttyUSB0) that they lead to. */
async function linksTo(root: string, kind: 'by-id' | 'by-path'): Promise<Map<string, string[]>> {
  const folder = join(root, 'dev/serial', kind);
  const links = new Map<string, string[]>();
  for (const name of await readdir(folder).catch(() => [])) {
    const target = basename(await readlink(join(folder, name)).catch(() => ''));
    if (target !== '') links.set(target, [...(links.get(target) ?? []), name]);
  }
  return links;
}

/** The device node of an identity now. Rejects with `port_missing` or `port_ambiguous`. */
export async function findDevice(identity: PortIdentity, root = '/'): Promise<string> {
  const { path, byId, byPath } = identity;
  const isPlain = !identity.vendor && !identity.product && !identity.serial && !identity.usb;
  const direct = path ?? (byId && `/dev/serial/by-id/${byId}`) ?? (byPath && `/dev/serial/by-path/${byPath}`) ?? '';
  if (isPlain && direct !== '' && [path, byId, byPath].filter((one) => one !== null).length === 1) {
    // The link itself is opened: it is there exactly while the device is.
    const node = await realpath(join(root, direct)).catch(() => '');
    if (node !== '') return node;
    throw missing(identity);
  }
  const found = (await listDevices(root)).filter((device) => fits(identity, device));
  const [first, second] = found;
  if (first === undefined) throw missing(identity);
  if (second !== undefined) {
    const places = found.map(({ path: node, usb }) => `${node} (usb: "${usb}")`).join(', ');
    throw new GatewayError('port_ambiguous', `${describeIdentity(identity)} fits ${found.length} devices: ${places}`, {
      hint: 'They have no serial number of their own: add usb, the place where it is plugged in',
    });
  }
  return realpath(join(root, first.path)).catch(() => {
    throw missing(identity);
  });
}

function fits(identity: PortIdentity, device: SerialDevice): boolean {
  const { vendor, product, serial, usb, byId, byPath, path } = identity;
  if (vendor !== null && vendor.toLowerCase() !== device.vendor.toLowerCase()) return false;
  if (product !== null && product.toLowerCase() !== device.product.toLowerCase()) return false;
  if (serial !== null && serial !== device.serial) return false;
  if (usb !== null && usb !== device.usb) return false;
  if (byId !== null && !device.byId.includes(byId)) return false;
  if (byPath !== null && !device.byPath.includes(byPath)) return false;
  return path === null || path === device.path;
}

function missing(identity: PortIdentity): GatewayError {
  return new GatewayError('port_missing', `There is no device ${describeIdentity(identity)}`, {
    hint: 'Plug it in, or see what is there with: petiole serial list',
  });
}

/** For people: `vendor 0403, product 6001`. */
export function describeIdentity(identity: PortIdentity): string {
  if (identity.tcp !== null) return `tcp://${identity.tcp.host}:${identity.tcp.port}`;
  const parts = Object.entries(identity).filter(([, value]) => value !== null);
  if (parts.length === 1) return String(parts[0]?.[1]);
  return parts.map(([key, value]) => `${key} ${value}`).join(', ');
}
