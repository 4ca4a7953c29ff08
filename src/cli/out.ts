import type { Terminal } from '../ops/terminal.ts';

/** What the commands write to. */

/** Where the terminal does not know its own width: a serial console reports 0. */
const CONSOLE_COLUMNS = 80;

/** stdout as a terminal. Piped output is for a file or grep, where a cut line would lose what it is looked for. */
export function terminalOut(): Terminal {
  // no-color.org: set and not empty means no colours.
  const colour = process.stdout.isTTY && !process.env.NO_COLOR;
  return {
    colour,
    columns: process.stdout.isTTY ? process.stdout.columns || CONSOLE_COLUMNS : Number.MAX_SAFE_INTEGER,
  };
}

/** JSON leaves these characters as they are, and some terminals obey them. */
export function writeJson(value: unknown, isOneLine = false): void {
  const text = JSON.stringify(value, null, isOneLine ? 0 : 2);
  const safe = text.replace(/[\u007f-\u009f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  process.stdout.write(`${safe}\n`);
}
