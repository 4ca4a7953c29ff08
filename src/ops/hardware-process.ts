import { cpu, diskLayout, mem, osInfo, system } from 'systeminformation';
import type { Hardware } from './api.ts';

/** Asks the machine once, prints a `Hardware` as JSON, and ends; see hardware.ts. */

/** A box has one or two; a server that stands in for one may have a hundred. */
const DISKS_MAX = 16;

const [board, software, processor, memory, disks] = await Promise.all([system(), osInfo(), cpu(), mem(), diskLayout()]);

const answer: Hardware = {
  manufacturer: told(board.manufacturer),
  model: told(board.raspberry?.type ? `Raspberry Pi ${board.raspberry.type}` : board.model),
  isVirtual: board.virtual,
  system: {
    name: told(software.distro),
    release: told(software.release),
    kernel: told(software.kernel),
    architecture: told(software.arch),
  },
  processor: { name: told(`${processor.manufacturer} ${processor.brand}`), cores: processor.cores },
  memoryBytes: memory.total,
  disks: disks.slice(0, DISKS_MAX).map(({ device, name, type, size, smartStatus }) => ({
    device: told(device),
    name: told(name),
    type: told(type),
    sizeBytes: Number(size) || 0,
    condition: told(smartStatus),
  })),
};
process.stdout.write(JSON.stringify(answer));

/** What firmware writes where it has nothing to say. */
function told(text: string | undefined): string {
  const bare = (text ?? '').replaceAll('\0', '').trim();
  return /^(?:unknown|undefined|default string|to be filled.*|not specified)$/i.test(bare) ? '' : bare;
}
