import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Child, type Exit } from './child.ts';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';

/** The build of this clone. */
export const DIST = join(import.meta.dirname, '../../dist');
/** Far beyond what a start takes: some seconds on a machine with much else to do. */
const READY_TIMEOUT_MS = 60_000;

/** Sections of petiole.yaml in its own words; a section given here replaces the default one. */
export type BoxConfig = Record<string, unknown>;

export interface BoxOptions {
  config?: BoxConfig;
  env?: NodeJS.ProcessEnv;
  /** Default: a temp folder of the scope. Keep one to start another box on the same journal. */
  dataDir?: string;
  /** `gateway.name`; default 'box'. */
  name?: string;
  /** Options of the Node process itself, for example `--cpu-prof`. */
  nodeArgs?: readonly string[];
  /** The program that runs it with its first arguments; default: the Node of the test. */
  command?: readonly string[];
  /** How long it may take until it says that it is ready. */
  readyTimeoutMs?: number;
  /** Another build than that of this clone; see broken-build.ts. */
  dist?: string;
}

/** One line of the box's log. */
export interface LogLine {
  level?: number;
  part?: string;
  msg?: string;
  [field: string]: unknown;
}

interface Address {
  host: string;
  port: number;
}

/** The real box, `node dist/main.js run --config FILE`, in a process of its own. */
export class Box {
  /** Options of Node for every box of this process: the benchmark's profiles. */
  static profiling: readonly string[] = [];

  #options: BoxOptions;
  readonly #dir: string;
  readonly dataDir: string;
  #child: Child | null = null;
  #mqttPort = 0;
  #statusPort = 0;
  #natsPort = 0;
  /** First port of each configured MQTT listener, in order. */
  mqttPorts: readonly number[] = [];

  constructor(options: BoxOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
    this.dataDir = options.dataDir ?? join(dir, 'data');
  }

  get mqttPort(): number {
    return this.#mqttPort;
  }

  get mqttUrl(): string {
    return `mqtt://127.0.0.1:${this.#mqttPort}`;
  }

  /** For NATS clients. */
  get natsUrl(): string {
    return `nats://127.0.0.1:${this.#natsPort}`;
  }

  get natsPort(): number {
    return this.#natsPort;
  }

  get statusUrl(): string {
    return `http://127.0.0.1:${this.#statusPort}`;
  }

  get configFile(): string {
    return join(this.#dir, 'petiole.yaml');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child?.running ?? false;
  }

  /** Settles when the present run ends, however it ends. */
  get exited(): Promise<Exit> {
    return this.#run().exited;
  }

  /** Raw lines of stdout and stderr of the present run. */
  get lines(): readonly string[] {
    return this.#child?.lines ?? [];
  }

  /** Parsed log lines of the present run; what is not JSON is left out. */
  get log(): LogLine[] {
    return this.lines.map(parseLogLine).filter((line) => line !== undefined);
  }

  /** Draws ports once, writes the configuration and waits for the line `ready`. */
  async start(): Promise<void> {
    const main = join(this.#options.dist ?? DIST, 'main.js');
    if (!existsSync(main)) throw new Error(`${main} is missing: run \`npm run build\` first`);
    if (this.#mqttPort === 0) {
      this.#mqttPort = await freePort();
      this.#statusPort = await freePort();
      this.#natsPort = await freePort();
      writeFileSync(this.configFile, this.#configuration());
    }
    const [program = process.execPath, ...first] = this.#options.command ?? [];
    const args = [
      ...first,
      ...(this.#options.nodeArgs ?? []),
      ...Box.profiling,
      main,
      'run',
      '--config',
      this.configFile,
    ];
    this.#child = new Child(program, args, {
      cwd: this.#dir,
      ...(this.#options.env && { env: this.#options.env }),
    });
    const isReady = (text: string) => parseLogLine(text)?.msg === 'ready';
    try {
      const line = await this.#child.line(
        'the log line "ready"',
        isReady,
        this.#options.readyTimeoutMs ?? READY_TIMEOUT_MS,
      );
      const { mqtt = [], status } = (parseLogLine(line)?.listeners ?? {}) as { mqtt?: Address[]; status?: Address };
      this.mqttPorts = mqtt.map(({ port }) => port);
      this.#mqttPort = this.mqttPorts[0] ?? this.#mqttPort;
      this.#statusPort = status?.port ?? this.#statusPort;
    } catch (error) {
      await this.#child.kill();
      throw error;
    }
  }

  /** Resolves with the first log line, also one already written, that `match` accepts. */
  async logged(what: string, match: (line: LogLine) => boolean, timeoutMs = 10_000): Promise<LogLine> {
    const accepts = (text: string) => {
      const line = parseLogLine(text);
      return line !== undefined && match(line);
    };
    return JSON.parse(await this.#run().line(what, accepts, timeoutMs)) as LogLine;
  }

  /** `/status.json` as it is. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read deep into a page whose shape the parts define
  async status(): Promise<any> {
    const answer = await fetch(`${this.statusUrl}/status.json`);
    if (!answer.ok) throw new Error(`/status.json: ${answer.status}`);
    return answer.json();
  }

  /** SIGTERM; resolves with how it ended (`code` 0 when it shut down in order). */
  async stop(): Promise<Exit> {
    this.#child?.signal('SIGCONT');
    return this.#run().stop();
  }

  async kill9(): Promise<void> {
    await this.#child?.kill();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.signal(signal);
  }

  /** Another configuration on the same data folder and the same ports; holds from the next start on. */
  configure(config: BoxConfig): void {
    this.#options = { ...this.#options, config };
    if (this.#mqttPort !== 0) writeFileSync(this.configFile, this.#configuration());
  }

  /** Stops it in order if it still runs, then starts it on the same data folder and the same ports. */
  async restart(): Promise<void> {
    if (this.running) await this.stop();
    await this.start();
  }

  #run(): Child {
    if (this.#child === null) throw new Error('the box was never started');
    return this.#child;
  }

  #configuration(): string {
    const { config = {}, name = 'box' } = this.#options;
    const { gateway, ...rest } = config;
    return stringify({
      gateway: { name, data: this.dataDir, ...(gateway as object | undefined) },
      mqtt: { listeners: [{ listen: `127.0.0.1:${this.#mqttPort}` }] },
      nats: { listen: `127.0.0.1:${this.#natsPort}` },
      status: { listen: `127.0.0.1:${this.#statusPort}` },
      ...rest,
    });
  }
}

function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined;
  }
}

/** A running box that is killed when the scope ends; one that is profiled is stopped, since it writes its profile then. */
export async function startBox(scope: Scope, options: BoxOptions = {}): Promise<Box> {
  const box = new Box(options, tempDir(scope, 'box'));
  atEnd(scope, async () => {
    if (Box.profiling.length > 0 && box.running) await box.stop();
    await box.kill9();
  });
  await box.start();
  return box;
}
