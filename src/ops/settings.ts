import { createHash, randomBytes } from 'node:crypto';
import { describeError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ConfigChange, ConfigCheck, ConfigProblem, ConfigState, ConfigTrial, ConfigValue } from './api.ts';
import { ApiFault } from './exchange.ts';
import type { Failure } from './snapshot.ts';

/** How often a configuration on trial is looked at. */
const LOOK_MS = 500;
/** It has to be well for so long before it is kept: a listener may open, and a link fall, within the first second. */
const WELL_MS = 3000;
/** The answer to who asked goes out before the box is taken down. */
const ANSWER_MS = 250;
/** What is missing is named, as far as somebody reads it. */
const MISSING_MAX = 50;

/** A setting with its value, also where it is a secret: `raw` is compared and never shown. */
export interface Setting extends ConfigValue {
  readonly raw: string;
}

/** What is judged by: names of what is there now. */
export interface Health {
  /** `link`, where it is up. */
  readonly parts: ReadonlySet<string>;
  /** Of those that a configuration still has: what is not in it need not come back. */
  readonly configured: (name: string) => boolean;
}

/** What the settings need of who runs the box. */
export interface SettingsHost {
  /** '' where there is none. */
  readonly file: string;
  /** The file as it stands; throws where it cannot be read. */
  read(): string;
  /** Null where it can be written. */
  readOnly(): Failure | null;
  /** Whole or not at all. */
  write(text: string): void;
  redact(text: string): string;
  /** An edited copy with the secrets of the original. */
  restore(edited: string, original: string): { text: string; missing: string[] };
  difference(before: string, after: string): string;
  /** What is wrong with a text, and the settings that it makes. */
  inspect(text: string): { problems: ConfigProblem[]; settings: Setting[] };
  /** Puts the box on this text; rejects where that cannot start, and then the box runs as before. */
  swap(text: string): Promise<void>;
  /** `isTrial`: what has just come back counts, too. */
  health(isTrial: boolean): Promise<Health>;
}

/**
 * The configuration as it is read, checked, and changed with commit-confirm: an edited copy is in force at once, the file
 * keeps the old one, and only where what was well before is well again the copy takes the file's place. A power cut
 * meanwhile brings the old one back.
 *
 *   apply ─▶ applying ─▶ watching ─┬─▶ kept        the file is written
 *                │                 └─▶ reverted    by time, by an operator
 *                └─▶ reverted                      it could not start
 */
