/**
 * What is pushed to balena, without a fleet: the release as push.sh lays it out, its files against the public schema of compose
 * 2.4 (docker-compose brings it) and the fields that balena's documentation names, each setting as a variable, and a health
 * check that fails a bad release.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { parse, stringify } from 'yaml';
import { variables } from '../../src/config/environment.ts';
import { DIST, startBox } from '../support/box.ts';
import { tempDir } from '../support/temp.ts';

const CLONE = join(import.meta.dirname, '../..');

/** Of a service, as docs.balena.io/reference/supervisor/docker-compose lists them; what the box has no use for left out. */
const service = v.strictObject({
  build: v.strictObject({ context: v.string(), dockerfile: v.string() }),
  restart: v.picklist(['always', 'unless-stopped', 'on-failure', 'no']),
  privileged: v.optional(v.boolean()),
  devices: v.optional(v.array(v.string())),
  network_mode: v.picklist(['bridge', 'host', 'none']),
  stop_grace_period: v.string(),
  tmpfs: v.optional(v.array(v.string())),
  // Named volumes only: a bind mount is refused.
  volumes: v.array(v.pipe(v.string(), v.regex(/^\w+:\/\S+$/))),
  labels: v.record(v.pipe(v.string(), v.regex(/^io\.balena\./)), v.string()),
  environment: v.record(v.string(), v.string()),
  healthcheck: v.strictObject({
    test: v.array(v.string()),
    interval: v.string(),
    timeout: v.string(),
    retries: v.number(),
    start_period: v.string(),
  }),
});
const composition = v.strictObject({
  version: v.literal('2.4'),
  services: v.record(v.string(), service),
  volumes: v.record(v.string(), v.strictObject({})),
});
/** There is no public schema for balena.yml: these are the fields of its documentation, the device types those with 64 bits. */
const contract = v.strictObject({
  name: v.pipe(v.string(), v.nonEmpty()),
  type: v.literal('sw.application'),
  description: v.string(),
  version: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+$/)),
  data: v.strictObject({
    defaultDeviceType: v.string(),
    // There is no Node 24 for 32-bit ARM.
    supportedDeviceTypes: v.array(v.pipe(v.string(), v.regex(/64|raspberrypi5/))),
    applicationEnvironmentVariables: v.optional(v.array(v.record(v.string(), v.union([v.string(), v.number()])))),
  }),
});

test('the release as it is pushed is what compose 2.4 and balena take', (t) => {
  const stage = join(tempDir(t, 'release'), 'petiole');
  execFileSync(join(CLONE, 'deploy/balena/push.sh'), ['--stage', stage]);
  const read = (name: string) => readFileSync(join(stage, name), 'utf8');
  const validate = (file: string) => spawnSync('docker-compose', ['-f', file, 'config', '-q'], { encoding: 'utf8' });
  const valid = validate(join(stage, 'docker-compose.yml'));
  assert.equal(valid.status, 0, valid.stderr);
  const { services, volumes } = v.parse(composition, parse(read('docker-compose.yml')));
  const [petiole] = Object.values(services);
  for (const volume of petiole?.volumes ?? []) assert.ok((volume.split(':')[0] ?? '') in volumes, volume);
  // The running box ends before the next one starts: both would open the same journal.
  assert.equal(petiole?.labels['io.balena.update.strategy'], 'kill-then-download');
  const wrong = join(stage, 'wrong.yml');
  writeFileSync(wrong, stringify({ ...parse(read('docker-compose.yml')), servcies: {} }));
  assert.notEqual(validate(wrong).status, 0, 'a wrong field is noticed');

  const template = read('Dockerfile.template');
  assert.deepEqual(
    new Set([...template.matchAll(/%%(\w+)%%/g)].map(([, name]) => name)),
    new Set(['BALENA_MACHINE_NAME', 'BALENA_ARCH']),
  );
  for (const [, path = ''] of template.matchAll(/^COPY (?!--from)(\S+)/gm))
    assert.ok(existsSync(join(stage, path)), path);
  const application = v.parse(contract, parse(read('balena.yml')));
  assert.equal(application.version, JSON.parse(read('package.json')).version);
  assert.ok(application.data.supportedDeviceTypes.includes(application.data.defaultDeviceType));
});

test('what the build copies is all that the sources need: no link of theirs leads out of it', () => {
  const dockerfile = readFileSync(join(CLONE, 'deploy/container/Dockerfile'), 'utf8');
  const let_in = readFileSync(join(CLONE, '.dockerignore'), 'utf8');
  const tree = execFileSync('git', ['ls-files', '-s', 'src'], { cwd: CLONE, encoding: 'utf8' });
  const links = [...tree.matchAll(/^120000 \S+ \d+\t(.*)$/gm)].map(([, path = '']) => path);
  assert.ok(links.length > 0);
  for (const link of links) {
    const target = join(link, '..', execFileSync('readlink', [link], { cwd: CLONE, encoding: 'utf8' }).trim());
    assert.ok(dockerfile.includes(`COPY ${target} ${target}`), `${link} leads to ${target}`);
    assert.ok(let_in.includes(`!${target}\n`), target);
  }
});

test('every setting is a variable that balena takes', () => {
  assert.ok(variables.size > 80, `${variables.size} variables`);
  for (const name of variables.keys()) assert.match(name, /^PETIOLE_[A-Z0-9_]+$/);
  const { data } = parse(readFileSync(join(CLONE, 'balena.yml'), 'utf8'));
  for (const entry of data.applicationEnvironmentVariables) {
    for (const name of Object.keys(entry)) assert.ok(variables.has(name), name);
  }
  const { services } = parse(readFileSync(join(CLONE, 'deploy/balena/docker-compose.yml'), 'utf8'));
  for (const name of Object.keys(services.petiole.environment)) assert.ok(variables.has(name), name);
});

test('the health check passes a box that takes data, and fails one that can not, or that is not there', async (t) => {
  const { services } = parse(readFileSync(join(CLONE, 'deploy/balena/docker-compose.yml'), 'utf8'));
  const [kind, node, main, ...args] = services.petiole.healthcheck.test;
  assert.deepEqual([kind, node, main], ['CMD', 'node', 'dist/main.js']);
  const box = await startBox(t);
  const check = () =>
    spawnSync(process.execPath, [join(DIST, 'main.js'), ...args], {
      env: { ...process.env, PETIOLE_STATUS_LISTEN: new URL(box.statusUrl).host },
    }).status;
  assert.equal(check(), 0);
  await box.stop();
  assert.equal(check(), 1, 'no box');
  box.configure({ journal: { reserve: '1TiB' } });
  await box.start();
  assert.equal(check(), 1, 'a box whose disk is full');
  await box.stop();
});
