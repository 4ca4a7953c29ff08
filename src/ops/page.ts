import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/*
 * The status page as it is served: what `npm run build` has put into dist/page, without anything from elsewhere, so that
 * it works on a bench with no network. Read when somebody first asks; held compressed, some 50 KiB.
 */

export interface Asset {
  /** Content-Type. */
  type: string;
  body: Buffer;
  /** Content-Encoding; '' where the body is as it is. */
  encoding: '' | 'gzip';
  cacheControl: string;
}

/** The same from src/ops and from dist/ops. */
const FOLDER = join(import.meta.dirname, '../../dist/page');

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  css: 'text/css',
  js: 'text/javascript',
  svg: 'image/svg+xml',
};

/** A name with a hash never means other bytes. */
const HASHED = /-[0-9a-f]{12}\.\w+$/;
const FOREVER = 'private, max-age=31536000, immutable';

const NOT_BUILT = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Petiole</title>
<p>The status page has not been built: run <code>npm run build</code>. What it shows is in <a href="/status.json">/status.json</a>.</p>
</html>
`;

let compressed: ReadonlyMap<string, Buffer> | null = null;

/** The file of the page at a path of a URL, null where there is none; `acceptEncoding` as the browser sent it. */
export function pageAsset(path: string, acceptEncoding: string | undefined): Asset | null {
  compressed ??= load();
  const name = path === '/' ? 'index.html' : path.slice(1);
  const body = compressed.get(name);
  if (body === undefined) {
    if (path !== '/') return null;
    return { type: 'text/html; charset=utf-8', body: Buffer.from(NOT_BUILT), encoding: '', cacheControl: 'no-store' };
  }
  const type = `${TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'}; charset=utf-8`;
  const cacheControl = HASHED.test(name) ? FOREVER : 'no-store';
  // Every browser takes it; for a plain curl it is undone.
  const takes = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(acceptEncoding ?? '');
  return takes
    ? { type, body, encoding: 'gzip', cacheControl }
    : { type, body: gunzipSync(body), encoding: '', cacheControl };
}

function load(): ReadonlyMap<string, Buffer> {
  try {
    const names = readdirSync(FOLDER).filter((name) => name.endsWith('.gz'));
    return new Map(names.map((name) => [name.slice(0, -'.gz'.length), readFileSync(join(FOLDER, name))]));
  } catch {
    // A tree that was only compiled: the page says what is missing, and the box works.
    return new Map();
  }
}
