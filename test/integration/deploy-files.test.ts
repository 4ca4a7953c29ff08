import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { families } from '../../src/ops/metrics.ts';
import { lane, NOW_MS, port, sample, snapshot } from '../unit/ops-snapshot.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
const read = (path: string) => readFileSync(join(DEPLOY, path), 'utf8');

/** Every series that the box can show, with its labels. */
const known = new Map(
  families(snapshot({ lanes: [lane({ oldestMs: NOW_MS })], serial: [port()], mqtt: { listeners: [] } }), sample).map(
    ({ name, samples }) => [name, new Set(samples.flatMap(({ labels = {} }) => Object.keys(labels)))],
  ),
);
known.set('petiole_problem', new Set(['part', 'code', 'severity']));

/** Fails on a metric that the box does not show, and on a label that the metric does not have. */
function check(expression: string): number {
  const uses = [...expression.matchAll(/(petiole_\w+)(?:\{([^}]*)\})?/g)];
  for (const [, name = '', labels = ''] of uses) {
    const has = known.get(name);
    assert.ok(has, `there is no ${name}, in ${expression}`);
    for (const [, label = ''] of labels.matchAll(/(\w+)\s*[=!]~?\s*"/g)) {
      assert.ok(label === 'instance' || has.has(label), `${name} has no ${label}, in ${expression}`);
    }
  }
  return uses.length;
}

test('the dashboard and the alerts ask only for what the box shows', () => {
  const dashboard = JSON.parse(read('monitoring/dashboard.json')) as { panels: { targets: { expr: string }[] }[] };
  for (const { expr } of dashboard.panels.flatMap(({ targets }) => targets)) assert.ok(check(expr) > 0, expr);
  const { groups } = parse(read('monitoring/alerts.yml')) as { groups: { rules: { alert: string; expr: string }[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  for (const { expr } of rules) assert.ok(check(expr) > 0 || /^up\{/.test(expr), expr);
  assert.throws(() => check('petiole_lane_depht_records > 1'));
  assert.throws(() => check('petiole_link_up{lane="x"}'));
});

test('the container is not root, keeps its root file system read-only, and ends a box that cannot take data', () => {
  const dockerfile = read('container/Dockerfile');
  assert.match(dockerfile, /^USER [1-9]\d*:/m);
  assert.match(dockerfile, /^HEALTHCHECK .*"status"/m);
  const { petiole } = parse(read('container/docker-compose.yml')).services;
  assert.deepEqual([petiole.read_only, petiole.init, petiole.cap_drop], [true, true, ['ALL']]);
});

test('package and container have the register lists where the box looks for them: deploy/modbus beside dist', () => {
  assert.match(readFileSync(join(DEPLOY, '../src/config/load.ts'), 'utf8'), /new URL\('\.\.\/\.\.\/deploy\/modbus\/'/);
  assert.match(read('debian/build.sh'), /^cp -r deploy\/modbus "\$lib\/deploy\/"$/m);
  assert.match(read('container/Dockerfile'), /^COPY deploy\/modbus deploy\/modbus$/m);
  assert.match(readFileSync(join(DEPLOY, '../.dockerignore'), 'utf8'), /^!deploy\/modbus$/m);
});
