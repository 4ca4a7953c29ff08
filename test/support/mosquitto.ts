import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, type Exit } from './child.ts';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';

const READY_TIMEOUT_MS = 10_000;
const CLIENT_TIMEOUT_MS = 10_000;

export interface MosquittoOptions {
  /** Keeps sessions and messages in `persistenceDir` (default: a temp folder of the scope). */
  persistence?: boolean;
  persistenceDir?: string;
  /** Raw configuration lines. */
  extra?: string;
  /** The program and its first arguments; default: the one on PATH. */
  command?: readonly string[];
}

/** A running broker that is killed when the scope ends: the peer of the benchmark. */
export async function startMosquitto(
  scope: Scope,
  options: MosquittoOptions = {},
): Promise<{ port: number; pid: number; child: Child }> {
  const dir = tempDir(scope, 'mosquitto');
  const port = await freePort();
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'log_dest stderr',
    'log_type error',
    'log_type notice',
    'log_type information',
  ];
  // As root it would drop to its own user, who may not write to the test's folder.
  if (process.getuid?.() === 0) lines.push('user root');
  if (options.persistence) lines.push('persistence true');
  lines.push(`persistence_location ${options.persistenceDir ?? dir}/`);
  if (options.extra !== undefined) lines.push(options.extra);
  const file = join(dir, 'mosquitto.conf');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const [program = 'mosquitto', ...first] = options.command ?? [];
  const child = new Child(program, [...first, '-c', file]);
  atEnd(scope, async () => {
    await child.kill();
  });
  await child.line('running', (line) => /version \S+ running$/.test(line), READY_TIMEOUT_MS);
  return { port, pid: child.pid, child };
}

/** What a command-line client said and how it ended; `code` is the MQTT reason code or 0. */
export interface ClientResult extends Exit {
  lines: readonly string[];
}

/** Runs `mosquitto_pub` to its end, for example `mosquittoPub(port, '-t', 'a/b', '-m', 'x', '-q', '1')`. */
export function mosquittoPub(port: number, ...args: string[]): Promise<ClientResult> {
  return runClient('mosquitto_pub', port, args);
}

/** Runs `mosquitto_sub` to its end; give it `-C <count>` or `-W <seconds>`. */
export function mosquittoSub(port: number, ...args: string[]): Promise<ClientResult> {
  return runClient('mosquitto_sub', port, args);
}

/** A `mosquitto_sub` in the background that has its SUBACK; its `lines` are the messages, after debug lines of the client. */
export async function startMosquittoSub(scope: Scope, port: number, ...args: string[]): Promise<Child> {
  const child = new Child('mosquitto_sub', ['-h', '127.0.0.1', '-p', String(port), '-d', ...args]);
  atEnd(scope, async () => {
    await child.kill();
  });
  await child.line('SUBACK', (line) => line.includes('Subscribed (mid'), READY_TIMEOUT_MS);
  return child;
}

/** As `startMosquittoSub`, with its messages at once: its stdout is a pipe, and without stdbuf it keeps its lines back. */
export async function startLineSub(scope: Scope, port: number, ...args: string[]): Promise<Child> {
  const child = new Child('stdbuf', ['-oL', 'mosquitto_sub', '-h', '127.0.0.1', '-p', String(port), '-d', ...args]);
  atEnd(scope, async () => {
    await child.kill();
  });
  await child.line('SUBACK', (line) => line.includes('Subscribed (mid'), READY_TIMEOUT_MS);
  return child;
}

async function runClient(program: string, port: number, args: readonly string[]): Promise<ClientResult> {
  const child = new Child(program, ['-h', '127.0.0.1', '-p', String(port), ...args]);
  child.process.stdin?.end();
  const timer = setTimeout(() => child.signal('SIGKILL'), CLIENT_TIMEOUT_MS);
  const exit = await child.exited;
  clearTimeout(timer);
  return { ...exit, lines: child.lines };
}
