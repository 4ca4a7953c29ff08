import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metrics } from '../../src/ops/metrics.ts';
import { lane, NOW_MS, noLink, port, sample, snapshot } from './ops-snapshot.ts';

/** Series by name and labels, from the text format of Prometheus; fails on a line that is none. */
function parse(text: string): { types: Map<string, string>; series: Map<string, number> } {
  const types = new Map<string, string>();
  const series = new Map<string, number>();
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE ([a-z_:][a-z0-9_:]*) (gauge|counter)$/.exec(line);
    if (type) types.set(type[1] ?? '', type[2] ?? '');
    if (line === '' || line.startsWith('#')) continue;
    const sample = /^([a-z_:][a-z0-9_:]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})?) (-?[0-9.e+-]+)$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    assert.ok(!series.has(sample[1] ?? ''), `twice: ${line}`);
    series.set(sample[1] ?? '', Number(sample[2]));
  }
  return { types, series };
}

test('the figures of the snapshot, in base units', async () => {
  const telemetry = lane({ depth: 7, bytes: 900, oldestMs: NOW_MS - 90_000 });
  const { types, series } = parse(await metrics(snapshot({ lanes: [telemetry], losses: { evicted: 12 } })));
  const want = {
    petiole_link_up: 1,
    petiole_link_rtt_seconds: 0.0184,
    'petiole_link_messages_total{direction="out"}': 14_400,
    'petiole_lane_depth_records{lane="telemetry"}': 7,
    'petiole_lane_oldest_age_seconds{lane="telemetry"}': 90,
    'petiole_lane_appended_total{lane="telemetry"}': 1000,
    'petiole_lost_total{reason="evicted"}': 12,
    'petiole_store_commit_seconds{quantile="0.99"}': 0.018,
    'petiole_mqtt_connections{listener="127.0.0.1:1883"}': 2,
  };
  for (const [name, value] of Object.entries(want)) assert.equal(series.get(name), value, name);
  for (const [name, type] of types) assert.equal(type, name.endsWith('_total') ? 'counter' : 'gauge', name);
});

test('ports and the machine, where there are any', async () => {
  const { types, series } = parse(await metrics(snapshot({ serial: [port({ state: 'absent' })] }), sample));
  const want = {
    petiole_clock_trusted: 1,
    'petiole_serial_port_open{port="line3"}': 0,
    petiole_machine_temperature_celsius: 48.3,
    'petiole_machine_throttled{what="underVoltage"}': 0,
    'petiole_machine_emmc_life_used_ratio{device="mmcblk0"}': 0.3,
    petiole_restarts_total: 2,
  };
  for (const [name, value] of Object.entries(want)) assert.equal(series.get(name), value, name);
  for (const [name, type] of types) assert.equal(type, name.endsWith('_total') ? 'counter' : 'gauge', name);
  const bare = parse(await metrics(snapshot(), { ...sample, temperatureC: null, throttling: null, emmc: [] }));
  assert.ok(![...bare.series.keys()].some((name) => /temperature|throttled|emmc|serial/.test(name)));
});

test('what there is none of has no series, and a problem has one', async () => {
  const { series } = parse(await metrics(snapshot({ link: noLink })));
  assert.equal(series.get('petiole_link_up'), 0);
  assert.ok(
    [...series.keys()].some((name) => /^petiole_problem\{part="upstream",code="\w+",severity="degraded"\}$/.test(name)),
  );
  const calm = parse(await metrics(snapshot()));
  assert.ok(![...calm.series.keys()].some((name) => name.startsWith('petiole_problem')));
});

test('hostile names of lanes stay within their quotes, and clients make no series', async () => {
  const hostile = lane({ name: 'a"} 1\npetiole_link_up 9\\' });
  const { series } = parse(await metrics(snapshot({ lanes: [hostile] })));
  assert.equal(series.get('petiole_link_up'), 1);
  assert.ok(![...series.keys()].some((name) => name.includes('press-1')));
});
