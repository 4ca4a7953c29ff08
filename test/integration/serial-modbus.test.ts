import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { startBox } from '../support/box.ts';
import { startModbusBus, startModbusTcp } from '../support/modbus-slave.ts';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait-for.ts';

/** The real box as master; the far end is a slave made with libmodbus. */

async function ask(nats: NatsConnection, subject: string, order: object): Promise<unknown> {
  const answer = await nats.request(subject, JSON.stringify(order), { timeout: 10_000 });
  return answer.headers ? answer.headers.get('Nats-Service-Error-Code') : answer.json();
}

const float = { table: 'holding', type: 'f32', writable: true };

test('RTU: a meter by its device file, another unit by its own registers, and a dead one that slows nobody', async (t) => {
  const path = await startModbusBus(t);
  const box = await startBox(t, {
    config: {
      serial: [
        {
          name: 'bus',
          port: path,
          baud: 115_200,
          subject: 'plant.{unit}',
          command: { subject: 'plant.cmd' },
          modbus: {
            // A slave on a busy machine may be slow.
            timeout: '2s',
            units: [
              { unit: 1, name: 'meter', device: 'eastron-sdm630', every: '100ms' },
              { unit: 99, name: 'dead', every: '100ms', registers: [{ name: 'x', address: 0 }] },
              {
                unit: 2,
                name: 'io',
                every: '100ms',
                registers: [
                  { name: 'a', table: 'input', address: 20 },
                  { name: 'b', table: 'input', address: 25, scale: 0.1, offset: -10, decimals: 1 },
                  { name: 'relay', table: 'coil', address: 3, type: 'boolean', writable: true },
                  { name: 'in0', table: 'discrete', address: 0, type: 'boolean' },
                  { name: 'in1', table: 'discrete', address: 1, type: 'boolean' },
                  { ...float, name: 'abcd', address: 0 },
                  { ...float, name: 'cdab', address: 2, order: 'CDAB' },
                  { ...float, name: 'badc', address: 4, order: 'BADC' },
                  { ...float, name: 'dcba', address: 6, order: 'DCBA' },
                  { name: 'label', address: 10, type: 'text', length: 6, writable: true },
                  { name: 'double', address: 14, type: 'f64', order: 'DCBA', writable: true },
                  { name: 'digits', address: 18, type: 'bcd', length: 4, writable: true },
                  { name: 'count', address: 20, type: 'u64', order: 'CDAB', writable: true },
                  { name: 'fixed', address: 30, type: 'i16' },
                ],
              },
            ],
          },
        },
      ],
    },
  });
  const nats = await connect({ servers: box.natsUrl });
  t.after(() => nats.close());
  const latest = new Map<string, Record<string, unknown>>();
  nats.subscribe('plant.*', { callback: (_, message) => void latest.set(message.subject, message.json()) });

  const meter = await waitFor('the meter', () => latest.get('plant.meter'));
  assert.deepEqual([meter.voltage_l1, meter.voltage_l3, meter.current_l3], [230.5, 229.75, 7.125]);
  const io = await waitFor('the other unit', () => latest.get('plant.io'));
  assert.deepEqual([io.a, io.b, io.in0, io.in1, io.relay], [2020, 192.5, true, false, false]);

  const set = { abcd: 21.5, cdab: -1.25, badc: 3e8, dcba: 0.5, label: 'oven 3', double: 1e300, digits: 12345678 };
  const big = 9007199254740991;
  assert.deepEqual(await ask(nats, 'plant.cmd', { unit: 'io', set: { ...set, count: big, relay: true } }), {
    unit: 'io',
    values: { ...set, count: big, relay: true },
  });
  // The words as they are on the wire say that the order is the one asked for.
  const raw = { unit: 2, function: 3, address: 0, count: 4 };
  assert.deepEqual(await ask(nats, 'plant.cmd', raw), { unit: 2, values: [0x41ac, 0, 0, 0xbfa0] });
  const words = { unit: 2, function: 16, address: 40, values: [1, 2, 3] };
  assert.deepEqual(await ask(nats, 'plant.cmd', words), { unit: 2, values: [1, 2, 3] });
  assert.deepEqual(await ask(nats, 'plant.cmd', { unit: 2, function: 6, address: 41, values: [7] }), {
    unit: 2,
    values: [7],
  });
  const mask = { unit: 2, function: 22, address: 41, and: 0xffeb, or: 0x0010 };
  assert.deepEqual(await ask(nats, 'plant.cmd', mask), { unit: 2, values: [0x13] });
  const exchange = { unit: 2, function: 23, address: 40, count: 3, write: 42, values: [9] };
  assert.deepEqual(await ask(nats, 'plant.cmd', exchange), { unit: 2, values: [1, 0x13, 9] });
  const coils = { unit: 2, function: 15, address: 8, values: [true, false, true] };
  assert.deepEqual(await ask(nats, 'plant.cmd', coils), { unit: 2, values: [true, false, true] });
  assert.deepEqual(await ask(nats, 'plant.cmd', { unit: 2, function: 1, address: 8, count: 3 }), {
    unit: 2,
    values: [true, false, true],
  });
  assert.equal(await ask(nats, 'plant.cmd', { unit: 'io', set: { fixed: 1 } }), '400');
  assert.equal(await ask(nats, 'plant.cmd', { unit: 2, function: 3, address: 60_000, count: 1 }), '502');
  assert.equal(await ask(nats, 'plant.cmd', { unit: 99, function: 3, address: 0, count: 1 }), '504');

  // The longer it is dead, the less it costs the others.
  const { problems } = await waitFor('the dead unit to be told, and asked rarely', async () => {
    const status = await box.status();
    const [alive, dead] = status.serial[0].units;
    return dead.state === 'silent' && dead.requests * 5 < alive.requests ? status : null;
  });
  assert.ok(problems.some(({ code }: { code: string }) => code === 'unit_silent'));
});

test('TCP: the same master over a serial server or a device with a network port', async (t) => {
  const port = await freePort();
  await startModbusTcp(t, port);
  const box = await startBox(t, {
    config: {
      serial: [
        {
          name: 'net',
          port: `tcp://127.0.0.1:${port}`,
          subject: 'meter',
          output: 'fields',
          modbus: { transport: 'tcp', units: [{ unit: 1, device: 'eastron-sdm630', every: '100ms' }] },
        },
      ],
    },
  });
  const nats = await connect({ servers: box.natsUrl });
  t.after(() => nats.close());
  const values = new Map<string, string>();
  nats.subscribe('meter.*', { callback: (_, message) => void values.set(message.subject, message.string()) });
  await waitFor('a register of its own subject', () => values.get('meter.voltage_l2') === '231.25');
});
