import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { commands } from '../../src/cli/commands.ts';
import { loadConfig } from '../../src/config/load.ts';
import { entryOf, type Outline, unwrap } from '../../src/config/outline.ts';
import { fileSchema } from '../../src/config/schema.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/** What the README says that no walk-through types: its configurations, links, commands and defaults. */

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

/** Fenced blocks of a language, also in lists; a comment `<!-- of NAME -->` before one says that another program reads it. */
function blocks(text: string, language: string): { text: string; of: string }[] {
  const found = text.matchAll(/(?:^ *<!-- of (.*) -->\n)?^( *)```(\w+)\n([\s\S]*?)^ *```$/gm);
  return [...found]
    .filter(([, , , name]) => name === language)
    .map(([, of = 'Petiole', indent = '', , body = '']) => ({
      text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      of,
    }));
}

/** One line that passes for a certificate, a key and a password: what is in them is looked at when the box starts. */
const PEM = '-----BEGIN CERTIFICATE----- -----BEGIN PRIVATE KEY-----\n';

/** What `petiole check` says of a text where the files that it names are there. */
function problemsOf(scope: Scope, text: string) {
  const cwd = tempDir(scope, 'readme');
  for (const [path] of text.matchAll(/(?<=[ :"])[\w./-]+\.(?:pem|key|password)\b/g)) {
    mkdirSync(dirname(join(cwd, path)), { recursive: true });
    writeFileSync(join(cwd, path), PEM);
  }
  writeFileSync(join(cwd, 'petiole.yaml'), text);
  return loadConfig({ file: 'petiole.yaml', env: {}, cwd }).problems;
}

/** As GitHub makes them of headings. */
function anchors(text: string): Set<string> {
  const headings = text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

test('every configuration of Petiole in the READMEs passes `petiole check`, and those of others are YAML', (t) => {
  const own = blocks(readme, 'yaml').filter(({ of }) => of === 'Petiole');
  assert(own.length >= 8, `${own.length} configurations`);
  const bridge = readFileSync(join(root, 'firmware-bridge/README.md'), 'utf8');
  const hub = readFileSync(join(root, 'deploy/hub/README.md'), 'utf8');
  for (const { text } of [...own, ...blocks(bridge, 'yaml'), ...blocks(hub, 'yaml')]) {
    assert.deepEqual(problemsOf(t, text), [], text);
  }
  const others = blocks(readme, 'yaml').filter(({ of }) => of !== 'Petiole');
  assert.deepEqual(others.map(({ of }) => of).sort(), ['ESPHome', 'Zigbee2MQTT']);
  for (const { text } of others) assert.equal(typeof parse(text).mqtt, 'object');
  const spoilt = own[0]?.text.replace('listen', 'lisen') ?? '';
  assert.notDeepEqual(problemsOf(t, spoilt), [], 'a wrong key is noticed');
});

test('the flow for Node-RED is one: its wires and its broker lead somewhere, and it publishes at QoS 1', () => {
  const [flow] = blocks(readme, 'json').map(({ text }) => JSON.parse(text) as Record<string, unknown>[]);
  assert(flow !== undefined);
  const ids = new Set(flow.map(({ id }) => id));
  const named = flow.flatMap(({ wires = [], broker }) => [...(wires as string[][]).flat(), broker]);
  for (const id of named) assert(id === undefined || id === '10.0.0.2' || ids.has(id), `there is no node ${id}`);
  assert.equal(flow.find(({ type }) => type === 'mqtt out')?.qos, '1');
});

test('links and anchors of the README lead somewhere', () => {
  const links = [...readme.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(
    ([, link = '']) => link,
  );
  assert(links.length > 20, `${links.length} links`);
  for (const link of links) {
    if (/^https?:/.test(link)) continue;
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? join(root, 'README.md') : join(root, path);
    assert(existsSync(file), `${link}: there is no ${path}`);
    if (anchor !== undefined) assert(anchors(readFileSync(file, 'utf8')).has(anchor), `${link}: no such heading`);
  }
});

test('the README names every command, no other one, and only scripts and files that are there', () => {
  const table = /^### The command[\s\S]*?(?=^### )/m.exec(readme)?.[0] ?? '';
  const named = new Set([...table.matchAll(/`petiole ([a-z]+)/g)].map(([, name = '']) => name));
  assert.deepEqual([...named].sort(), [...commands.keys()].sort());
  for (const [, name = ''] of readme.matchAll(/(?:`|npx |sudo |^)petiole ([a-z]+)/gm)) {
    assert(commands.has(name), `there is no petiole ${name}`);
  }
  for (const [, name = ''] of readme.matchAll(/npm run(?:\s--silent)?\s([a-z][\w:-]*)/g)) {
    assert(name in scripts, `there is no npm run ${name}`);
  }
  for (const [, path = ''] of readme.matchAll(/`((?:src|test|deploy|systemd|firmware-bridge)\/[\w./-]+)`/g)) {
    // This one is for the reader to write.
    if (path === 'deploy/container/petiole.yaml') continue;
    assert(existsSync(join(root, path)), `there is no ${path}`);
  }
});

test('each way of installing has at most five steps, and says what tries it', () => {
  const section = /^## Installing[\s\S]*?(?=^## )/m.exec(readme)?.[0] ?? '';
  const ways = section.split(/^### /m).slice(1);
  const rows = [...section.matchAll(/^\| \[([\w -]+)\]\(#[\w-]+\) \|.*\| ([^|]+) \|$/gm)];
  const listed = rows.map(([, name = '']) => name.toLowerCase());
  for (const way of ways) {
    const [title = ''] = way.split('\n');
    if (title === 'Credentials for a fleet') continue;
    assert(listed.includes(title.toLowerCase()), `${title} is not in the table`);
    const steps = [...way.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number));
    assert.deepEqual(
      steps,
      Array.from({ length: steps.length }, (_, n) => n + 1),
      title,
    );
    assert(steps.length >= 1 && steps.length <= 5, `${title}: ${steps.length} steps`);
  }
  assert.equal(rows.length, ways.length - 1);
  for (const [, name, tested = ''] of rows) assert.match(tested, /npm (test|run test:)|the same as the package/, name);
});

/** The settings of the schema by path, items of a list as `lanes[]`. */
function settings(outline: Outline, path: string, into: Map<string, unknown>): Map<string, unknown> {
  const { entries, item } = unwrap(outline);
  into.set(path, outline.default);
  if (item !== undefined) settings(item, `${path}[]`, into);
  for (const key of Object.keys(entries ?? {})) {
    const part = entryOf(unwrap(outline), key);
    if (part !== undefined) settings(part, path === '' ? key : `${path}.${key}`, into);
  }
  return into;
}

test('the limits in the README are those of the schema', () => {
  const known = settings(fileSchema, '', new Map());
  const table = /^## Limits[\s\S]*?(?=^## )/m.exec(readme)?.[0] ?? '';
  let compared = 0;
  for (const [, cell = '', last = ''] of table.matchAll(/^\|[^|]*\|([^|]*)\|([^|]*)\|$/gm)) {
    const keys = [...last.matchAll(/`([\w.[\]]+)`/g)].map(([, key = '']) => key);
    for (const key of keys) {
      assert(known.has(key), `there is no key ${key}`);
      const is = known.get(key);
      if (typeof is !== 'number' && typeof is !== 'string') continue;
      const says = cell.replaceAll(',', '').replaceAll(/ (?=(?:[KMG]iB|m?s|min|h|days)\b)/g, '');
      const written = String(is)
        .replace(/^(\d+)d$/, '$1days')
        .replace(/^(\d+)m$/, '$1min');
      const isSame = /^(?: the same| as an MQTT packet| 2 pings| the largest)/.test(says);
      assert(isSame || says.includes(written), `${key} is ${is}, and the README says${cell}`);
      compared++;
    }
  }
  assert(compared > 25, `only ${compared} limits`);
});
