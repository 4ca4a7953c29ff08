import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthz, problems } from '../../src/ops/health.ts';
import { type Changes, facts, HOUR_MS, lane, loss, MINUTE_MS, NOW_MS, noLink, snapshot } from './ops-snapshot.ts';

/** The problems in short: 'part code severity'. */
function found(changes: Changes): string[] {
  return problems(facts(changes)).map(({ part, code, severity }) => `${part} ${code} ${severity}`);
}

test('a box at its best has no problem and is ok', () => {
  assert.deepEqual(healthz(snapshot()), { statusCode: 200, body: { status: 'ok', problems: [] } });
});

test('offline is normal at the edge: degraded, with 200', () => {
  const { statusCode, body } = healthz(snapshot({ link: noLink }));
  assert.equal(statusCode, 200);
  assert.equal(body.status, 'degraded');
  assert.deepEqual(body.problems, [
    {
      part: 'upstream',
      severity: 'degraded',
      code: 'connection_refused',
      message: 'hub.example.com:7422 refused the connection',
      hint: '',
      sinceMs: NOW_MS - 2 * HOUR_MS,
    },
  ]);
});

test('no upstream and the very first attempt are no problems; an attempt after a failure is', () => {
  assert.deepEqual(found({ link: { state: 'off', hub: null } }), []);
  assert.deepEqual(found({ link: { state: 'connecting', hub: null, reconnects: 0 } }), []);
  assert.deepEqual(found({ link: { ...noLink, state: 'connecting' } }), ['upstream connection_refused degraded']);
  assert.deepEqual(found({ link: { state: 'connecting', reconnects: 1 } }), ['upstream not_connected degraded']);
});

test('what stops the box from taking data gives 503 and comes first', () => {
  const failing: Changes[] = [
    { mqtt: { listeners: [] } },
    { store: { state: 'full', freeBytes: 0 } },
    { store: { state: 'failed' } },
  ];
  for (const changes of failing) {
    const { statusCode, body } = healthz(snapshot({ ...changes, link: noLink }));
    assert.equal(statusCode, 503);
    assert.equal(body.status, 'failing');
    assert.deepEqual(
      body.problems.map((problem) => problem.severity),
      ['failing', 'degraded'],
    );
    assert.notEqual(body.problems[0]?.hint, '');
  }
});

test('a blocked lane passes on its reason and cure', () => {
  const reason = { code: 'no_stream', message: 'No stream takes line3.temp', hint: 'Create one' };
  const [problem] = problems(facts({ lanes: [lane({ state: 'blocked', reason, oldestMs: NOW_MS - MINUTE_MS })] }));
  assert.deepEqual(problem, { part: 'lane telemetry', severity: 'degraded', ...reason, sinceMs: NOW_MS - MINUTE_MS });
});

test('a lane warns from 90 %, or when it will be full within the hour', () => {
  const at = (share: number, timeToFullS: number | null = null): string[] =>
    found({ lanes: [lane({ bytes: share * 1000, bytesMax: 1000, timeToFullS })] });
  assert.deepEqual(at(0.89), []);
  assert.deepEqual(at(0.9), ['lane telemetry lane_nearly_full degraded']);
  assert.deepEqual(at(0.98), ['lane telemetry lane_full degraded']);
  assert.deepEqual(at(0.6, 3600), ['lane telemetry lane_nearly_full degraded']);
  assert.deepEqual(at(0.6, 3601), []);
  assert.deepEqual(at(0.4, 60), []);
});

test('a lane says what will go first, in the way it is configured', () => {
  const [drops] = problems(facts({ lanes: [lane({ bytes: 99, bytesMax: 100 })] }));
  assert.match(drops?.hint ?? '', /^To make room, the oldest messages are dropped: /);
  const [refuses] = problems(facts({ lanes: [lane({ bytes: 95, bytesMax: 100, full: 'refuse' })] }));
  assert.match(refuses?.hint ?? '', /^Then new messages will be refused: /);
});

test('losses of the last hour are one problem for each lane and reason', () => {
  const ledger = [
    loss({ count: 3, atMs: NOW_MS - MINUTE_MS }),
    loss({ count: 9 }),
    loss({ reason: 'oversize', count: 1, lane: 'alarms' }),
    loss({ reason: 'expired', atMs: NOW_MS - HOUR_MS - 1 }),
  ];
  assert.deepEqual(
    problems(facts({ ledger })).map(({ part, message, sinceMs }) => [part, message, sinceMs]),
    [
      ['lane telemetry', '12 messages of lane telemetry will not reach the hub (evicted)', NOW_MS - 5 * MINUTE_MS],
      ['lane alarms', '1 message of lane alarms will not reach the hub (oversize)', NOW_MS - 5 * MINUTE_MS],
    ],
  );
});

test('a slow disk and one near its reserve warn before they fail', () => {
  assert.deepEqual(found({ store: { fsyncP99Ms: 999 } }), []);
  assert.deepEqual(found({ store: { fsyncP99Ms: 1000 } }), ['store disk_slow degraded']);
  assert.deepEqual(found({ store: { fsyncP50Ms: 200, fsyncP99Ms: 300 } }), ['store disk_slow degraded']);
  assert.deepEqual(found({ store: { freeBytes: 79, reserveBytes: 64 } }), ['store disk_low degraded']);
  assert.deepEqual(found({ store: { freeBytes: 80, reserveBytes: 64 } }), []);
});

test('a store that was mended is worth a look for a day', () => {
  const note = 'the store could not be read (file is not a database): a new one is begun';
  const [problem] = problems(facts({ store: { mended: { atMs: NOW_MS - 5 * MINUTE_MS, note } } }));
  assert.match(problem?.message ?? '', /^The store was damaged, and has been mended 5 min ago: the store could not be/);
  assert.deepEqual(found({ store: { mended: { atMs: NOW_MS - 24 * HOUR_MS, note } } }), []);
});

test('what limits a link that is up, streams and commands are problems with their cures; advice is none', () => {
  const limit = { code: 'hub_too_old', message: 'the hub does not isolate', hint: 'Update it', atMs: NOW_MS };
  assert.deepEqual(found({ link: { lastError: limit } }), ['upstream hub_too_old degraded']);
  const note = { code: 'stream_missing', message: 'gone', hint: 'nats stream add', isAdvice: false };
  const advice = { ...note, code: 'stream_single', isAdvice: true };
  const streams = [{ name: 'T', state: 'missing' as const, replicas: 0, notes: [note, advice] }];
  assert.deepEqual(found({ streams }), ['stream T stream_missing degraded']);
  // Nothing is known of them while there is no link.
  assert.deepEqual(found({ streams, link: noLink }), ['upstream connection_refused degraded']);
  const counters = { delivered: 0, duplicates: 0, expired: 0, undeliverable: 0 };
  const entry = { stream: 'C', durable: 'd', filter: 'cmd.>', held: 0, pending: 0, lastSequence: 0, counters };
  const reason = { code: 'no_stream', message: 'the hub has no stream C', hint: 'nats stream add C' };
  assert.deepEqual(found({ commands: [{ ...entry, state: 'ready', reason: null }] }), []);
  assert.deepEqual(found({ commands: [{ ...entry, state: 'blocked', reason }] }), ['commands C no_stream degraded']);
});
