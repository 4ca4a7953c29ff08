import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type { Config } from '../config/schema.ts';
import { describeError } from '../core/errors.ts';
import type { Hardware, HealthSample } from '../ops/api.ts';
import { hardware } from '../ops/hardware.ts';
import { Host } from '../ops/host.ts';
import { accepts } from '../ops/service-manager.ts';
import { bytes, counted } from '../ops/words.ts';
import { findDevice } from '../serial/devices.ts';
import { holdersOf } from '../serial/holders.ts';
import { bad, type Finding, good, unknown, warning } from './doctor-checks.ts';

/** Tenths of its life that an eMMC has behind it (JESD84-B50): from here on a replacement should lie ready. */
const LIFE_LATE = 9;

/** What the machine says of itself, and of its disks. */
export async function machine(folder: string): Promise<Finding[]> {
  const { emmc } = await new Host(folder).sample({ restarts: 0, resetReason: '' });
  try {
    const found = await hardware();
    return [good('machine', describe(found)), ...conditions(found), ...emmc.map(wear)];
  } catch (error) {
    return [unknown('machine', describeError(error).message), ...emmc.map(wear)];
  }
}

function describe({ manufacturer, model, isVirtual, system, processor, memoryBytes, disks }: Hardware): string {
  const parts = [
    `${manufacturer} ${model}`.trim() + (isVirtual ? ' (virtual)' : ''),
    `${system.name} ${system.release}`.trim(),
    `Linux ${system.kernel} ${system.architecture}`,
    `${counted(processor.cores, 'core')}${processor.name === '' ? '' : ` ${processor.name}`}`,
    `${bytes(memoryBytes)} of memory`,
    ...disks.map(({ name, type, sizeBytes }) => `${type} ${name} ${bytes(sizeBytes)}`.trim()),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** What disks judge of themselves. */
export function conditions({ disks }: Pick<Hardware, 'disks'>): Finding[] {
  return disks
    .filter(({ condition }) => condition !== '')
    .map(({ device, condition }) =>
      condition.toLowerCase() === 'ok'
        ? good('disk health', `${device} says that it is well`)
        : bad('disk health', `${device} says: ${condition}`, 'Back up what is on it, and replace it'),
    );
}

export function wear({ name, lifeTimeA, lifeTimeB, preEol }: HealthSample['emmc'][number]): Finding {
  const tenths = Math.max(lifeTimeA ?? 0, lifeTimeB ?? 0);
  if (tenths === 0) return unknown('disk wear', `${name} does not tell`);
  const used = `${name} has used ${(tenths - 1) * 10} to ${tenths * 10} % of its life`;
  const cure = 'Replace it, or write less: see `petiole status` for what the box writes a day';
  if (tenths > 10 || (preEol ?? 1) >= 3) return bad('disk wear', used, cure);
  return tenths >= LIFE_LATE || preEol === 2 ? warning('disk wear', used, cure) : good('disk wear', used);
}

/** Whether each serial port of the configuration is there, and may be opened. A running box has its own open. */
export async function ports({ serial, modbus, bridges }: Config): Promise<Finding[]> {
  return Promise.all([...serial, ...modbus, ...bridges].map((port) => portFinding(port)));
}

async function portFinding({
  name: port,
  identity,
}: Pick<Config['serial'][number], 'name' | 'identity'>): Promise<Finding> {
  const name = `port ${port}`;
  try {
    if (identity.tcp !== null) {
      const { host, port: number } = identity.tcp;
      await accepts(host, number);
      return good(name, `${host}:${number} answers`);
    }
    const node = await findDevice(identity);
    const [holder] = (await holdersOf(new Set([node]))).get(node) ?? [];
    if (holder !== undefined) {
      const used = `${node} is used by ${holder.name} (${holder.pid})`;
      const cure = 'Stop it where it is not the box: ModemManager, a getty and terminal programs take ports';
      return /^(?:node|petiole|MainThread)/.test(holder.name) ? good(name, used) : warning(name, used, cure);
    }
    await access(node, constants.R_OK | constants.W_OK);
    return good(name, `${node} may be opened`);
  } catch (error) {
    const { message, hint } = describeError(error);
    if ((error as NodeJS.ErrnoException).code !== 'EACCES')
      return bad(name, message, hint || 'Check its cable and its power');
    return bad(name, message, 'Let the user of the box be in the group of the device, mostly dialout');
  }
}
