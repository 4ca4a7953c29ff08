import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.ts';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';

const READY_TIMEOUT_MS = 15_000;
/** Two test files may draw the same port in the same moment. */
const START_ATTEMPTS_MAX = 3;

export interface NatsTls {
  cert: string;
  key: string;
  ca?: string;
  /** Ask for a client certificate. */
  verify?: boolean;
  /** `verify_and_map`: the certificate's name is the user. */
  map?: boolean;
  /** `handshake_first`, of the leafnodes block, from 2.10 on. */
  first?: boolean;
}

/** The hub announces an address at which nobody is: announcing its own, it would lead the box past the test's proxy. */
export const BEHIND_PROXY = { raw: '  advertise: "127.0.0.1:1"' };

export interface NatsServerOptions {
  /** The program; default: the one on PATH. */
  binary?: string;
  name?: string;
  /** Default false. `syncAlways` needs nats-server 2.10 or newer; `maxStore` as in the configuration, for example '1GB'. */
  jetstream?: boolean | { storeDir?: string; syncAlways?: boolean; maxStore?: string; domain?: string };
  /** Default false. `raw` is pasted into the leafnodes block. */
  leafnodes?: boolean | { user?: string; password?: string; account?: string; tls?: NatsTls; raw?: string };
  /** The websocket listener, in the clear unless there is `tls`; leaf nodes need the leafnodes block beside it. */
  websocket?: boolean | { tls: NatsTls };
  /** The MQTT listener; needs jetstream. */
  mqtt?: boolean;
  /** Server-wide users or token; the clients of the test then need them too. */
  authorization?: { user: string; password: string } | { token: string };
  /** Body of the accounts block. */
  accounts?: string;
  maxPayload?: number;
  /** Raw configuration at the top level. */
  extra?: string;
  /** Folder for the configuration and the store; default: a temp folder of the scope. */
  dir?: string;
}

/** A real nats-server on loopback; ports and store stay the same over `restart()`. */
export class NatsServer {
  #options: NatsServerOptions;
  readonly #dir: string;
  #child: Child | null = null;
  #lines: string[] = [];
  clientPort = 0;
  leafPort = 0;
  mqttPort = 0;
  webSocketPort = 0;
  monitorPort = 0;

  constructor(options: NatsServerOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
  }

  get clientUrl(): string {
    return `nats://127.0.0.1:${this.clientPort}`;
  }

  /** For `upstream.urls`; carries no credentials. */
  get leafUrl(): string {
    const { leafnodes } = this.#options;
    const tls = typeof leafnodes === 'object' && leafnodes.tls !== undefined;
    return `${tls ? 'tls' : 'nats'}://127.0.0.1:${this.leafPort}`;
  }

  /** For `upstream.urls`, of the websocket listener. */
  get webSocketUrl(): string {
    return `${typeof this.#options.websocket === 'object' ? 'wss' : 'ws'}://127.0.0.1:${this.webSocketPort}`;
  }

  get monitorUrl(): string {
    return `http://127.0.0.1:${this.monitorPort}`;
  }

