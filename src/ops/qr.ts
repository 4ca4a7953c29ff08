import { encode, renderUnicodeCompact } from 'uqr';

/** White modules around a code, as readers want them (ISO/IEC 18004, 6.3.8). */
const QUIET_MODULES = 4;

/** A QR code as the path of an SVG of `size` units: each run of dark modules is a rectangle one unit high. */
export function qrPath(text: string): { size: number; path: string } {
  const { size, data } = encode(text, { ecc: 'M', border: QUIET_MODULES });
  const runs: string[] = [];
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < size; x++) {
      const start = x;
      while (row[x]) x++;
      if (x > start) runs.push(`M${start} ${y}h${x - start}v1h-${x - start}z`);
    }
  }
  return { size, path: runs.join('') };
}

/** For a terminal: two modules in each character. */
export function qrText(text: string): string {
  return renderUnicodeCompact(text, { ecc: 'M', border: 2 });
}
