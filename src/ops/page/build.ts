import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/*
 * Bundles the status page into dist/page, part of `npm run build`: the script and the style under names that carry
 * their hash (so that a browser may keep them for good), the document and the icon, all of them compressed, for the box
 * itself compresses nothing. The same sources give the same bytes.
 */

/** The whole page as a browser fetches it, compressed: a phone on a bad radio link waits for no more than this. */
export const PAGE_BYTES_MAX = 120 * 1024;

/** Compressed bytes of each file, by name. */
export type PageSizes = Record<string, number>;

/** Writes the page into `folder`, which is emptied first. */
export async function buildPage(folder: string): Promise<PageSizes> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'main.tsx')],
    outfile: 'page.js',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
  });
  const text = (ending: string): string => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  const script = named('page', 'js', text('.js'));
  const style = named('page', 'css', text('.css'));
  const document = await readFile(join(import.meta.dirname, 'index.html'), 'utf8');
  const files: Record<string, string> = {
    'index.html': document.replace('/page.css', `/${style.name}`).replace('/page.js', `/${script.name}`),
    [script.name]: script.body,
    [style.name]: style.body,
    'icon.svg': await readFile(join(import.meta.dirname, 'icon.svg'), 'utf8'),
  };
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const sizes: PageSizes = {};
  for (const [name, body] of Object.entries(files)) {
    const compressed = gzipSync(body, { level: 9 });
    await writeFile(join(folder, `${name}.gz`), compressed);
    sizes[name] = compressed.length;
  }
  return sizes;
}

function named(stem: string, ending: string, body: string): { name: string; body: string } {
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 12);
  return { name: `${stem}-${hash}.${ending}`, body };
}

if (import.meta.main) await buildPage(join(import.meta.dirname, '../../../dist/page'));
