import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBox } from '../support/box.ts';
import { plugDevice } from '../support/serial-device.ts';
import { pullPlugs } from '../support/serial-plugs.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/** What devices and people do to the serial edge of a real box. */

// biome-ignore lint/suspicious/noExplicitAny: the rows of /status.json
type Row = any;

test('two plugs are swapped: each port says whose device it hears', async (t) => {
  const dir = tempDir(t, 'serial');
  const [gps, scale] = [await plugDevice(t, join(dir, 'ttyA')), await plugDevice(t, join(dir, 'ttyB'))];
  const pattern = '(?P<weight>[0-9.]+) *kg';
  const box = await startBox(t, {
    config: {
      serial: [
        // The devices are the other way round.
        { name: 'scale', port: gps.path, decode: { type: 'pattern', pattern }, subject: 'scale' },
        { name: 'gps', port: scale.path, frame: 'nmea', decode: 'nmea', subject: 'gps' },
      ],
    },
  });
  const rows = async (): Promise<Row[]> => (await box.status()).serial;
  await waitFor('the ports to open', async () => (await rows()).every(({ state }) => state === 'open'));
  const talking = setInterval(() => {
    void gps.send('$GPGLL,4916.45,N,12311.12,W,225444,A*31\r\n');
    void scale.send('ST,GS, 12.50 kg\r\n');
  }, 20);
  t.after(() => clearInterval(talking));
  await waitFor(
    'the swap to be told of both',
    async () => (await rows()).map(({ swap }) => swap).join() === 'gps,scale',
  );
  const { problems } = await box.status();
  assert.equal(problems.filter(({ code }: Row) => code === 'port_swapped').length, 2);
});

test('a device that only answers is asked, by an interval and by a plan', async (t) => {
  const dir = tempDir(t, 'serial');
  const device = await plugDevice(t, join(dir, 'tty'));
  device.onData = (bytes) => {
    for (const asked of bytes.toString().matchAll(/([TP])\?\r\n/g)) void device.send(`${asked[1]}=1\r\n`);
  };
  const box = await startBox(t, {
    config: {
      serial: [
        {
          name: 'meter',
          port: device.path,
          decode: 'key-value',
          subject: 'meter',
          polls: [
            { send: 'T?', every: '50ms' },
            { send: 'P?', cron: '* * * * * *' },
          ],
        },
      ],
    },
  });
  await waitFor('answers to both', () => device.received.includes('T?\r\n') && device.received.includes('P?\r\n'));
  const asked = await waitFor('readings', async () => {
    const { serial } = await box.status();
    return serial[0].messagesIn > 3 ? serial[0] : null;
  });
  assert.ok(asked.polls >= asked.messagesIn, JSON.stringify(asked));
});

test('a device that floods with garbage is told of, and takes no more than its share', async (t) => {
  const dir = tempDir(t, 'serial');
  const [loud, quiet] = [await plugDevice(t, join(dir, 'ttyLoud')), await plugDevice(t, join(dir, 'ttyQuiet'))];
  const check = { type: 'crc-32' };
  const box = await startBox(t, {
    config: {
      serial: [
        // Each byte may begin a frame here: the costliest garbage.
        { name: 'loud', port: loud.path, frame: { type: 'fixed', length: 64, check }, subject: 'loud' },
        { name: 'quiet', port: quiet.path, decode: 'json', subject: 'quiet' },
      ],
    },
  });
  const row = async (name: string): Promise<Row> => (await box.status()).serial.find((one: Row) => one.name === name);
  await waitFor(
    'the ports to open',
    async () => (await row('quiet')).state === 'open' && (await row('loud')).state === 'open',
  );
  const garbage = Buffer.from(Uint8Array.from({ length: 65_536 }, (_, i) => (i * 7919 + (i >> 5)) & 0xff));
  let isFlooding = true;
  const flood = (async () => {
    while (isFlooding) await loud.send(garbage).catch(() => undefined);
  })();
  await waitFor('the flood to be told', async () => (await row('loud')).isFlooding, { timeoutMs: 30_000 });
  const { problems } = await box.status();
  assert.ok(problems.some(({ code, part }: Row) => code === 'port_floods' && part === 'serial loud'));
  // The neighbour is heard, and the box answers.
  await quiet.send('{"t":1}\n');
  await waitFor('the other port', async () => (await row('quiet')).messagesIn === 1, { timeoutMs: 30_000 });
  const { discarded, captures, throttled } = await row('loud');
  assert.ok(discarded.bad_check > 0 && captures > 0 && throttled > 0);
  isFlooding = false;
  await loud.unplug();
  await flood;
});

test('a line setting that the driver has not is left out and told, and the port works', async (t) => {
  const device = await plugDevice(t, join(tempDir(t, 'serial'), 'tty'));
  const box = await startBox(t, {
    config: { serial: [{ name: 'board', port: device.path, dtr: false, half_duplex: 'rts-high', subject: 'board' }] },
  });
  await waitFor('the port to open', async () => (await box.status()).serial[0].state === 'open');
  // A pty has no such lines.
  assert.equal((await box.status()).serial[0].refusedSettings, 'dtr and rts');
  await device.send('hello\n');
  await waitFor('a message', async () => (await box.status()).serial[0].messagesIn === 1);
});

test('plugs that are pulled again and again leave no descriptor behind', async (t) => {
  const { cycles, descriptors } = await pullPlugs(t, { ports: 4, cycles: 5 });
  assert.equal(cycles, 20);
  assert.equal(descriptors.after, descriptors.before);
});
