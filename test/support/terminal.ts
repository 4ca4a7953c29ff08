import { Child, type Exit } from './child.ts';
import { atEnd, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

/** A command at a real terminal: util-linux's `script` gives it a pty of its own. */
export class Terminal {
  readonly #child: Child;
  /** All that stood on the screen. */
  screen = '';

  constructor(scope: Scope, command: readonly string[], cwd: string) {
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    this.#child = new Child('script', ['--quiet', '--return', '--command', `exec ${quoted}`, '/dev/null'], { cwd });
    atEnd(scope, async () => {
      await this.#child.kill();
    });
    this.#child.process.stdout?.on('data', (chunk: Buffer) => {
      this.screen += chunk.toString('utf8');
    });
  }

  get exited(): Promise<Exit> {
    return this.#child.exited;
  }

  /** Waits for a text behind what was waited for before, then types. */
  async answer(prompt: string, keys: string): Promise<void> {
    const from = this.#seen;
    await waitFor(JSON.stringify(prompt), () => this.screen.includes(prompt, from), { timeoutMs: 20_000 });
    this.#seen = this.screen.indexOf(prompt, from) + prompt.length;
    this.#child.process.stdin?.write(keys);
  }

  #seen = 0;
}
