const BYTES_PER_ROW = 16;

/** Rows of sixteen bytes as hex and text; `head` stands before the first one. */
export function hexDump(bytes: Buffer, head: string): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += BYTES_PER_ROW) {
    const row = bytes.subarray(at, at + BYTES_PER_ROW);
    const hex = (row.toString('hex').match(/../g) ?? []).join(' ').padEnd(BYTES_PER_ROW * 3);
    const shown = row.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '.');
    text += `${at === 0 ? head : ' '.repeat(head.length)}${hex} ${shown}\n`;
  }
  return text;
}
