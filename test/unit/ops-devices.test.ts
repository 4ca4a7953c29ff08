import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceRows } from '../../src/ops/device-rows.ts';
import type { BoardFacts, SerialPortFacts } from '../../src/ops/snapshot.ts';
import { client, HOUR_MS, NOW_MS, port, snapshot } from './ops-snapshot.ts';

const board: BoardFacts = {
  isThere: true,
  sleepsUntilMs: null,
  identity: 'acme-th1',
  hardware: 'th1',
  firmware: 'thermo',
  version: '1.4.0',
  hash: '',
  isOnTrial: false,
  check: 'crc32c',
  frameBytesMax: 256,
  window: 8,
  resetReason: 'power',
  bootCount: 3,
  resets: 0,
  uptimeMs: 1000,
  lost: 0,
  subscriptions: ['line3.cmd.>'],
  entities: [
    { name: 'temperature', unit: '°C', type: 'float32', isWritable: false, value: 21.5, atMs: NOW_MS - 1000 },
    { name: 'setpoint', unit: '°C', type: 'float32', isWritable: true, value: null, atMs: null },
  ],
  counters: {},
};

const shown = (serial: SerialPortFacts[]) =>
  deviceRows(snapshot({ serial, mqtt: { clients: [] } }), true).map(({ id, parent, state, protocol, lastValue }) => [
    id,
    parent,
    state,
    protocol,
    lastValue?.payload.data ?? '',
  ]);

test('a board stands below its port, and its entities below it with their values', () => {
  assert.deepEqual(shown([port({ board })]), [
    ['serial:line3', '', 'connected', 'serial', ''],
    ['board:line3/acme-th1', 'serial:line3', 'connected', 'th1 thermo 1.4.0', ''],
    ['entity:line3/acme-th1/temperature', 'board:line3/acme-th1', 'connected', 'float32, °C', '21.5'],
    ['entity:line3/acme-th1/setpoint', 'board:line3/acme-th1', 'connected', 'float32, °C, writable', ''],
  ]);
  const states = (changes: Partial<BoardFacts>) =>
    shown([port({ board: { ...board, ...changes } })]).map(([, , state]) => state);
  assert.deepEqual(states({ isThere: false }), ['connected', 'absent', 'absent', 'absent']);
  assert.deepEqual(states({ isThere: false, sleepsUntilMs: NOW_MS + 1000 })[1], 'silent');
});

test('a sensor that went without a word is still to be found, and cannot be kicked', () => {
  const lost = { clientId: 'oven-13', remote: '192.0.2.9:1', lastSeenMs: NOW_MS - HOUR_MS, messagesIn: 7 };
  const clients = [client('press-1', { user: 'line3' })];
  const [there, gone] = deviceRows(snapshot({ mqtt: { clients, lost: { count: 1, clients: [lost] } } }), true);
  assert.deepEqual([there?.user, there?.state, there?.canKick], ['line3', 'connected', true]);
  assert.deepEqual(
    [gone?.name, gone?.state, gone?.canKick, gone?.lastSeenMs],
    ['oven-13', 'absent', false, NOW_MS - HOUR_MS],
  );
});
