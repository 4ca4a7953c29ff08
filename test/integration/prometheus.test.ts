import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { stringify } from 'yaml';
import { startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { run } from '../support/firmware-build.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** A real Prometheus reads a real box, answers what the dashboard asks, and judges by the rules. */

const MONITORING = join(import.meta.dirname, '../../deploy/monitoring');
const TIMEOUT_MS = 60_000;
/** Nothing of it is there on a machine in a rack: no board has told its temperature, nothing was lost. */
const MAY_BE_EMPTY = /temperature|petiole_lost_total|rtt/;

interface Answer {
  status: string;
  data: { result: unknown[] };
}

interface Alerts {
  data: { alerts: { labels: { alertname: string }; state: string; annotations: Record<string, string> }[] };
}

test('the rules are well-formed', () => {
  run('promtool', 'check', 'rules', join(MONITORING, 'alerts.yml'));
});

test('Prometheus: each panel of the dashboard has an answer, and a box without its hub is a pending alert', async (t) => {
  const dir = tempDir(t, 'prometheus');
  const box = await startBox(t, { config: { upstream: { urls: ['nats-leaf://127.0.0.1:1'] } } });
  const client = await mqtt.connectAsync(box.mqttUrl);
  t.after(() => client.endAsync(true));
  await client.publishAsync('plant/line3/t', '21.5', { qos: 1 });

  const port = await freePort();
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(MONITORING, 'alerts.yml')],
    scrape_configs: [{ job_name: 'petiole', static_configs: [{ targets: [new URL(box.statusUrl).host] }] }],
  };
  writeFileSync(join(dir, 'prometheus.yml'), stringify(config));
  const options = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`];
  const prometheus = new Child('prometheus', [...options, `--web.listen-address=127.0.0.1:${port}`]);
  t.after(() => prometheus.kill());
  const api = async <T>(path: string): Promise<T> =>
    (await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as T;
  const ask = (expr: string) => api<Answer>(`query?query=${encodeURIComponent(expr)}`);
  const isUp = async () => (await ask('petiole_lane_depth_records > 0')).data.result.length > 0;
  await waitFor('the box in Prometheus', () => isUp().catch(() => false), { timeoutMs: TIMEOUT_MS });

  const { panels } = JSON.parse(readFileSync(join(MONITORING, 'dashboard.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      const answered = async () => {
        const { status, data } = await ask(expr.replaceAll('$box', '.*'));
        assert.equal(status, 'success', `${title}: ${expr}`);
        return data.result.length > 0 || MAY_BE_EMPTY.test(expr);
      };
      // A rate needs two readings.
      await waitFor(`an answer to ${expr}`, answered, { timeoutMs: TIMEOUT_MS });
    }
  }
  const offline = async () => {
    const { data } = await api<Alerts>('alerts');
    return data.alerts.find(({ labels }) => labels.alertname === 'PetioleOffline');
  };
  const alert = await waitFor('the alert', offline, { timeoutMs: TIMEOUT_MS });
  assert.equal(alert.state, 'pending');
  assert.match(alert.annotations.summary ?? '', /has had no link to its hub for two hours/);
  const { data } = await api<{ data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] } }>(
    'rules',
  );
  for (const { name, health, lastError } of data.groups.flatMap((group) => group.rules)) {
    assert.equal(health, 'ok', `${name}: ${lastError}`);
  }
});
