/**
 * The values for the official NATS chart, without a cluster: the hub's configuration that the chart makes of them is kept in
 * test/fixtures/hub, made by hand with the chart's own templates; here it is compared with the values, and given to nats-server
 * beside the accounts that it includes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { Authority } from '../support/certificates.ts';
import { withSystemPath } from '../support/child.ts';
import { tempDir } from '../support/temp.ts';

const CLONE = join(import.meta.dirname, '../..');
const values = parse(readFileSync(join(CLONE, 'deploy/hub/helm-values.yaml'), 'utf8'));
const rendered = readFileSync(join(CLONE, 'test/fixtures/hub/helm-nats.conf'), 'utf8');

test('what the chart makes of the values is what they ask for', () => {
  const { cluster, jetstream, leafnodes, merge } = values.config;
  assert.equal(rendered.match(/nats:\/\/hub-nats-\d/g)?.length, cluster.replicas);
  assert.ok(rendered.includes(`"name": "${cluster.merge.name}"`));
  assert.ok(rendered.includes(`"max_file_store": ${jetstream.fileStore.pvc.size}`));
  assert.ok(rendered.includes(`include ${merge.$include};`));
  assert.ok(leafnodes.tls.enabled && rendered.includes('/etc/nats-certs/leafnodes/tls.crt'));
  // Every secret that the accounts name comes from the environment, and from a secret there.
  const accounts = readFileSync(join(CLONE, 'deploy/hub/accounts.conf'), 'utf8');
  const named = new Set([...accounts.matchAll(/password: \$(\w+)/g)].map(([, name = '']) => name));
  assert.ok(named.size > 0);
  for (const name of named) assert.equal(values.container.env[name].valueFrom.secretKeyRef.name, 'petiole-hub');
  // The accounts are mounted where the include leads to.
  const [mount] = values.container.patch;
  const [volume] = values.podTemplate.patch;
  assert.equal(join('/etc/nats-config', merge.$include), join(mount.value.mountPath, 'accounts.conf'));
  assert.equal(mount.value.name, volume.value.name);
  // Only the port for boxes is open to the world.
  const [outside, ...others] = values.extraResources;
  assert.deepEqual(others, []);
  assert.deepEqual(
    outside.spec.ports.map(({ port }: { port: number }) => port),
    [7422],
  );
});

test('nats-server takes it with its accounts, and not without a password', (t) => {
  const etc = tempDir(t, 'etc');
  for (const folder of ['nats-config', 'petiole']) mkdirSync(join(etc, folder));
  const { cert, key } = new Authority(t).issue('hub', 'DNS:hub');
  const file = join(etc, 'nats-config/nats.conf');
  const local = rendered
    .replace('/etc/nats-certs/leafnodes/tls.crt', cert)
    .replace('/etc/nats-certs/leafnodes/tls.key', key)
    .replaceAll('"/data"', `"${join(etc, 'data')}"`);
  writeFileSync(file, local);
  copyFileSync(join(CLONE, 'deploy/hub/accounts.conf'), join(etc, 'petiole/accounts.conf'));
  const check = (env: NodeJS.ProcessEnv) =>
    spawnSync('nats-server', ['-t', '-c', file], { encoding: 'utf8', env: withSystemPath({ ...process.env, ...env }) });
  const passwords = { HUB_BOX_PASSWORD: 'pbox', HUB_OPERATOR_PASSWORD: 'poperator' };
  const taken = check({ ...passwords, SERVER_NAME: 'hub-nats-0' });
  assert.equal(taken.status, 0, taken.stderr);
  assert.notEqual(check({ SERVER_NAME: 'hub-nats-0' }).status, 0);
});
