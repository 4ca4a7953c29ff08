/**
 * NATS header blocks, kept as raw bytes: `NATS/1.0[ status[ text]]\r\n`, lines `Key: value\r\n`, an empty line. A block
 * that passes through is never decoded and encoded again; what is needed is read or appended in place.
 */

const VERSION = 'NATS/1.0';
const LF = 10;
const CR = 13;
const COLON = 58;

/** May be a header key: visible ASCII without the colon. */
export function isHeaderKey(key: string): boolean {
  return /^[!-9;-~]+$/.test(key);
}

/** May be a header value: anything without a line break. */
export function isHeaderValue(value: string): boolean {
  return !/[\r\n]/.test(value);
}

/** `Key: value\r\n` lines. Breaks that would forge further lines become spaces. */
function lines(pairs: Iterable<readonly [key: string, value: string]>): string {
  let text = '';
  for (const [key, value] of pairs)
    text += `${key}: ${isHeaderValue(value) ? value : value.replace(/[\r\n]+/g, ' ')}\r\n`;
  return text;
}

/** A new block with these lines. */
export function buildHeaders(pairs: Iterable<readonly [key: string, value: string]>): Buffer {
  return Buffer.from(`${VERSION}\r\n${lines(pairs)}\r\n`);
}

/** The block with these lines after its own; a new block where there was none. */
export function appendHeaders(block: Buffer, pairs: Iterable<readonly [key: string, value: string]>): Buffer {
  if (block.length === 0) return buildHeaders(pairs);
  const added = Buffer.from(`${lines(pairs)}\r\n`);
  const kept = block.length - 2; // Without the empty line that ends it.
  const joined = Buffer.allocUnsafe(kept + added.length);
  block.copy(joined, 0, 0, kept);
  added.copy(joined, kept);
  return joined;
}

/** True for a block that begins and ends as one must; what lies between is the publisher's affair. */
export function isHeaderBlock(block: Buffer): boolean {
  return (
    block.length >= VERSION.length + 4 &&
    block.toString('latin1', 0, VERSION.length) === VERSION &&
    block.toString('latin1', block.length - 4) === '\r\n\r\n'
  );
}

/**
 * The first value of a key, without surrounding blanks; null where the key is absent. Keys are compared exactly, as
 * hubs do. Scans the raw block and decodes only that value.
 */
export function headerValue(block: Buffer, key: string): string | null {
  let at = block.indexOf(LF) + 1;
  while (at > 0 && at < block.length) {
    let end = block.indexOf(LF, at);
    if (end === -1) end = block.length;
    if (block[at + key.length] === COLON && startsWith(block, at, key)) {
      return block.toString('utf8', at + key.length + 1, block[end - 1] === CR ? end - 1 : end).trim();
    }
    at = end + 1;
  }
  return null;
}

/** The block without the lines of a key; the same block where there are none. */
export function removeHeader(block: Buffer, key: string): Buffer {
  if (block.indexOf(`\n${key}:`) === -1) return block;
  // One byte is one character: what stays is not decoded.
  const kept = block
    .toString('latin1')
    .split('\r\n')
    .filter((line, i) => i === 0 || !line.startsWith(`${key}:`));
  return Buffer.from(kept.join('\r\n'), 'latin1');
}

/** The block with another key in the place of `from`, in every line that has it; the same block where none has. */
export function renameHeader(block: Buffer, from: string, to: string): Buffer {
  const key = `\n${from}:`;
  let at = block.indexOf(key);
  if (at === -1) return block;
  const parts: Buffer[] = [];
  const name = Buffer.from(to);
  let kept = 0;
  for (; at !== -1; at = block.indexOf(key, kept)) {
    parts.push(block.subarray(kept, at + 1), name);
    kept = at + 1 + from.length;
  }
  parts.push(block.subarray(kept));
  return Buffer.concat(parts);
}

function startsWith(block: Buffer, at: number, key: string): boolean {
  for (let i = 0; i < key.length; i++) if (block[at + i] !== key.charCodeAt(i)) return false;
  return true;
}

/** Every line in order. A line without a colon is left out. */
export function* headerEntries(block: Buffer): Generator<[key: string, value: string]> {
  const [, ...rest] = block.toString('utf8').split('\r\n');
  for (const line of rest) {
    const colon = line.indexOf(':');
    if (colon > 0) yield [line.slice(0, colon), line.slice(colon + 1).trim()];
  }
}

/** The three-digit status behind the version (`NATS/1.0 503` is 503: nobody answers); 0 where there is none. */
export function headerStatus(block: Buffer): number {
  const match = /^NATS\/1\.0[ \t]+(\d{3})(?!\d)/.exec(block.toString('latin1', 0, 24));
  return match?.[1] === undefined ? 0 : Number(match[1]);
}

/** A block that carries a status and no lines, such as the 503 of a request that nobody answers. */
export function statusHeaders(status: number, text = ''): Buffer {
  return Buffer.from(`${VERSION} ${status}${text === '' ? '' : ` ${text}`}\r\n\r\n`);
}
