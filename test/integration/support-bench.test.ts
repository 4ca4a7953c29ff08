import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child } from '../support/child.ts';
import { tempDir } from '../support/temp.ts';

test('the benchmark runs in small, and finds every message at the hub', async (t) => {
  const file = join(tempDir(t, 'bench'), 'figures.json');
  const args = ['--quick', '--no-peers', '--only', 'ingest-50', '--only', 'drain', '--json', file];
  const bench = new Child(process.execPath, [join(import.meta.dirname, '../bench/bench.ts'), ...args]);
  t.after(() => bench.kill());
  const { code } = await bench.exited;
  assert.equal(code, 0, bench.lines.join('\n'));
  const figures = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, { petiole?: number[] }>>;
  const sections = Object.values(figures);
  assert.equal(sections.length, 4);
  for (const rows of sections) {
    assert.ok((rows['messages/s']?.petiole?.[0] ?? 0) > 0);
    assert.deepEqual(rows.lost?.petiole, [0]);
    assert.deepEqual(rows.duplicated?.petiole, [0]);
  }
});

test('the benchmark of the broker runs in small: fan-out, connections, retained messages', async (t) => {
  const file = join(tempDir(t, 'bench'), 'figures.json');
  const phases = ['fan-out-0', 'fan-out-1', 'connections', 'retained'];
  const args = ['--quick', '--no-peers', ...phases.flatMap((phase) => ['--only', phase]), '--json', file];
  const bench = new Child(process.execPath, [join(import.meta.dirname, '../bench/bench.ts'), ...args]);
  t.after(() => bench.kill());
  const { code } = await bench.exited;
  assert.equal(code, 0, bench.lines.join('\n'));
  const figures = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, { petiole?: number[] }>>;
  assert.equal(Object.keys(figures).length, phases.length);
  for (const rows of Object.values(figures)) {
    const first = Object.values(rows)[0];
    assert.ok((first?.petiole?.[0] ?? 0) > 0);
  }
});

test('the table of goals runs in small: its own rows alone, with the link alone beside the drain', async (t) => {
  const file = join(tempDir(t, 'bench'), 'figures.json');
  const phases = ['ingest-1', 'lone', 'drain', 'bytes'];
  const args = ['--quick', '--table', '--repeat', '1', ...phases.flatMap((phase) => ['--only', phase]), '--json', file];
  const bench = new Child(process.execPath, [join(import.meta.dirname, '../bench/bench.ts'), ...args]);
  t.after(() => bench.kill());
  const { code } = await bench.exited;
  assert.equal(code, 0, bench.lines.join('\n'));
  const figures = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, Record<string, number[]>>>;
  const seen = Object.keys(figures).map((section) => section.split(/[: ]/)[0]);
  assert.deepEqual([...new Set(seen)], ['ingest-1', 'drain', 'bytes']);
  const drain = Object.entries(figures).find(([section]) => section.startsWith('drain (read-back)'))?.[1] ?? {};
  assert.ok((drain['messages/s']?.['raw leaf link']?.[0] ?? 0) > 0);
  assert.ok((drain['ratio to raw leaf link: messages/s']?.petiole?.[0] ?? 0) > 0);
  const goals = bench.lines.filter((line) => line.endsWith(' met') || line.endsWith(' MISSED'));
  assert.ok(
    goals.some((line) => /^ingest-1 +ratio to mosquitto: messages\/s +>= 1\.00/.test(line)),
    goals.join('\n'),
  );
});
