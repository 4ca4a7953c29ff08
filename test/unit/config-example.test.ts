import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { entryOf, type Outline, unwrap } from '../../src/config/outline.ts';
import { fileSchema } from '../../src/config/schema.ts';
import { readYaml } from '../../src/config/yaml-text.ts';
import { configOf, load } from './config-loader.ts';

const example = readFileSync(join(import.meta.dirname, '../../deploy/petiole.example.yaml'), 'utf8');
/** The settings that are not made stand behind a `#`: here they are made. */
const everything = example.replaceAll(/^( *)#( *(?:- )?[a-z_]+:( |$))/gm, '$1$2');

test('the example as it stands is the defaults, written out', (t) => {
  const [written, defaults] = [configOf(load(t, example)), configOf(load(t, ''))];
  assert.deepEqual({ ...written, gateway: null }, { ...defaults, gateway: null });
  assert.equal(written.gateway.name, defaults.gateway.name);
});

test('the example has every key of the schema, and no other, with the default of each', () => {
  const { value, flaws } = readYaml(everything);
  assert.deepEqual(flaws, []);
  let compared = 0;
  const compare = (outline: Outline, found: unknown, path: string): void => {
    const { entries, item } = unwrap(outline);
    if (item !== undefined && unwrap(item).entries !== undefined) {
      assert(Array.isArray(found), path);
      compare(item, found[0], `${path}[0]`);
    } else if (entries !== undefined) {
      assert(typeof found === 'object' && found !== null, path);
      assert.deepEqual(Object.keys(found).sort(), Object.keys(entries).sort(), path);
      for (const [key, part] of Object.entries(found)) {
        compare(entryOf(unwrap(outline), key) ?? assert.fail(), part, path === '' ? key : `${path}.${key}`);
      }
    } else {
      compared++;
      // The example's lane is the built-in one, whose replies differ from the default of a lane in a file.
      const isDefault = typeof outline.default !== 'function' && outline.default !== undefined;
      if (isDefault && path !== 'lanes[0].replies') assert.deepEqual(found, outline.default, path);
    }
  };
  compare(fileSchema, value, '');
  assert(compared > 35, `only ${compared} settings`);
});
