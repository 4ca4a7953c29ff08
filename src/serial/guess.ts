import { modbusCrc } from './checks.ts';
import { makeFramer } from './framing/framing.ts';
import { guessBinary } from './guess-binary.ts';
import { guessBridge } from './guess-bridge.ts';
import { guessText } from './guess-text.ts';
import { plainFraming } from './options.ts';

/** What bytes on a line look like. */
export interface Guess {
  /** For people: `NMEA 0183`. */
  readonly what: string;
  /** How sure it is, 0 to 1. From 0.8 on it is worth stopping at. */
  readonly sureness: number;
  /** Why: what was counted. */
  readonly why: string;
  /** Lines for the entry in `serial:`; none where nothing is known. */
  readonly configuration: readonly string[];
}

/** Fewer bytes than this say nothing. */
const BYTES_MIN = 8;
/** What is looked at: the newest bytes. A minute of 9,600 baud. */
export const GUESS_BYTES_MAX = 64 * 1024;

/** The likeliest first; at least one. */
export function guess(bytes: Buffer): Guess {
  if (bytes.length === 0) return { what: 'nothing', sureness: 0, why: 'no byte came', configuration: [] };
  if (bytes.length < BYTES_MIN) {
    return { what: 'too little to say', sureness: 0, why: `${bytes.length} bytes`, configuration: [] };
  }
  const looked = bytes.subarray(-GUESS_BYTES_MAX);
  const guesses = [guessBridge(looked), guessNmea(looked), guessModbus(looked), guessText(looked), guessBinary(looked)];
  return guesses.filter((one) => one !== null).toSorted((a, b) => b.sureness - a.sureness)[0] ?? unknown(looked);
}

function unknown(bytes: Buffer): Guess {
  const kinds = new Set(bytes).size;
  const why = `${bytes.length} bytes of ${kinds} values, in no order that is known here`;
  return { what: 'binary, or another baud rate', sureness: 0.05, why, configuration: [] };
}

function guessNmea(bytes: Buffer): Guess | null {
  let sentences = 0;
  let taken = 0;
  const talkers = new Set<string>();
  const framer = makeFramer(plainFraming('nmea'), {
    frame: (content) => {
      const found = /^(P[A-Z]{3}|[A-Z]{2}[A-Z0-9]{3}),/.exec(content.toString('latin1', 0, 6));
      if (found === null) return;
      sentences++;
      // What frames it: $, *, sum, CR, LF.
      taken += content.length + 6;
      talkers.add(found[1] ?? '');
    },
    discarded: () => undefined,
  });
  framer.push(bytes);
  if (sentences === 0) return null;
  const share = Math.min(1, taken / Math.max(1, bytes.length - framer.pending));
  return {
    what: 'NMEA 0183',
    // One sentence and its sum: 1 in 256 by chance.
    sureness: share * (sentences === 1 ? 0.8 : 1),
    why: `${sentences} sentences (${[...talkers].slice(0, 6).join(', ')})`,
    configuration: ['frame: nmea', 'decode: nmea'],
  };
}

const functions = new Set([1, 2, 3, 4, 5, 6, 15, 16, 22, 23]);

/** Requests and answers of Modbus RTU by their CRC; Modbus ASCII by its LRC. */
function guessModbus(bytes: Buffer): Guess | null {
  const units = new Set<number>();
  const codes = new Set<number>();
  let frames = 0;
  let taken = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = modbusLength(bytes, at);
    if (length === 0) {
      at++;
      continue;
    }
    frames++;
    taken += length;
    units.add(bytes[at] ?? 0);
    codes.add((bytes[at + 1] ?? 0) & 0x7f);
    at += length;
  }
  if (frames < 2 && taken < bytes.length) return null;
  return {
    what: 'Modbus RTU',
    // Beside a master we read both sides; noise and a frame cut at either end are no proof against it.
    sureness: Math.min(1, (taken / bytes.length) * 1.1),
    why: `${frames} frames with their CRC, of units ${list(units)}, functions ${list(codes)}`,
    configuration: [
      'modbus: { units: [{ unit: 1, registers: [{ name: value, address: 0 }] }] } # if the box is to be the master',
      'frame: { type: idle, gap: 5ms, check: { type: crc-16/modbus } } # or beside a master, to listen',
      'decode: hex',
    ],
  };
}

/** Bytes of the frame at `at`; 0 where there is none. */
function modbusLength(bytes: Buffer, at: number): number {
  const code = bytes[at + 1] ?? 0;
  const plain = code & 0x7f;
  if ((bytes[at] ?? 0) > 247 || !functions.has(plain)) return 0;
  const count = bytes[at + 2] ?? 0;
  const lengths = code !== plain ? [5] : plain <= 4 ? [8, 5 + count] : plain === 22 ? [10] : [8];
  if (code === plain && (plain === 15 || plain === 16)) lengths.push(9 + (bytes[at + 6] ?? 0));
  if (code === plain && plain === 23) lengths.push(5 + count, 13 + (bytes[at + 10] ?? 0));
  return lengths.find((one) => at + one <= bytes.length && modbusCrc.holds(bytes.subarray(at, at + one))) ?? 0;
}

function list(numbers: ReadonlySet<number>): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.slice(0, 8).join(', ') + (sorted.length > 8 ? ', …' : '');
}
