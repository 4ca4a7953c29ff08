import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, type Scope } from './scope.ts';

/** A new empty folder that goes when the scope ends; `parent` where the file system matters (default: the temp folder). */
export function tempDir(scope: Scope, name = 'test', parent: string = tmpdir()): string {
  mkdirSync(parent, { recursive: true });
  const path = mkdtempSync(join(parent, `petiole-${name}-`));
  atEnd(scope, () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  return path;
}
