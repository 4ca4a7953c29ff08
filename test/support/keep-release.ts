/**
 * `node test/support/keep-release.ts`: keeps what the release of this clone makes of a store, in
 * test/fixtures/release-VERSION, so that later ones can be tried against it (test/integration/journal-releases.test.ts).
 *
 *   petiole.db              a store with three records of lane `default`
 *   journal.js, writer.js   the release's own store code in one file each, to open what a later release has written
 */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { message, openJournal, produce } from './journal.ts';
import { Lifetime } from './scope.ts';
import { tempDir } from './temp.ts';

const root = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const target = join(root, 'test/fixtures', `release-${version}`);
// A release is kept once: never over one that is there.
mkdirSync(target);
await build({
  entryPoints: ['journal', 'writer'].map((name) => join(root, 'src/store', `${name}.ts`)),
  outdir: target,
  bundle: true,
  minify: true,
  platform: 'node',
  format: 'esm',
  external: ['better-sqlite3'],
});
await using life = new Lifetime();
const folder = tempDir(life, 'release');
const journal = await openJournal(life, { folder });
await produce(journal, 0, 3, (n) => message('line3.temp', String(n)));
await journal.stop();
copyFileSync(join(folder, 'petiole.db'), join(target, 'petiole.db'));
console.log(`kept ${target}`);
