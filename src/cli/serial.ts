import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';
import { type SerialOptions, serialOptionsOf } from './serial-options.ts';

const usage = `Usage: petiole serial list|sniff|send|replay [OPTIONS]

Looks at serial ports, and tries a configuration without hardware.

  list                   devices: what tells them apart, their driver, who uses them, a line for the configuration
  sniff PORT             shows what comes, as hex and text with its time; without --baud it tries the usual rates and
                         says which look like text, NMEA, Modbus, a board or frames
  send PORT DATA         writes to a device and shows what it answers
  replay CAPTURE         shows what the configuration would publish of captured bytes

PORT is a device (/dev/ttyUSB0), a serial server (tcp://host:port), or the name of a port of the configuration. A
CAPTURE is made by sniff --save, by the flight recorder of a running box (GET /serial/NAME/capture), or raw bytes.

  --config FILE          the configuration (default: as for run)
  --json                 one JSON object a line
sniff, send:
  --baud N               rate (send: default 9600, or that of the port)
  --parity P             none, even or odd
  --data-bits N          5 to 8
  --stop-bits N          1 or 2
  --seconds N            stop after so long (sniff: default until interrupted; send: 1)
sniff:
  --save FILE            also write what comes into a capture
send:
  --hex                  DATA is hexadecimal digits
  --line                 add CR LF; for a port of the configuration its framing is used in any case
replay:
  --port NAME            which port of the configuration (default: the one that the capture names, or the only one)
  --strict               exit code 1 also where bytes were thrown away or frames could not be decoded

Exit codes: 0 done, 1 no such port, it is in use, or nothing was to be published, 64 wrong arguments, 78 a mistake in
the configuration.

Examples:
  petiole serial list
  petiole serial sniff /dev/ttyUSB0
  petiole serial sniff /dev/ttyUSB0 --baud 9600 --seconds 60 --save scale.capture
  petiole serial send /dev/ttyUSB0 'READ?' --line
  petiole serial replay scale.capture --config petiole.yaml --json
`;

/** `petiole serial`: ports and devices, seen from the command line. */
export const serial: Command = { name: 'serial', summary: 'list, sniff and try serial devices', usage, run };

type Action = (options: SerialOptions) => Promise<number>;

/** Each with how many arguments it takes behind its name. */
const actions = new Map<string, { count: number; load: () => Promise<Action> }>([
  ['list', { count: 0, load: async () => (await import('./serial-list.ts')).list }],
  ['sniff', { count: 1, load: async () => (await import('./serial-sniff.ts')).sniff }],
  ['send', { count: 2, load: async () => (await import('./serial-send.ts')).send }],
  ['replay', { count: 1, load: async () => (await import('./serial-replay.ts')).replayCapture }],
]);

function run(args: string[]): Promise<number> {
  const read = async () => {
    const options = serialOptionsOf(args);
    const known = actions.get(options.action);
    if (known === undefined) throw new Error(`one of ${[...actions.keys()].join(', ')}`);
    if (options.rest.length !== known.count) {
      throw new Error(`${options.action} takes ${['nothing', 'one argument', 'two arguments'][known.count]}`);
    }
    return { options, action: await known.load() };
  };
  return carryOut(serial, read, ({ options, action }) => action(options));
}
