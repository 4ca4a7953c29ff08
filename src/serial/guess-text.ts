import { FrameCheck } from './checks.ts';
import type { Guess } from './guess.ts';

/** Share of printable characters from which on it is text: a line at a wrong baud rate comes to a third. */
const TEXT_SHARE_MIN = 0.95;

export function guessText(bytes: Buffer): Guess | null {
  const share = printableShare(bytes);
  if (share < TEXT_SHARE_MIN) return guessParity(bytes);
  const text = bytes.toString();
  const lines = text
    .split(/\r\n|\n|\r/)
    // The first and the last one may be cut.
    .slice(1, -1)
    .filter((line) => line !== '');
  if (lines.length === 0) {
    return {
      what: 'text without line ends',
      sureness: 0.8 * share,
      why: percent(share),
      configuration: ['decode: text'],
    };
  }
  return { ...kindOf(lines, share), sureness: Math.min(1, share) };
}

function kindOf(lines: readonly string[], share: number): Omit<Guess, 'sureness'> {
  const counted = `${lines.length} whole ${lines.length === 1 ? 'line' : 'lines'}, ${percent(share)}`;
  const most = (test: (line: string) => boolean): boolean => lines.filter(test).length >= lines.length * 0.9;
  if (most(isModbusAscii)) {
    const check = '{ type: start-end, start: ":", end: "\\r\\n", check: { type: lrc, as: digits } }';
    return {
      what: 'Modbus ASCII',
      why: `${counted}, each with its LRC`,
      configuration: [`frame: ${check}`, 'decode: text'],
    };
  }
  if (most(isJson)) return { what: 'text: JSON lines', why: counted, configuration: ['decode: json'] };
  const separator = [';', ',', '\t', ' '].find((sign) => most((line) => /\w *= *[^=]/.test(line) && pairs(line, sign)));
  if (separator !== undefined) {
    const keys = `{ type: key-value, separator: ${JSON.stringify(separator)} }`;
    return { what: 'text: key=value pairs', why: counted, configuration: [`decode: ${keys}`] };
  }
  for (const sign of [';', ',', '\t']) {
    const columns = lines[0]?.split(sign).length ?? 0;
    if (columns < 2 || !most((line) => line.split(sign).length === columns)) continue;
    const csv = `{ type: csv, separator: ${JSON.stringify(sign)} }`;
    return { what: `text: ${columns} columns`, why: counted, configuration: [`decode: ${csv}`] };
  }
  return { what: 'text lines', why: counted, configuration: ['decode: text'] };
}

/** Each part of the line is a pair. */
function pairs(line: string, separator: string): boolean {
  const parts = line.split(separator).filter((part) => part.trim() !== '');
  return parts.every((part) => /^\s*[^=\s]+ *=/.test(part));
}

function isJson(line: string): boolean {
  if (!/^[{[]/.test(line)) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

const lrc = new FrameCheck({ type: 'lrc', endian: 'big', as: 'binary', from: 0, place: 'inside', coversEnd: true });

function isModbusAscii(line: string): boolean {
  return /^:(?:[0-9A-F]{2}){3,}$/.test(line) && lrc.holds(Buffer.from(line.slice(1), 'hex'));
}

/** Text whose eighth bit is a parity bit looks like noise to a port of eight data bits. */
function guessParity(bytes: Buffer): Guess | null {
  const plain = Buffer.from(bytes.map((byte) => byte & 0x7f));
  const share = printableShare(plain);
  if (share < TEXT_SHARE_MIN) return null;
  let odd = 0;
  for (const byte of bytes) if (bitsOf(byte) % 2 === 1) odd++;
  const parity = odd > bytes.length * 0.95 ? 'odd' : odd < bytes.length * 0.05 ? 'even' : '';
  if (parity === '') return null;
  const { what } = guessText(plain) ?? { what: 'text' };
  return {
    what: `${what}, of 7 data bits and ${parity} parity`,
    sureness: 0.9 * share,
    why: `with the eighth bit cleared ${percent(share)}`,
    configuration: ['data_bits: 7', `parity: ${parity}`],
  };
}

function bitsOf(byte: number): number {
  let bits = 0;
  for (let left = byte; left > 0; left >>= 1) bits += left & 1;
  return bits;
}

/** Line ends and tabs count as printable; letters of UTF-8 too. */
function printableShare(bytes: Buffer): number {
  let printable = 0;
  for (const char of bytes.toString()) {
    const code = char.codePointAt(0) ?? 0;
    if (code === 0xfffd) continue;
    if (code >= 0xa0) printable += Buffer.byteLength(char);
    else if ((code >= 0x20 && code < 0x7f) || code === 9 || code === 10 || code === 13) printable++;
  }
  return printable / bytes.length;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} % printable`;
}
