import assert from 'node:assert/strict';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIST } from './box.ts';
import type { Scope } from './scope.ts';
import { tempDir } from './temp.ts';

export interface Break {
  /** Below dist/. */
  file: string;
  /** How one line begins, without its indent; there must be exactly one such line. */
  line: string;
  /** What stands there instead of the whole line. */
  instead: string;
}

/**
 * Builds that break a promise on purpose, to show that a fault test would see it. Nothing of this is in the product: one
 * line of a copy of dist/ is changed.
 *
 * A build without fsync is not among them: a killed process loses nothing that the kernel already has. Only a power cut,
 * or a count of the fsync calls as in the benchmark, can tell.
 */
const BREAKS = {
  /** Receipts go out before the commit. */
  'early-ack': {
    file: 'store/admission.js',
    line: 'this.#commits.gathering.add(part, message, receipt, token, reached);',
    instead: 'receipt?.accepted(token, reached); this.#commits.gathering.add(part, message, null, token, reached);',
  },
  /** The saver gives receipts for what it has only handed to the link. */
  unheld: {
    file: 'store/saved-lane.js',
    line: 'this.#held.push(held);',
    instead: 'gathering.settle(results);',
  },
  /** Numbers that the saver has given are given again after a crash. */
  'reused-numbers': {
    file: 'store/lane-table.js',
    line: 'this.#save.run(Math.max(lastSequence, reservedTo),',
    instead: 'this.#save.run(lastSequence, cursor, evicted, expired, refused, id);',
  },
  /** What was in flight when the link fell is taken not to have arrived: only the duplicate window is left. */
  'no-reconcile': {
    file: 'upstream/doubt.js',
    line: 'if (doubt === null || isRewound',
    instead: 'if (false) {',
  },
  /** As `no-reconcile` where batches tell by their watermark: it is read, and not believed. */
  'no-watermark': {
    file: 'upstream/doubt.js',
    line: 'result.upTo = watermark.last;',
    instead: '{}',
  },
  /** The cursor moves when a record is sent, not when the hub has acknowledged it. */
  'early-trim': {
    file: 'upstream/pass.js',
    line: 'end.predicted++;',
    instead: 'end.predicted++; this.#passOver(sequence); return true;',
  },
} as const satisfies Record<string, Break>;

export type BreakName = keyof typeof BREAKS;

export const breakNames = Object.keys(BREAKS) as BreakName[];

export function isBreakName(name: string): name is BreakName {
  return Object.hasOwn(BREAKS, name);
}

/** Folder of a broken copy of dist/, for `BoxOptions.dist`; gone when the scope ends. */
export function breakBuild(scope: Scope, name: BreakName): string {
  return changeBuild(scope, name, BREAKS[name]);
}

/** The same for another change of one line. */
export function changeBuild(scope: Scope, name: string, { file, line, instead }: Break): string {
  const dir = tempDir(scope, name);
  const dist = join(dir, 'dist');
  cpSync(DIST, dist, { recursive: true });
  for (const neighbour of ['node_modules', 'package.json'])
    symlinkSync(join(DIST, '..', neighbour), join(dir, neighbour));
  const path = join(dist, file);
  const lines = readFileSync(path, 'utf8').split('\n');
  const places = lines.flatMap((text, index) => (text.trim().startsWith(line) ? [index] : []));
  assert.equal(places.length, 1, `the line that ${name} changes stands once in dist/${file}`);
  lines[places[0] as number] = instead;
  writeFileSync(path, lines.join('\n'));
  return dist;
}
