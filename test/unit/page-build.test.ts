import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { buildPage, PAGE_BYTES_MAX } from '../../src/ops/page/build.ts';
import { pageAsset } from '../../src/ops/page.ts';
import { tempDir } from '../support/temp.ts';

const built = join(import.meta.dirname, '../../dist/page');

test('the page is small, needs nothing from elsewhere, and is the same each time', async (t) => {
  const folder = await tempDir(t);
  const sizes = await buildPage(folder);
  const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  t.diagnostic(`the page: ${total} bytes compressed (${JSON.stringify(sizes)}), at most ${PAGE_BYTES_MAX}`);
  assert.ok(total <= PAGE_BYTES_MAX, `${total} bytes`);
  assert.deepEqual((await readdir(folder)).toSorted(), (await readdir(built)).toSorted());
  for (const name of await readdir(folder)) {
    const body = await readFile(join(folder, name));
    assert.ok(body.equals(await readFile(join(built, name))), `${name} differs from the build`);
    const text = gunzipSync(body).toString();
    // Names of namespaces are no addresses that anybody asks.
    const elsewhere = text.match(/(?:https?:)?\/\/(?!www\.w3\.org\/)[\w-]+\.[\w.-]+/g) ?? [];
    assert.deepEqual(elsewhere, [], name);
    assert.doesNotMatch(text, /sourceMappingURL/);
  }
});

test('the files are served compressed, plain for those who take nothing else, and for good under their hashes', () => {
  const document = pageAsset('/', 'br, gzip');
  assert.equal(document?.type, 'text/html; charset=utf-8');
  assert.equal(document.encoding, 'gzip');
  assert.equal(document.cacheControl, 'no-store');
  const html = gunzipSync(document.body).toString();
  for (const accepted of [undefined, '', 'identity', 'gzip;q=0']) {
    const plain = pageAsset('/', accepted);
    assert.equal(plain?.encoding, '');
    assert.equal(plain.body.toString(), html);
  }
  const script = /src="(\/page-[0-9a-f]{12}\.js)"/.exec(html)?.[1] ?? '';
  const style = /href="(\/page-[0-9a-f]{12}\.css)"/.exec(html)?.[1] ?? '';
  assert.equal(pageAsset(script, 'gzip')?.type, 'text/javascript; charset=utf-8');
  assert.match(pageAsset(style, 'gzip')?.cacheControl ?? '', /immutable/);
  // Nothing that the policy of the page forbids.
  assert.doesNotMatch(html, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/);
  for (const path of ['/page.js', '/../package.json', '/index.html.gz', '//', '/constructor']) {
    assert.equal(pageAsset(path, 'gzip'), null, path);
  }
});
