import type { Failure } from './snapshot.ts';

/* Of the API (api.ts): the configuration, and how it is changed. */

/** `GET /api/config`. Secrets show as `[redacted]`. */
export interface ConfigState {
  /** Path of the file; '' where there is none. */
  file: string;
  /** Why nothing can be applied here, as where the file may not be written; null: it can. */
  readOnly: Failure | null;
  /** The file as it is, secrets redacted: an edited copy of it is what check and apply take. */
  text: string;
  /** Changes with the file: apply refuses a copy of an older one with 409 `config_changed`. */
  revision: string;
  /** The effective configuration, each value with where it comes from, in the order of the schema. */
  values: ConfigValue[];
  trial: ConfigTrial | null;
  /** How the last apply ended; null: none since the start. */
  last: ConfigTrial | null;
}

export interface ConfigValue {
  /** As in the file: `mqtt.listeners[0].listen`. */
  path: string;
  /** In the words of the file; `[redacted]` for a secret. */
  value: string;
  origin: 'default' | 'file' | 'environment';
  /** `line 12`, `PETIOLE_UPSTREAM_URLS` or ''. */
  where: string;
}

/** `POST /api/config/check` (operator) with a `ConfigCopy`: answers 200 with what it would change, and what is wrong. */
export interface ConfigCopy {
  /** What is left as `[redacted]` keeps its value. */
  text: string;
  /** `ConfigState.revision` that it is a copy of. */
  revision?: string;
}

export interface ConfigCheck {
  isValid: boolean;
  problems: ConfigProblem[];
  changes: ConfigChange[];
  /** A unified difference of the file, secrets redacted. */
  diff: string;
  /** Whether connections will be dropped by it. */
  restarts: boolean;
}

export interface ConfigProblem {
  path: string;
  /** 1 is the first; null where it is not in the text. */
  line: number | null;
  severity: 'error' | 'warning';
  message: string;
  hint: string;
}

export interface ConfigChange {
  path: string;
  /** null: not set. Redacted where it is a secret. */
  before: string | null;
  after: string | null;
}

/** `POST /api/config/apply` (operator): answers 202 with a `ConfigTrial`, or 400 with `problems` beside `error`. */
export interface ConfigApply extends ConfigCopy {
  /** How long the box has to be itself again; 10 to 600, default 60. */
  confirmS?: number;
}

/**
 * A configuration on trial: it is in force, and the file still has the old one. Once the link, every listener and every
 * input that was healthy before are back, it is kept and written; after `untilMs` without that, or at
 * `POST /api/config/revert` (operator), the old one returns. `POST /api/config/keep` (operator) keeps it as it is.
 */
export interface ConfigTrial {
  id: string;
  state: 'applying' | 'watching' | 'kept' | 'reverted';
  by: string;
  sinceMs: number;
  untilMs: number;
  /** What is not back: `link`, `mqtt listener 0.0.0.0:1883`, `mqtt client pump-3`, `serial port meter`. */
  missing: string[];
  /** Why it was reverted; '' otherwise. */
  reason: string;
}
