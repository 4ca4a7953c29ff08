/**
 * Goal: the box that is built here runs on a Pi. Method: the same `dist` and the same addons under the arm64 Node and user
 * emulation: it listens, keeps what it acknowledges over a kill, reads a serial port, serves its status, and uploads.
 * It says nothing of speed: emulation is some fifteen times slower. (Custom baud rates and modem lines are not emulated.)
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectAsync } from 'mqtt';
import { arm64 } from '../support/arm64.ts';
import { startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { atEnd } from '../support/scope.ts';
import { SerialDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const SLOW = { timeoutMs: 120_000 };
const MESSAGES = 50;

test('the box on arm64: MQTT, journal, serial port, status and hub', { timeout: 300_000 }, async (scope) => {
  const machine = arm64(join(import.meta.dirname, '../../.cache'));
  assert.ok(machine, 'Node for arm64 and its libraries: run `npm test` once where Debian and npm can be reached');
  const device = new SerialDevice(join(tempDir(scope, 'tty'), 'scale'));
  await device.plug();
  atEnd(scope, () => device.unplug());
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStream(reader, 'S', ['line3.>']);
  const box = await startBox(scope, {
    command: [machine.emulator, '-L', machine.sysroot, machine.node],
    // Given by hand, so that the box does not replace its own process, which only a kernel for arm64 can do.
    nodeArgs: ['--max-semi-space-size=1'],
    readyTimeoutMs: SLOW.timeoutMs,
    config: {
      lanes: [{ name: 'line3', subjects: ['line3.>'] }],
      serial: [
        {
          name: 'scale',
          port: { path: device.path },
          baud: 9600,
          frame: { type: 'line' },
          decode: { type: 'json' },
          subject: 'line3.scale',
        },
      ],
      upstream: { urls: [hub.leafUrl], connect_timeout: '60s', ack_timeout: '60s' },
    },
  });

  const client = await connectAsync(box.mqttUrl, { connectTimeout: SLOW.timeoutMs, protocolVersion: 5 });
  atEnd(scope, () => client.endAsync(true));
  for (let i = 0; i < MESSAGES; i++) await client.publishAsync('line3/temp', String(i), { qos: 1 });
  const isOpen = async () => (await box.status()).serial[0]?.state === 'open';
  await waitFor('the port to be open', isOpen, SLOW);
  await device.send('{"kg":7}\n');
  await waitForStream(reader, 'S', MESSAGES + 1, SLOW);

  // Killed with records that the hub does not have, and started on what it left.
  await hub.kill();
  for (let i = MESSAGES; i < 2 * MESSAGES; i++) await client.publishAsync('line3/temp', String(i), { qos: 1 });
  await box.kill9();
  await hub.restart();
  await box.start();
  await waitForStream(reader, 'S', 2 * MESSAGES + 1, SLOW);
  const values: string[] = [];
  await readStream(reader, 'S', ({ subject, payload }) => {
    if (subject === 'line3.temp') values.push(Buffer.from(payload).toString());
  });
  assert.deepEqual(
    values,
    Array.from({ length: 2 * MESSAGES }, (_, i) => String(i)),
  );
});