export class Settings {
  readonly #host: SettingsHost;
  readonly #log: Log;
  #trial: ConfigTrial | null = null;
  #last: ConfigTrial | null = null;
  /** Ends the watching: true keeps it. */
  #decide: ((isKept: boolean, reason: string) => void) | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(host: SettingsHost, log: Log) {
    this.#host = host;
    this.#log = log;
  }

  get trial(): ConfigTrial | null {
    return this.#trial;
  }

  /** Resolves once no trial is under way. */
  get settled(): Promise<void> {
    return this.#running;
  }

  state(): ConfigState {
    const host = this.#host;
    const text = this.#text();
    return {
      file: host.file,
      readOnly: host.readOnly(),
      text: host.redact(text),
      revision: revisionOf(text),
      values: host.inspect(text).settings.map(({ raw: _raw, ...value }) => value),
      trial: this.#trial,
      last: this.#last,
    };
  }

  /** Every secret of the configuration as it is: for taking them out of what leaves the box. */
  secrets(): string[] {
    const { settings } = this.#host.inspect(this.#text());
    return settings.filter(({ value, raw }) => value !== raw && value === '[redacted]').map(({ raw }) => raw);
  }

  check(edited: string): ConfigCheck {
    const host = this.#host;
    const before = this.#text();
    const { text, problems, settings } = this.#restored(edited, before);
    return {
      isValid: problems.every(({ severity }) => severity !== 'error'),
      problems,
      changes: changesOf(host.inspect(before).settings, settings),
      diff: host.difference(host.redact(before), host.redact(text)),
      restarts: text !== before,
    };
  }

  /** Throws ApiFault where the copy is of an older file, has problems, or another one is on trial. */
  apply(edited: string, revision: string, confirmS: number, by: string): ConfigTrial {
    const host = this.#host;
    const before = this.#text();
    if (this.#trial !== null) throw new ApiFault(409, 'config_on_trial', 'Another configuration is on trial', 'Wait');
    const readOnly = host.readOnly();
    if (readOnly !== null) throw new ApiFault(409, readOnly.code, readOnly.message, readOnly.hint);
    if (revision !== '' && revision !== revisionOf(before)) {
      throw new ApiFault(409, 'config_changed', 'The file has changed since this copy was taken', 'Load it again');
    }
    const { text, problems } = this.#restored(edited, before);
    if (problems.some(({ severity }) => severity === 'error')) {
      throw new ApiFault(400, 'config_invalid', 'There are mistakes in it', 'Mend what `problems` lists', {
        more: { problems },
      });
    }
    const nowMs = Date.now();
    const trial: ConfigTrial = {
      id: randomBytes(6).toString('hex'),
      state: 'applying',
      by,
      sinceMs: nowMs,
      untilMs: nowMs + confirmS * 1000,
      missing: [],
      reason: '',
    };
    this.#trial = trial;
    this.#log.warn({ by, confirmS }, 'another configuration is put on trial');
    this.#running = this.#try(trial, before, text, confirmS * 1000);
    return { ...trial };
  }

  keep(): ConfigTrial {
    return this.#end(true, '');
  }

  revert(by: string): ConfigTrial {
    return this.#end(false, `${by} took it back`);
  }

  #end(isKept: boolean, reason: string): ConfigTrial {
    if (this.#trial === null || this.#decide === null) {
      throw new ApiFault(409, 'no_trial', 'No configuration is on trial');
    }
    this.#decide(isKept, reason);
    return { ...this.#trial };
  }

  async #try(trial: ConfigTrial, before: string, text: string, confirmMs: number): Promise<void> {
    const host = this.#host;
    const well = await host.health(false);
    await sleep(ANSWER_MS);
    try {
      await host.swap(text);
    } catch (error) {
      this.#finish(trial, 'reverted', `it could not start: ${describeError(error).message}`);
      return;
    }
    trial.state = 'watching';
    const { isKept, reason } = await this.#watch(trial, well, confirmMs);
    if (isKept) {
      try {
        host.write(text);
        this.#finish(trial, 'kept', '');
        return;
      } catch (error) {
        // In force now and gone at the next start would be the worst of both.
        await this.#back(trial, before, `the file could not be written: ${describeError(error).message}`);
        return;
      }
    }
    await this.#back(trial, before, reason);
  }

  async #back(trial: ConfigTrial, before: string, reason: string): Promise<void> {
    trial.state = 'applying';
    try {
      await this.#host.swap(before);
    } catch (error) {
      this.#log.error(describeError(error), 'the old configuration does not start any more');
    }
    this.#finish(trial, 'reverted', reason);
  }

  #watch(trial: ConfigTrial, before: Health, confirmMs: number): Promise<{ isKept: boolean; reason: string }> {
    const decision = Promise.withResolvers<{ isKept: boolean; reason: string }>();
    const deadline = performance.now() + confirmMs;
    let wellSince: number | null = null;
    this.#decide = (isKept, reason) => decision.resolve({ isKept, reason });
    const look = async (): Promise<void> => {
      const now = await this.#host.health(true);
      const missing = [...before.parts].filter((name) => !now.parts.has(name) && now.configured(name));
      trial.missing = missing.slice(0, MISSING_MAX);
      const atMs = performance.now();
      wellSince = missing.length === 0 ? (wellSince ?? atMs) : null;
      if (wellSince !== null && atMs - wellSince >= WELL_MS) this.#decide?.(true, '');
      else if (atMs >= deadline) this.#decide?.(false, `not back in time: ${trial.missing.join(', ')}`);
    };
    const timer = setInterval(() => {
      look().catch((error) => this.#log.error({ err: error }, 'the configuration on trial could not be looked at'));
    }, LOOK_MS);
    return decision.promise.finally(() => {
      clearInterval(timer);
      this.#decide = null;
    });
  }

  #finish(trial: ConfigTrial, state: 'kept' | 'reverted', reason: string): void {
    this.#last = { ...trial, state, reason };
    this.#trial = null;
    if (state === 'kept') this.#log.info('the configuration on trial is kept');
    else this.#log.warn({ reason }, 'the old configuration is back');
  }

  #text(): string {
    return this.#host.read();
  }

  #restored(edited: string, before: string) {
    const { text, missing } = this.#host.restore(edited, before);
    const { problems, settings } = this.#host.inspect(text);
    const lost = missing.map((path): ConfigProblem => {
      const hint = 'write the secret itself';
      return { path, line: null, severity: 'error', message: 'there is no secret to keep here', hint };
    });
    return { text, settings, problems: [...lost, ...problems] };
  }
}

function changesOf(before: readonly Setting[], after: readonly Setting[]): ConfigChange[] {
  const old = new Map(before.map((setting) => [setting.path, setting]));
  const changes: ConfigChange[] = [];
  for (const { path, value, raw } of after) {
    const known = old.get(path);
    old.delete(path);
    if (known?.raw !== raw) changes.push({ path, before: known?.value ?? null, after: value });
  }
  return [...changes, ...[...old.values()].map(({ path, value }) => ({ path, before: value, after: null }))];
}

function revisionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
