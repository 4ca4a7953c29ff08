import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Child } from './child.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';

const FOLDER = join(import.meta.dirname, '../../firmware-bridge');
const START_TIMEOUT_MS = 15_000;

let isBuilt = false;

/** The C library as a process on a pty; what it takes and says is in firmware-bridge/README.md. */
export class SimulatedBoard {
  /** A link to the pty. */
  readonly path: string;
  /** What survives its resets, and the image that it runs. */
  readonly #state: string;
  readonly #options: readonly string[];
  readonly #program: string;
  #child: Child | null = null;
  /** Of earlier processes of this board. */
  readonly #linesBefore: string[] = [];

  constructor(path: string, state: string, options: readonly string[], program: string) {
    this.path = path;
    this.#state = state;
    this.#options = options;
    this.#program = program;
  }

  async start(): Promise<void> {
    if (!isBuilt) execFileSync('make', ['-s', '-C', FOLDER, 'simulator'], { stdio: 'pipe' });
    isBuilt = true;
    this.#linesBefore.push(...this.lines);
    this.#child = new Child(join(FOLDER, 'build', this.#program), [
      '--link',
      this.path,
      '--state',
      this.#state,
      ...this.#options,
    ]);
    await this.#child.line('its pty', (line) => line.startsWith('pty '), START_TIMEOUT_MS);
  }

  get runningImage(): string {
    return `${this.#state}.run`;
  }

  /** What it said since its process began. */
  get lines(): readonly string[] {
    return this.#child?.lines ?? [];
  }

  /** The second words of all lines that begin with `word`, of earlier processes too. */
  told(word: string): string[] {
    const lines = [...this.#linesBefore, ...this.lines];
    return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  }

  /** How many values it made. */
  get produced(): number {
    return Math.max(0, ...this.told('produced').map(Number));
  }

  /** Calls back for every line of the present process from now on. */
  watch(watcher: (line: string) => void): void {
    this.#child?.watch(watcher);
  }

  /** A line for its stdin. */
  say(line: string): void {
    this.#child?.process.stdin?.write(`${line}\n`);
  }

  async kill(): Promise<void> {
    await this.#child?.kill();
  }
}

export interface SimulatorOptions {
  /** Of the simulator: `['--rate', '20']`. */
  options?: readonly string[];
  crc16?: boolean;
}

/** A running board, killed when the scope ends. */
export async function startBoard(
  scope: Scope,
  { options = [], crc16 = false }: SimulatorOptions = {},
): Promise<SimulatedBoard> {
  const folder = tempDir(scope, 'board');
  const program = crc16 ? 'petiole-board-crc16' : 'petiole-board';
  const board = new SimulatedBoard(join(folder, 'tty'), join(folder, 'flash'), options, program);
  atEnd(scope, () => board.kill());
  await board.start();
  return board;
}
