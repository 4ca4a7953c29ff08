import type { ReadStream } from 'node:tty';
import { PASSWORD_BYTES_MAX } from '../core/password.ts';

/** Keys of a terminal in raw mode. */
const key = { interrupt: '\x03', end: '\x04', backspace: '\x08', delete: '\x7f', kill: '\x15' } as const;

/**
 * A password from the terminal, typed twice and not shown, or else from the first line of stdin. Never from the
 * arguments: every user of the machine can read those. Rejects with an Error in the words of its reader.
 */
export async function readPassword(name: string): Promise<string> {
  const { stdin } = process;
  const password = stdin.isTTY ? await ask(stdin, name) : await firstLine(stdin);
  if (password === '') throw new Error('the password is empty');
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX) {
    throw new Error(`the password is longer than ${PASSWORD_BYTES_MAX} bytes`);
  }
  if (/\p{Cc}/u.test(password)) throw new Error('the password has control characters, which no client could type');
  return password;
}

async function ask(terminal: ReadStream, name: string): Promise<string> {
  const first = await typed(terminal, `Password of ${name}: `);
  if (first !== '' && first !== (await typed(terminal, 'Once more: '))) throw new Error('the two are not the same');
  return first;
}

/** One line, not echoed. */
async function typed(terminal: ReadStream, prompt: string): Promise<string> {
  // Before the prompt: whoever types as soon as it stands there must not be echoed.
  terminal.setRawMode(true);
  process.stderr.write(prompt);
  terminal.setEncoding('utf8');
  terminal.resume();
  let line: string[] = [];
  try {
    return await new Promise((resolve, reject) => {
      const read = (text: string): void => {
        for (const character of text) {
          if (character === key.interrupt || character === key.end) {
            settle(() => reject(new Error('given up')));
            return;
          }
          if (character === '\r' || character === '\n') {
            settle(() => resolve(line.join('')));
            return;
          }
          if (character === key.backspace || character === key.delete) line.pop();
          else if (character === key.kill) line = [];
          else if (line.length < PASSWORD_BYTES_MAX) line.push(character);
        }
      };
      const settle = (how: () => void): void => {
        terminal.off('data', read);
        how();
      };
      terminal.on('data', read);
    });
  } finally {
    terminal.setRawMode(false);
    terminal.pause();
    process.stderr.write('\n');
  }
}

async function firstLine(stdin: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    chunks.push(chunk as Buffer);
    bytes += chunk.length;
    if (chunk.includes(0x0a) || bytes > PASSWORD_BYTES_MAX + 2) break;
  }
  const [line = ''] = Buffer.concat(chunks).toString('utf8').split('\n', 1);
  return line.replace(/\r$/, '');
}
