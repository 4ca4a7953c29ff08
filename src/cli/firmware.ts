import { connectionUsage } from './box-connection.ts';
import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';
import { type FirmwareOptions, firmwareOptionsOf } from './firmware-options.ts';

const usage = `petiole firmware ACTION [OPTIONS]

Images for boards on serial ports: signed once, offered to a box, sent to the board while its readings go on, tried
by it, and confirmed or taken back.

  key FILE          makes a pair of keys: the secret one in FILE, the public one printed for firmware.keys
  sign FILE         signs an image; needs --target, --version, --key and --out
  list              images and boards of a running box, and how far each transfer is
  offer FILE        gives a signed image to a running box, which offers it to every board that it is for
  approve PORT      lets the image that is offered to the board on this port be sent
  cancel PORT       gives up what is offered or under way
  flash FILE        writes an image by the boot loader of the board's maker, on this machine

  --port PORT           offer: to the board on this port only; flash: the box lets go of this port while the tool runs
sign:
  --target NAME         the boards it is for, as they name themselves
  --version VERSION     such as 1.4.0
  --key FILE            the secret key
  --out FILE            where the signed image goes
flash:
  --with TOOL           esptool, avrdude or stm32flash
  --device PATH         the serial port, where no box has it
  --baud N              (default: 115200)
  --chip NAME           esptool: the chip (default: auto); avrdude: the part, such as m328p
  --programmer NAME     avrdude: (default: arduino)
  --address N           esptool, stm32flash: where the image begins (default: 0x0, 0x08000000)
  --mode MODE           stm32flash: bits, parity and stop bits (default: 8e1, which the boot loader in ROM wants)
  --unsigned            FILE is a plain image; otherwise its signature must be of a key of firmware.keys
  --dry-run             print the command and do nothing
  --yes                 there is no way back from this: do it
list, offer, approve, cancel, and flash with --port:
${connectionUsage}
  --gateway NAME        the box, where it is not that of the configuration; also one below a hub that --server names
  --json                print JSON

Exit codes: 0 done, 1 it can't be done, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  petiole firmware key fleet.pem
  petiole firmware sign th1.bin --target acme-th1 --version 1.4.0 --key fleet.pem --out th1-1.4.0.pfw
  petiole firmware offer th1-1.4.0.pfw
  petiole firmware approve board1
  petiole firmware flash blink.bin --with esptool --device /dev/ttyUSB0 --unsigned --yes
  petiole firmware flash th1-1.4.0.pfw --with avrdude --port board1 --yes
`;

/** `petiole firmware`: images for boards. */
export const firmware: Command = { name: 'firmware', summary: 'sign, offer and follow images for boards', usage, run };

function run(args: string[]): Promise<number> {
  const read = () => {
    const options = firmwareOptionsOf(args);
    const action = actions.get(options.action);
    if (action === undefined) throw new Error(`an action is needed: one of ${[...actions.keys()].join(', ')}`);
    if ((options.argument === '') !== (options.action === 'list'))
      throw new Error(`${options.action} ${wants(options)}`);
    return { options, action };
  };
  return carryOut(firmware, read, ({ options, action }) => action(options));
}

function wants({ action }: FirmwareOptions): string {
  if (action === 'list') return 'takes no argument';
  return action === 'approve' || action === 'cancel' ? 'needs the PORT of a board' : 'needs a FILE';
}

const actions = new Map<string, (options: FirmwareOptions) => Promise<number>>([
  ['key', async (options) => (await import('./firmware-files.ts')).key(options)],
  ['sign', async (options) => (await import('./firmware-files.ts')).sign(options)],
  ['list', async (options) => (await import('./firmware-box.ts')).list(options)],
  ['offer', async (options) => (await import('./firmware-box.ts')).offer(options)],
  ['approve', async (options) => (await import('./firmware-box.ts')).act(options)],
  ['cancel', async (options) => (await import('./firmware-box.ts')).act(options)],
  ['flash', async (options) => (await import('./firmware-flash.ts')).flash(options)],
]);
