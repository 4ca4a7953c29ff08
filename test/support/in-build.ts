import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

/**
 * Loaded by `--import` into a test program that imports from src/: it gets the modules of the build in PETIOLE_TEST_DIST
 * instead, which may be a broken one (see broken-build.ts).
 */
const sources = new URL('../../src/', import.meta.url).href;
const build = pathToFileURL(`${process.env.PETIOLE_TEST_DIST}/`).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    if (!found.url.startsWith(sources)) return found;
    const url = found.url.replace(sources, build).replace(/\.ts$/, '.js');
    return { ...found, url, format: 'module' };
  },
});
