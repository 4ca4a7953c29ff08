import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { buildHeaders, headerEntries, renameHeader } from '../../src/core/headers.ts';
import { DuplicateWindow } from '../../src/nats/duplicate-window.ts';
import { failureOf, pubAck, pubAckError, refusalOf } from '../../src/nats/puback-json.ts';

test('a PubAck and its error are the JSON that clients read', () => {
  assert.deepEqual(JSON.parse(pubAck('S "1"', 7, false).toString()), { stream: 'S "1"', seq: 7 });
  assert.deepEqual(JSON.parse(pubAck('S', 7, true).toString()), { stream: 'S', seq: 7, duplicate: true });
  const error = { code: 400, err_code: 10071, description: 'wrong' };
  assert.deepEqual(JSON.parse(pubAckError('S', error).toString()), { error, stream: 'S', seq: 0 });
});

test('headers that only the hub can judge are refused with the code of a stream', () => {
  const codeOf = (key: string) =>
    refusalOf(
      buildHeaders([
        ['A', 'b'],
        [key, '1'],
      ]),
    )?.err_code;
  assert.equal(codeOf('Nats-Expected-Stream'), 10060);
  assert.equal(codeOf('Nats-Expected-Last-Msg-Id'), 10070);
  assert.equal(codeOf('Nats-Expected-Last-Sequence'), 10071);
  assert.equal(codeOf('Nats-Expected-Last-Subject-Sequence'), 10071);
  assert.equal(codeOf('Nats-Expected-Last-Subject-Sequence-Subject'), 10071);
  assert.equal(codeOf('Nats-Batch-Id'), 10174);
  assert.equal(codeOf('Nats-TTL'), 10166);
  assert.equal(codeOf('Nats-Rollup'), 10111);
  assert.equal(codeOf('Nats-Msg-Id'), undefined);
  assert.equal(codeOf('X-Nats-Rollup'), undefined);
});

test('a failure of the box is told in the words of JetStream, with its reason', () => {
  const { err_code, description } = failureOf(new GatewayError('lane_full', 'lane "a" is full'));
  assert.equal(err_code, 10077);
  assert.match(description, /^maximum bytes exceeded: lane "a" is full$/);
  assert.equal(failureOf(new GatewayError('disk_full', '')).err_code, 10047);
  assert.equal(failureOf(new GatewayError('stopping', '')).err_code, 10008);
  assert.equal(failureOf(new Error('?')).err_code, 10077);
});

test('ids are remembered for the window, per lane, and within a bound', () => {
  const window = new DuplicateWindow(1_000);
  const known = window.add(0, 'a', 0);
  known.sequence = 9;
  assert.equal(window.find(0, 'a', 999)?.sequence, 9);
  assert.equal(window.find(1, 'a', 999), null);
  assert.equal(window.find(0, 'a', 1_000), null);
  assert.equal(window.size, 0);
  const refused = window.add(0, 'b', 2_000);
  window.forget(refused);
  assert.equal(window.find(0, 'b', 2_000), null);
  const long = 'x'.repeat(100_000);
  window.add(0, long, 2_000);
  assert.ok((window.find(0, long, 2_000)?.key.length ?? 1_000) < 100);
  for (let i = 0; i < 30_000; i++) window.add(0, `n${i}`, 2_000);
  assert.equal(window.size, 20_000);
  assert.equal(window.find(0, 'n0', 2_000), null);
  assert.notEqual(window.find(0, 'n29999', 2_000), null);
});

test('a header is renamed in every line that has it, and nowhere else', () => {
  const block = buildHeaders([
    ['Nats-Msg-Id', '1'],
    ['A', 'Nats-Msg-Id: x'],
    ['Nats-Msg-Id', '2'],
    ['Nats-Msg-Id-Not', '3'],
  ]);
  assert.deepEqual(
    [...headerEntries(renameHeader(block, 'Nats-Msg-Id', 'Petiole-Msg-Id'))],
    [
      ['Petiole-Msg-Id', '1'],
      ['A', 'Nats-Msg-Id: x'],
      ['Petiole-Msg-Id', '2'],
      ['Nats-Msg-Id-Not', '3'],
    ],
  );
  assert.equal(renameHeader(block, 'Other', 'X'), block);
});
