/** A block of a tar file (POSIX.1-1988 ustar). */
const BLOCK_BYTES = 512;

/** A tar file of these texts, in order. Names are ours: short, and of ASCII. */
export function tarOf(files: readonly (readonly [name: string, text: string])[], atMs: number): Buffer {
  const blocks: Buffer[] = [];
  for (const [name, text] of files) {
    const body = Buffer.from(text);
    blocks.push(header(name, body.length, atMs), body, Buffer.alloc(-body.length & (BLOCK_BYTES - 1)));
  }
  blocks.push(Buffer.alloc(2 * BLOCK_BYTES));
  return Buffer.concat(blocks);
}

function header(name: string, bytes: number, atMs: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number) => `${Math.floor(value).toString(8).padStart(digits, '0')}\0`;
  block.write(name, 0, 100);
  block.write(octal(0o600, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(bytes, 11), 124);
  block.write(octal(Math.max(0, atMs / 1000), 11), 136);
  // The sum is taken with blanks in its own place.
  block.write(' '.repeat(8), 148);
  block.write('0', 156);
  block.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
