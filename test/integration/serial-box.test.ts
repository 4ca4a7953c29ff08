import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from '@nats-io/transport-node';
import { startBox } from '../support/box.ts';
import { plugDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** The real box with real ptys: what a device says is journaled, what is sent to it is written. */

test('a scale on a pty: its lines are JSON on its subject, in the journal, and on the status page', async (t) => {
  const dir = tempDir(t, 'serial');
  const scale = await plugDevice(t, join(dir, 'ttyScale'));
  const box = await startBox(t, {
    config: {
      serial: [
        {
          name: 'scale',
          port: scale.path,
          baud: 9600,
          decode: { type: 'pattern', pattern: '(?P<weight>[0-9.]+) *(?P<unit>kg|g)' },
          subject: 'line3.scale.{unit}',
          command: { subject: 'line3.scale.cmd', timeout: '300ms', match: '^OK' },
          acknowledge: { accepted: '\x06', refused: '\x15' },
        },
      ],
    },
  });
  const nats = await connect({ servers: box.natsUrl });
  t.after(() => nats.close());
  const subscription = nats.subscribe('line3.>');
  await nats.flush();
  await waitFor('the port to open', async () => (await box.status()).serial[0].state === 'open');
  await scale.send('ST,GS, 12.50 kg\r\nnoise\r\n');
  for await (const message of subscription) {
    assert.equal(message.subject, 'line3.scale.kg');
    assert.deepEqual(message.json(), { weight: 12.5, unit: 'kg' });
    break;
  }
  // The receipt comes after the commit, the refusal for the line that is no reading.
  await waitFor('both receipts', () => scale.received.includes('\x06') && scale.received.includes('\x15'));
  const { serial, lanes } = await waitFor('a status that has both', async () => {
    const status = await box.status();
    return status.serial[0].captures === 1 && status.lanes[0].lastSequence === 1 ? status : null;
  });
  const [facts] = serial;
  assert.deepEqual([facts.messagesIn, facts.faults.no_match, lanes[0].counters.appended], [1, 1, 1]);

  const capture = await fetch(`${box.statusUrl}/serial/scale/capture`);
  assert.equal(capture.status, 200);
  assert.match(await capture.text(), new RegExp(Buffer.from('noise\r\n').toString('hex')));
  assert.equal((await fetch(`${box.statusUrl}/serial/other/capture`)).status, 404);

  // Commands: written in the device's framing; the matching frame is the answer, the others are readings.
  scale.onData = (bytes) => {
    if (bytes.includes('TARE\r\n')) void scale.send('0.00 kg\r\nOK 7\r\n');
  };
  const answer = await nats.request('line3.scale.cmd', 'TARE', { timeout: 5000 });
  assert.equal(answer.string(), 'OK 7');
  await waitFor('the reading beside the answer', async () => (await box.status()).serial[0].messagesIn === 2);
  const late = await nats.request('line3.scale.cmd', 'NOTHING', { timeout: 5000 });
  assert.equal(late.headers?.get('Nats-Service-Error-Code'), '504');
});

test('a pulled plug: the port closes, comes back under its name, and goes on', async (t) => {
  const dir = tempDir(t, 'serial');
  const device = await plugDevice(t, join(dir, 'ttyMeter'));
  const box = await startBox(t, {
    config: {
      serial: [{ name: 'meter', port: device.path, decode: 'json', subject: 'meter' }],
    },
  });
  const port = async () => (await box.status()).serial[0];
  await waitFor('the port to open', async () => (await port()).state === 'open');
  await device.send('{"t":1}\n{"t"');
  await waitFor('the first reading', async () => (await port()).messagesIn === 1);
  await device.unplug();
  await waitFor('its absence to be told', async () => (await port()).state === 'absent');
  const { problems } = await box.status();
  assert.ok(
    problems.some((problem: { code: string }) => problem.code === 'port_missing'),
    JSON.stringify(problems),
  );
  await device.plug();
  // Opening throws away what was on the line before.
  await waitFor('the port to open again', async () => (await port()).state === 'open');
  await device.send('{"t":2}\n');
  await waitFor('the second reading', async () => (await port()).messagesIn === 2);
  const facts = await port();
  assert.equal(facts.opens, 2);
  assert.deepEqual({ cut: facts.discarded.cut, faults: facts.undecodable }, { cut: 4, faults: 0 });
});
