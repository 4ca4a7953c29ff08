// Keeps of an SBOM what is shipped: node sbom.mjs ALL.json FOLDERS (the list of `npm ls --omit=dev --all --parseable`)
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [all, folders] = process.argv.slice(2);
const sbom = JSON.parse(readFileSync(all, 'utf8'));
const shipped = new Set(
  readFileSync(folders, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
    .map(({ name, version }) => `${name}@${version}`),
);
/** Optional peers of others, which the packages leave behind. */
const LEFT_BEHIND = /^(typescript|undici-types)@|^@types(cript)?\//;
sbom.components = sbom.components.filter(({ name, group, version }) => {
  const id = `${group ? `${group}/` : ''}${name}@${version}`;
  return shipped.has(id) && !LEFT_BEHIND.test(id);
});
const kept = new Set(sbom.components.map((component) => component['bom-ref']));
sbom.dependencies = sbom.dependencies
  .filter(({ ref }) => kept.has(ref) || ref === sbom.metadata.component['bom-ref'])
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) }));
// When and by which number it was written says nothing about the release: the same release, the same bytes.
delete sbom.serialNumber;
delete sbom.metadata.timestamp;
console.log(JSON.stringify(sbom, null, 2));