  get storeDir(): string {
    const { jetstream } = this.#options;
    return (typeof jetstream === 'object' ? jetstream.storeDir : undefined) ?? join(this.#dir, 'store');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child?.running ?? false;
  }

  /** Log lines of the present run. */
  get log(): readonly string[] {
    return this.#child?.lines ?? this.#lines;
  }

  /** Draws ports and waits until the server takes clients. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.clientPort = await freePort();
      this.monitorPort = await freePort();
      this.leafPort = this.#options.leafnodes ? await freePort() : 0;
      this.mqttPort = this.#options.mqtt ? await freePort() : 0;
      this.webSocketPort = this.#options.websocket ? await freePort() : 0;
      try {
        await this.#launch();
        return;
      } catch (error) {
        const taken = this.log.some((line) => line.includes('address already in use'));
        if (!taken || attempt === START_ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** SIGTERM and wait; a paused server is let go on first. */
  async stop(): Promise<void> {
    this.#child?.signal('SIGCONT');
    await this.#child?.stop();
  }

  /** SIGKILL, as a power cut of the process. */
  async kill(): Promise<void> {
    await this.#child?.kill();
  }

  /** Stops it if it runs, then starts it on the same ports and store, with `changes` to what it was made with. */
  async restart(changes: Partial<NatsServerOptions> = {}): Promise<void> {
    await this.stop();
    this.#options = { ...this.#options, ...changes };
    await this.#launch();
  }

  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void {
    this.#child?.signal('SIGSTOP');
  }

  resume(): void {
    this.#child?.signal('SIGCONT');
  }

  /** The JSON of a monitoring page, for example `monitor<{ leafnodes: number }>('/leafz')`. */
  async monitor<T = unknown>(path: string): Promise<T> {
    const answer = await fetch(this.monitorUrl + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return (await answer.json()) as T;
  }

  async #launch(): Promise<void> {
    mkdirSync(this.#dir, { recursive: true });
    const file = join(this.#dir, 'nats-server.conf');
    writeFileSync(file, this.#configuration());
    this.#child = new Child(this.#options.binary ?? 'nats-server', ['-c', file]);
    try {
      await this.#child.line('Server is ready', (line) => line.includes('Server is ready'), READY_TIMEOUT_MS);
    } catch (error) {
      this.#lines = this.#child.lines;
      await this.#child.kill();
      throw error;
    }
  }

  #configuration(): string {
    const { name, jetstream, leafnodes, websocket, mqtt, authorization, accounts, maxPayload, extra } = this.#options;
    const lines = [
      `server_name: "${name ?? 'hub'}"`,
      `host: "127.0.0.1"`,
      `port: ${this.clientPort}`,
      `http: "127.0.0.1:${this.monitorPort}"`,
    ];
    if (maxPayload !== undefined) lines.push(`max_payload: ${maxPayload}`);
    if (jetstream) {
      const { syncAlways = false, maxStore, domain } = jetstream === true ? {} : jetstream;
      lines.push('jetstream {', `  store_dir: "${this.storeDir}"`);
      if (syncAlways) lines.push('  sync_interval: always');
      if (maxStore !== undefined) lines.push(`  max_file_store: ${maxStore}`);
      if (domain !== undefined) lines.push(`  domain: "${domain}"`);
      lines.push('}');
    }
    if (leafnodes) lines.push(...this.#leafnodeBlock(leafnodes === true ? {} : leafnodes));
    if (websocket) {
      const tls = websocket === true ? 'no_tls: true' : `tls { ${tlsFields(websocket.tls)} }`;
      lines.push(`websocket { host: "127.0.0.1", port: ${this.webSocketPort}, ${tls} }`);
    }
    if (mqtt) lines.push(`mqtt { host: "127.0.0.1", port: ${this.mqttPort} }`);
    if (authorization) {
      const inner =
        'token' in authorization
          ? `token: "${authorization.token}"`
          : `user: "${authorization.user}", password: "${authorization.password}"`;
      lines.push(`authorization { ${inner} }`);
    }
    if (accounts !== undefined) lines.push(`accounts {\n${accounts}\n}`);
    if (extra !== undefined) lines.push(extra);
    return `${lines.join('\n')}\n`;
  }

  #leafnodeBlock(leafnodes: Exclude<NatsServerOptions['leafnodes'], boolean | undefined>): string[] {
    const { user, password, account, tls, raw } = leafnodes;
    const lines = ['leafnodes {', '  host: "127.0.0.1"', `  port: ${this.leafPort}`];
    if (user !== undefined) {
      const bound = account === undefined ? '' : `, account: "${account}"`;
      lines.push(`  authorization { user: "${user}", password: "${password ?? ''}"${bound} }`);
    }
    if (tls !== undefined) {
      lines.push(`  tls { ${tlsFields(tls)}${tls.first ? ', handshake_first: true' : ''} }`);
    }
    if (raw !== undefined) lines.push(raw);
    lines.push('}');
    return lines;
  }
}

function tlsFields({ cert, key, ca, verify, map }: NatsTls): string {
  const authority = ca === undefined ? '' : `, ca_file: "${ca}"`;
  const asked = map ? ', verify_and_map: true' : verify ? ', verify: true' : '';
  return `cert_file: "${cert}", key_file: "${key}"${authority}${asked}`;
}

/** A running server that is killed when the scope ends. */
export async function startNatsServer(scope: Scope, options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = new NatsServer(options, options.dir ?? tempDir(scope, 'nats'));
  atEnd(scope, () => server.kill());
  await server.start();
  return server;
}
