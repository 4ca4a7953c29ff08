import { accessSync, constants, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { reachable } from '../config/address.ts';
import { redactText, restoreText } from '../config/edited-copy.ts';
import { explainConfig } from '../config/explain.ts';
import { lineDifference } from '../config/line-difference.ts';
import { type Loaded, loadConfig } from '../config/load.ts';
import type { Problem } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { LogRing } from '../core/log-ring.ts';
import { Gateway } from '../gateway.ts';
import type { ConfigProblem } from '../ops/api.ts';
import { accepts } from '../ops/service-manager.ts';
import { type Health, Settings, type SettingsHost } from '../ops/settings.ts';

/** A client that came a moment ago may go as soon: it is no input that has to be back. */
const SETTLED_MS = 30_000;

/** Runs one box after another in this process: a changed configuration makes another one on the same journal. */
export class BoxRunner implements SettingsHost {
  readonly #log: Log;
  readonly #ring: LogRing;
  readonly settings: Settings;
  readonly #path: string | null;
  #config: Config;
  #gateway: Gateway;
  #swapping: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(loaded: Loaded & { config: Config }, log: Log, ring: LogRing) {
    this.#path = loaded.file;
    this.#config = loaded.config;
    this.#log = log;
    this.#ring = ring;
    this.settings = new Settings(this, log.child({ part: 'config' }));
    this.#gateway = this.#make(loaded.config);
  }

  get gateway(): Gateway {
    return this.#gateway;
  }

  start(): Promise<void> {
    return this.#gateway.start();
  }

  /** Waits for a change that is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#swapping.catch(() => undefined);
    await this.#gateway.stop();
  }

  /** As SIGHUP asks: takes what stands in the file now; what is wrong there changes nothing. */
  async reload(): Promise<void> {
    const loaded = this.#load();
    if (loaded.config === null) {
      const [first] = loaded.problems;
      const reason = first === undefined ? '' : `${first.path}: ${first.message}`;
      this.#log.error({ reason, hint: 'petiole check lists them' }, 'the configuration has mistakes and is not taken');
      return;
    }
    this.#log.info({ file: this.#path }, 'the configuration is read anew');
    await this.#swapTo(loaded.config).catch((error) => {
      this.#log.error({ reason: error.message }, 'the box does not start on it, and goes on as before');
    });
  }

  get file(): string {
    return this.#path ?? '';
  }

  read(): string {
    return this.#path === null ? '' : readFileSync(this.#path, 'utf8');
  }

  readOnly() {
    if (this.#path === null) {
      const hint = 'Start it with --config FILE';
      return { code: 'config_no_file', message: 'This box runs without a configuration file', hint };
    }
    try {
      accessSync(this.#path, constants.W_OK);
      return null;
    } catch {
      const hint = `Let its user write it: ReadWritePaths=${dirname(this.#path)} in a drop-in of the unit, and the rights of the file`;
      return { code: 'config_read_only', message: `The box may not write ${this.#path}`, hint };
    }
  }

  /** By a new file in its place; where only the file itself may be written, in place. */
  write(text: string): void {
    const path = this.#path ?? '';
    const fresh = `${path}.new`;
    try {
      writeFileSync(fresh, text, { mode: statSync(path).mode & 0o777, flush: true });
      renameSync(fresh, path);
    } catch {
      writeFileSync(path, text, { flush: true });
    }
  }

  redact(text: string): string {
    return redactText(text);
  }

  restore(edited: string, original: string) {
    return restoreText(edited, original);
  }

  difference(before: string, after: string): string {
    return lineDifference(before, after);
  }

  inspect(text: string) {
    return { problems: this.#load(text).problems.map(shownProblem), settings: explainConfig(this.#options(text)) };
  }

  async swap(text: string): Promise<void> {
    const { config, problems } = this.#load(text);
    if (config === null) throw new GatewayError('config_invalid', problems[0]?.message ?? '', { retriable: false });
    await this.#swapTo(config);
  }

  async health(isTrial: boolean): Promise<Health> {
    const parts = new Set<string>();
    const { mqtt, nats, status } = this.#gateway.listeners;
    for (const { host, port } of [...mqtt, ...nats, status].filter((address) => address !== null)) {
      const isOpen = await accepts(reachable(host), port).then(
        () => true,
        () => false,
      );
      if (isOpen) parts.add(`listener ${host}:${port}`);
    }
    const { gateway, link, mqtt: edge, serial } = this.#gateway.status();
    if (link.state === 'up') parts.add('link');
    for (const { clientId, connectedAtMs, lastSeenMs } of edge.clients) {
      const isSettled = lastSeenMs - connectedAtMs >= SETTLED_MS || gateway.uptimeS * 1000 < SETTLED_MS;
      if (isTrial || isSettled) parts.add(`mqtt client ${clientId}`);
    }
    for (const port of serial) if (port.state === 'open') parts.add(`serial port ${port.name}`);
    const config = this.#config;
    return { parts, configured: (name) => isConfigured(config, name) };
  }

  #swapTo(config: Config): Promise<void> {
    this.#swapping = this.#swapping.then(() => this.#replace(config));
    const swapped = this.#swapping;
    this.#swapping = swapped.catch(() => undefined);
    return swapped;
  }

  async #replace(config: Config): Promise<void> {
    if (this.#isStopping) throw new GatewayError('stopping', 'The box is stopping');
    const before = this.#config;
    await this.#gateway.stop();
    try {
      await this.#run(config);
    } catch (error) {
      await this.#run(before);
      throw error;
    }
  }

  async #run(config: Config): Promise<void> {
    // Before: the logs of the parts take the level that it has then.
    this.#log.level = config.log.level;
    const gateway = this.#make(config);
    await gateway.start();
    this.#gateway = gateway;
    this.#config = config;
    this.#log.info({ part: 'main', listeners: gateway.listeners }, 'ready on another configuration');
  }

  #make(config: Config): Gateway {
    return new Gateway(config, this.#log, this.#ring, this.settings);
  }

  #options(text?: string) {
    return { file: this.#path, env: process.env, cwd: process.cwd(), ...(text !== undefined && { text }) };
  }

  #load(text?: string): Loaded {
    return loadConfig(this.#options(text));
  }
}

function shownProblem({ path, line, variable, message, hint }: Problem): ConfigProblem {
  return { path: variable ?? path, line, severity: 'error', message, hint };
}

/** What the new configuration has no place for need not be back. */
function isConfigured({ mqtt, nats, status, serial, modbus, upstream }: Config, name: string): boolean {
  if (name === 'link') return upstream !== null;
  if (name.startsWith('mqtt client ')) return mqtt.listeners.length > 0;
  if (name.startsWith('serial port '))
    return [...serial, ...modbus].some((port) => name === `serial port ${port.name}`);
  const addresses = [...mqtt.listeners, ...(nats?.listeners ?? []), ...(status === null ? [] : [status])];
  return addresses.some(({ host, port }) => name === `listener ${host}:${port}`);
}
