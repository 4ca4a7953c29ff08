// Lists the licences of an SBOM, one line a package; ends with 1 where one is missing or not permissive.
import { readFileSync } from 'node:fs';

/** May be shipped with an Apache-2.0 program without more than their text, which the packages carry along. */
const SHIPPED = new Set([
  'MIT',
  'MIT-0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
]);

const { components } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const strange = [];
for (const { name, group, version, licenses = [] } of components) {
  const ids = licenses.map(({ license, expression }) => license?.id ?? license?.name ?? expression ?? '?');
  const full = group ? `${group}/${name}` : name;
  console.log(`${full} ${version}  ${ids.join(' ')}`);
  const isKnown = ids.some((id) =>
    id
      .replace(/[()]/g, '')
      .split(' OR ')
      .some((one) => SHIPPED.has(one)),
  );
  if (!isKnown) strange.push(`${full} (${ids.join(' ') || 'no licence'})`);
}
if (strange.length > 0) {
  console.error(`not among the licences that may be shipped: ${strange.join(', ')}`);
  process.exitCode = 1;
}
