import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Child } from '../support/child.ts';
import { freePort } from '../support/ports.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * The walk-through of README.md as steps, and the terminals in which it is typed. A comment before a shell block says
 * where it goes and what must come of it:
 *
 *   <!-- walk: terminal 1, until "text" -->     stays in the foreground once it has said this
 *   <!-- walk: terminal 3, says "text" -->      ends, and has said this
 *   <!-- walk: terminal 3, says "text", again -->   may be typed again until it says so
 *   <!-- walk: terminal 1, press Ctrl-C -->     no block follows
 */
export interface Step {
  readonly terminal: string;
  readonly commands: string;
  readonly until: string;
  readonly says: string;
  readonly again: boolean;
  readonly press: boolean;
}

/** The ports of the walk-through, as they are written in the README and in deploy/hub. */
const PORTS = [1883, 4222, 4223, 7422, 8080, 8222];
const STEP_TIMEOUT_MS = 30_000;

/** Every shell block of the section must belong to a step: an unmarked one would be typed by people and by no test. */
export function stepsOf(readme: string): Step[] {
  const section = /^## Five minutes[\s\S]*?(?=^## )/m.exec(readme)?.[0] ?? '';
  const steps = [...section.matchAll(/^<!-- walk: terminal (\d)(.*) -->\n(?:```sh\n([\s\S]*?)^```$)?/gm)].map(
    ([, terminal = '', what = '', commands = '']) => ({
      terminal,
      commands,
      until: /until "([^"]+)"/.exec(what)?.[1] ?? '',
      says: /says "([^"]+)"/.exec(what)?.[1] ?? '',
      again: what.includes(', again'),
      press: what.includes(', press Ctrl-C'),
    }),
  );
  const blocks = section.split(/^```sh$/m).length - 1;
  const marked = steps.filter(({ commands }) => commands !== '').length;
  if (blocks !== marked) throw new Error(`${blocks} shell blocks in the walk-through, ${marked} of them marked`);
  return steps;
}

/** Puts other ports in the place of the ones as written, all of them, where one of those is taken. */
export async function portSubstitution(): Promise<(text: string) => string> {
  const taken = (await Promise.all(PORTS.map(isTaken))).some(Boolean);
  if (!taken) return (text) => text;
  const substitutes = new Map<string, string>();
  for (const port of PORTS) substitutes.set(String(port), String(await freePort()));
  return (text) =>
    text.replace(new RegExp(`\\b(?:${PORTS.join('|')})\\b`, 'g'), (port) => substitutes.get(port) ?? port);
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(false)));
  });
}

/** A folder that looks like the clone after its first `npm start`: the present build, without its data and the fleet. */
export function makeClone(root: string, folder: string, substitute: (text: string) => string): void {
  for (const name of ['package.json', 'node_modules', 'dist']) symlinkSync(join(root, name), join(folder, name));
  const hub = join('deploy', 'hub');
  mkdirSync(join(folder, hub), { recursive: true });
  for (const entry of readdirSync(join(root, hub), { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { name } = entry;
    writeFileSync(join(folder, hub, name), substitute(readFileSync(join(root, hub, name), 'utf8')));
  }
}

/** An interactive shell on a terminal of its own: Ctrl-C is a key there, and programs see a screen. */
export class Terminal {
  readonly #child: Child;
  #blocks = 0;

  constructor(scope: Scope, folder: string) {
    this.#child = new Child('script', ['-qfc', 'bash --norc --noprofile --noediting', '/dev/null'], {
      cwd: folder,
      env: strangersEnvironment(),
    });
    atEnd(scope, () => this.#end());
  }

  /** Without the echo, so that what is typed isn't taken for what is answered. The trap tells of a command that fails. */
  async start(): Promise<void> {
    this.#type(`stty -echo rows 50 cols 120; trap 'echo "failed: $BASH_COMMAND"' ERR; PS1= PS2=; echo; echo ready\n`);
    await this.#child.line('ready', (line) => line === 'ready', STEP_TIMEOUT_MS);
  }

  /** Types the block; rejects where a command fails, or says something else. */
  async run(step: Step): Promise<void> {
    if (step.press) return this.#ended('\x03', step);
    if (step.until !== '') return this.#foreground(step);
    if (!step.again) return this.#ended(step.commands, step);
    await waitFor(`"${step.says}"`, () => this.#ended(step.commands, step).then(() => true), {
      timeoutMs: STEP_TIMEOUT_MS,
      intervalMs: 200,
    });
  }

  async #foreground({ commands, until }: Step): Promise<void> {
    const from = this.#child.lines.length;
    this.#type(commands);
    await waitFor(`"${until}"`, () => this.#text(from).includes(until), { timeoutMs: STEP_TIMEOUT_MS }).catch(
      (error) => {
        throw new Error(`${commands}${error.message}\n${this.#child.lines.slice(from).join('\n')}`);
      },
    );
  }

  async #ended(typed: string, { says, press }: Step): Promise<void> {
    const from = this.#child.lines.length;
    const end = `end of block ${++this.#blocks}`;
    this.#type(press ? typed : `${typed}echo "${end}"\n`);
    // A key pressed in a program that runs: what follows is for the shell, once it is back.
    if (press) this.#type(`echo "${end}"\n`);
    const isEnd = () => this.#child.lines.indexOf(end, from) >= 0 || !this.#child.running;
    await waitFor(end, isEnd, { timeoutMs: STEP_TIMEOUT_MS }).catch(() => undefined);
    const text = this.#text(from);
    const good = text.includes(end) && text.includes(says) && (press || !text.includes('failed: '));
    if (!good) throw new Error(`typed:\n${typed}wanted: "${says}"\nseen:\n${this.#child.lines.slice(from).join('\n')}`);
  }

  #type(keys: string): void {
    this.#child.process.stdin?.write(keys);
  }

  /** Where a line breaks is up to the width of the screen. */
  #text(from: number): string {
    return this.#child.lines.slice(from).join(' ').replace(/\s+/g, ' ');
  }

  async #end(): Promise<void> {
    // Children of the shell have a group of their own each, so they would outlive it.
    for (const pid of descendants(this.#child.pid)) kill(pid);
    await this.#child.kill();
  }
}

/** That of somebody who has just opened a terminal: nothing that npm or the test runner have put there. */
function strangersEnvironment(): NodeJS.ProcessEnv {
  const ours = Object.keys(process.env).filter((name) => /^(npm_|PETIOLE_|HUB_|NODE_|CI$|FORCE_COLOR$)/i.test(name));
  const path = (process.env.PATH ?? '').split(':').filter((folder) => !folder.endsWith('node_modules/.bin'));
  return {
    ...Object.fromEntries(ours.map((name) => [name, undefined])),
    PATH: [...path, '/usr/sbin', '/sbin'].join(':'),
    NO_COLOR: '1',
    TERM: 'dumb',
    // `npm start` as typed, without installing and building: the tests beside this one run from the same dist.
    NPM_CONFIG_IGNORE_SCRIPTS: 'true',
  };
}

function descendants(pid: number): number[] {
  let children: number[] = [];
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    children = list.split(' ').filter(Boolean).map(Number);
  } catch {
    // It has ended.
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
