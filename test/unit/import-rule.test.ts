import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';

/*
 * The import rule: a folder of src/ imports only itself and core/. The files that wire the parts may import any of them:
 * src/gateway.ts with its parts beside it (uplink, doors, page-parts, lane-plan), src/main.ts, src/cli/. core/ does no I/O. serial/ may import the codec in firmware-bridge/.
 */

const root = join(import.meta.dirname, '../..');

const wiring = /^src\/(?:(?:gateway|uplink|doors|page-parts|lane-plan|main)\.ts$|cli\/)/;

/** What core/ must not import: files, sockets, processes, threads, the database. */
const io =
  /^(?:node:)?(?:fs|net|tls|http|https|http2|dgram|dns|child_process|worker_threads|cluster|readline|repl|inspector|sqlite)(?:\/|$)|^better-sqlite3$/;

interface Scan {
  /** What stands in an import, static or dynamic, of values or types, or in an export from. */
  readonly specifiers: readonly string[];
  /** Every other string that looks like the path of a file near by: a worker's entry, an asset. */
  readonly paths: readonly string[];
  /** An import whose specifier is computed: nobody can check it. */
  readonly hasComputed: boolean;
}

const comment = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/;
const expression = /(?<=[=(,:!&|?{};[]\s*|\breturn\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/;
const string = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/;
const lexeme = new RegExp([comment, expression, string].map(({ source }) => source).join('|'), 'g');

/** Reads one source text: comments and regular expressions go, each string becomes `"§<index>"`, the rest is searched. */
function scan(source: string): Scan {
  const strings: string[] = [];
  const code = source.replace(lexeme, (text) => {
    if (text.startsWith('/')) return ' ';
    strings.push(text.slice(1, -1));
    return `"§${strings.length - 1}"`;
  });
  const importing = /\b(?:from|import)\s*"§(\d+)"|\b(?:import|require|import\.meta\.resolve)\s*\(\s*"§(\d+)"\s*[,)]/g;
  const used = new Set(Array.from(code.matchAll(importing), ([, fixed, called]) => Number(fixed ?? called)));
  return {
    specifiers: strings.filter((_, i) => used.has(i)),
    paths: strings.filter((text, i) => !used.has(i) && /^\.\.?\/[\w./-]*\.\w+$/.test(text)),
    hasComputed: /\b(?:import|require|import\.meta\.resolve)\s*\((?!\s*"§\d+"\s*[,)])/.test(code),
  };
}

/** Where the programs begin: the box, the page that a browser runs, and what builds that and the document of the API. */
const entries: readonly string[] = [
  'src/main.ts',
  'src/ops/page/main.tsx',
  'src/ops/page/build.ts',
  'src/ops/openapi-build.ts',
];

const isRelative = (specifier: string): boolean => /^\.{0,2}\//.test(specifier);
/** The page's sources hold markup, and its entry takes in the style. */
const isSourceName = (file: string, specifier: string): boolean =>
  /\.ts$/.test(specifier) || (file.startsWith('src/ops/page/') && /\.(?:tsx|css)$/.test(specifier));
const target = (file: string, path: string): string => posix.resolve('/', posix.dirname(file), path).slice(1);
/** `src/mqtt/` of `src/mqtt/connection.ts`; none for a file directly in src/. */
const folderOf = (file: string): string | undefined => /^src\/[^/]+\//.exec(file)?.[0];

/** What is wrong in one file, in words; empty where nothing is. */
function breaches(file: string, { specifiers, paths, hasComputed }: Scan): string[] {
  const found: string[] = [];
  const folder = folderOf(file);
  if (hasComputed) found.push(`${file} has an import that is not a plain string`);
  for (const specifier of specifiers) {
    if (isRelative(specifier) && !isSourceName(file, specifier)) found.push(`${file}: '${specifier}' must end in .ts`);
    if (folder === 'src/core/' && io.test(specifier))
      found.push(`${file}: core does no I/O, but imports '${specifier}'`);
  }
  if (wiring.test(file)) return found;
  for (const path of [...specifiers.filter(isRelative), ...paths]) {
    const to = target(file, path);
    const isOwn = folder !== undefined && to.startsWith(folder);
    const isCodec = folder === 'src/serial/' && to.startsWith('firmware-bridge/');
    if (!isOwn && !isCodec && !to.startsWith('src/core/')) found.push(`${file} may not import ${to}`);
  }
  return found;
}

/** The files that one can come to from `entries`, by imports and by paths of workers (which name the built .js file too). */
function reachable(entries: readonly string[], scans: ReadonlyMap<string, Scan>): Set<string> {
  const seen = new Set<string>();
  const open = [...entries];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    const one = scans.get(file);
    if (one === undefined || seen.has(file)) continue;
    seen.add(file);
    for (const path of [...one.specifiers.filter(isRelative), ...one.paths]) {
      open.push(target(file, path).replace(/\.js$/, '.ts'));
    }
  }
  return seen;
}

function scanSources(): Map<string, Scan> {
  const names = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  // A declaration file holds types of a package; no program imports it.
  const isSource = (name: string) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts');
  const files = names.filter(isSource).map((name) => posix.join('src', name));
  return new Map(files.map((file) => [file, scan(readFileSync(join(root, file), 'utf8'))]));
}

test('every import in src/ keeps the import rule', () => {
  const scans = scanSources();
  const imports = [...scans.values()].reduce((sum, { specifiers }) => sum + specifiers.length, 0);
  assert.ok(
    scans.size > 5 && imports > 5,
    `saw ${imports} imports in ${scans.size} files: the test looks in the wrong place`,
  );
  assert.deepEqual(
    [...scans].flatMap(([file, one]) => breaches(file, one)),
    [],
  );
});

test('every file in src/ is used: one comes to it from where a program begins', () => {
  const scans = scanSources();
  for (const entry of entries) assert.ok(scans.has(entry), `there is no ${entry}`);
  const used = reachable(entries, scans);
  assert.deepEqual(
    [...scans.keys()].filter((file) => !used.has(file)),
    [],
  );
});

test('the scanner sees imports of every form, and nothing in comments and strings', () => {
  const source = `
    import { a } from './a.ts';
    import type { B } from "../core/b.ts";
    import './effect.ts';
    import Default, {
      several,
      lines,
    } from '../core/lines.ts';
    export * from './c.ts';
    export type { D } from './d.ts';
    const { e } = await import('./e.ts');
    const lazy = () => import(\`./f.ts\`);
    type G = import('./g.ts').G;
    const worker = new Worker(new URL('./h.ts', import.meta.url));
    const entry = isBuilt ? './i.js' : './i.ts';
    const page = new URL('./page.html', import.meta.url);
    const quotes = text.replace(/['"\`]/g, '').split(/[/'"]/); // import './not-1.ts'
    /* import './not-2.ts'; */
    const bytes = Buffer.from('./not-3');
    const half = a / b; const other = "it's /* not a comment";
    const told = \`\${half} from './not-4.ts'\`;
    import { z } from './z.ts';
  `;
  const { specifiers, paths, hasComputed } = scan(source);
  const core = ['../core/b.ts', '../core/lines.ts'];
  const own = ['a', 'c', 'd', 'e', 'effect', 'f', 'g', 'z'].map((name) => `./${name}.ts`);
  assert.deepEqual([...specifiers].sort(), [...core, ...own]);
  assert.deepEqual([...paths].sort(), ['./h.ts', './i.js', './i.ts', './page.html']);
  assert.equal(hasComputed, false);
  assert.equal(scan('const part = await import(name);').hasComputed, true);
});

test('the rule catches a breach of every kind', () => {
  const bad: readonly (readonly [string, string])[] = [
    ['src/mqtt/x.ts', `import { Journal } from '../store/journal.ts';`],
    ['src/mqtt/x.ts', `import type { Journal } from '../store/journal.ts';`],
    ['src/mqtt/x.ts', `export { Journal } from '../store/journal.ts';`],
    ['src/mqtt/x.ts', `type J = import('../store/journal.ts').Journal;`],
    ['src/mqtt/deep/x.ts', `await import('../../store/journal.ts');`],
    ['src/mqtt/x.ts', `new Worker(new URL('../store/writer.ts', import.meta.url));`],
    ['src/mqtt/x.ts', `const entry = '../store/writer.js';`],
    ['src/mqtt/x.ts', 'await import(`../store/journal.ts`);'],
    ['src/mqtt/x.ts', `await import('../' + name);`],
    ['src/mqtt/x.ts', `import { Gateway } from '../gateway.ts';`],
    ['src/mqtt/x.ts', `import { y } from './y.js';`],
    ['src/mqtt/x.ts', `import { encode } from '../../firmware-bridge/ts/frame.ts';`],
    ['src/mqtt/x.ts', `import { rig } from '../../test/support/box.ts';`],
    ['src/mqtt-sn/x.ts', `import { y } from '../mqtt/y.ts';`],
    ['src/version.ts', `import { y } from './mqtt/y.ts';`],
    ['src/core/x.ts', `import { y } from '../mqtt/y.ts';`],
    ['src/core/x.ts', `import { readFileSync } from 'node:fs';`],
    ['src/core/x.ts', `import type { Socket } from 'node:net';`],
    ['src/core/x.ts', `import { readFile } from 'fs/promises';`],
    ['src/core/x.ts', `import Database from 'better-sqlite3';`],
    ['src/gateway.ts', `import { y } from './mqtt/y';`],
    ['src/ops/x.ts', `import { App } from './page/app.tsx';`],
    ['src/ops/page/app.tsx', `import { read } from '../../store/read.ts';`],
  ];
  for (const [file, source] of bad) assert.equal(breaches(file, scan(source)).length, 1, `${file}: ${source}`);
  const good: readonly (readonly [string, string])[] = [
    [
      'src/mqtt/x.ts',
      `import { y } from './y.ts'; import { Router } from '../core/router.ts'; import net from 'node:net';`,
    ],
    ['src/mqtt/deep/x.ts', `import { y } from '../y.ts'; import { Router } from '../../core/router.ts';`],
    ['src/serial/bridge.ts', `import { encode } from '../../firmware-bridge/ts/frame.ts';`],
    [
      'src/ops/page/app.tsx',
      `import './style.css'; import { count } from '../words.ts'; import { Icon } from './icons.tsx';`,
    ],
    ['src/core/x.ts', `import { setTimeout } from 'node:timers/promises'; import { pino } from 'pino';`],
    ['src/gateway.ts', `import { y } from './mqtt/y.ts'; import { Journal } from './store/journal.ts';`],
    ['src/cli/check.ts', `import { load } from '../config/load.ts'; import { Gateway } from '../gateway.ts';`],
    [
      'src/main.ts',
      `import { run } from './cli/run.ts'; const manifest = new URL('../package.json', import.meta.url);`,
    ],
  ];
  for (const [file, source] of good) assert.deepEqual(breaches(file, scan(source)), []);
});

test('a file that nobody imports is found, and one that only a worker runs is not', () => {
  const sources = {
    'src/main.ts': `import './gateway.ts';`,
    'src/gateway.ts': `import { Journal } from './store/journal.ts';`,
    'src/store/journal.ts': `const file = isSource ? './writer.ts' : './writer.js';`,
    'src/store/writer.ts': `import type { Row } from './row.ts';`,
    'src/store/row.ts': `import './journal.ts';`,
    'src/store/dead.ts': `import './journal.ts';`,
  };
  const scans = new Map(Object.entries(sources).map(([file, source]) => [file, scan(source)]));
  const used = reachable(['src/main.ts'], scans);
  assert.deepEqual(
    [...scans.keys()].filter((file) => !used.has(file)),
    ['src/store/dead.ts'],
  );
});
