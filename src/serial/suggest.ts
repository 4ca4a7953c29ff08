import type { SerialDevice } from './devices.ts';

/** Keys of `port:` that tell a device from all others, as the configuration has them. */
export type PortKeys = Readonly<Record<string, string>>;

/**
 * The steadiest name of a device: its own serial number where it has one to itself, else its name in by-id where that is
 * its alone (several ports of one adapter), else the place where it is plugged in, else its node.
 */
export function suggestPort(device: SerialDevice, all: readonly SerialDevice[]): PortKeys {
  const { vendor, product, serial, usb, byId, byPath, path } = device;
  const isAlone = (same: (other: SerialDevice) => boolean): boolean => all.filter(same).length === 1;
  const isAlike = (other: SerialDevice): boolean => other.vendor === vendor && other.product === product;
  if (vendor !== '') {
    if (serial !== '' && isAlone((other) => isAlike(other) && other.serial === serial)) {
      return { vendor, product, serial };
    }
    if (serial !== '' && byId[0] !== undefined) return { by_id: byId[0] };
    if (isAlone((other) => isAlike(other) && other.usb === usb)) return { vendor, product, usb };
  }
  return byPath[0] === undefined ? { path } : { by_path: byPath[0] };
}

/** One line of YAML. */
export function portLine(keys: PortKeys): string {
  if (Object.keys(keys).length === 1 && keys.path !== undefined) return `port: ${keys.path}`;
  // 0403 without quotes would be a number.
  return `port: { ${Object.entries(keys)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join(', ')} }`;
}
