import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DIST } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { atEnd } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

test('the demo brings messages of its sensors to its hub, and leaves nothing behind', async (t) => {
  const demo = new Child('node', [join(DIST, 'main.js'), 'demo', '--sensors', '6', '--no-browser']);
  atEnd(t, () => demo.kill().then(() => {}));
  const url = await demo.line('the page', (line) => line.startsWith('A box with 6 sensors and a hub'), 30_000);
  await waitFor('messages at the hub', () => demo.lines.some((line) => /at the hub [1-9]/.test(line)), {
    timeoutMs: 30_000,
  });
  demo.signal('SIGINT');
  assert.equal((await demo.exited).code, 0, demo.lines.join('\n'));
  assert.match(demo.lines.at(-1) ?? '', /promised [1-9][\d,]* messages; the box has kept [1-9]/);
  const page = url.slice(url.indexOf('http'));
  await assert.rejects(fetch(page), 'the box is gone');
});
