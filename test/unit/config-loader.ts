import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Loaded, loadConfig } from '../../src/config/load.ts';
import type { Problem } from '../../src/config/problems.ts';
import type { Config } from '../../src/config/schema.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/** Loads a text as `petiole.yaml` of a new folder; `files` are written beside it. */
export function load(
  scope: Scope,
  text: string | Buffer,
  env: NodeJS.ProcessEnv = {},
  files: Readonly<Record<string, string | Buffer>> = {},
): Loaded & { folder: string } {
  const folder = tempDir(scope, 'config');
  for (const [name, content] of Object.entries({ ...files, 'petiole.yaml': text })) {
    writeFileSync(join(folder, name), content);
  }
  return { ...loadConfig({ file: 'petiole.yaml', env, cwd: folder }), folder };
}

export function configOf(loaded: Loaded): Config {
  assert.deepEqual(loaded.problems, []);
  assert(loaded.config !== null);
  return loaded.config;
}

/** The problems as `path line`, or `path VARIABLE`. */
export function placesOf(loaded: Loaded): string[] {
  return loaded.problems.map(({ path, line, variable }: Problem) => `${path} ${variable ?? line}`);
}
