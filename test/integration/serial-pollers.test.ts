import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { queryObjects } from 'node:v8';
import { GatewayError } from '../../src/core/errors.ts';
import { type OpenOptions, openSerialLine } from '../../src/serial/line.ts';
import { plugDevice } from '../support/serial-device.ts';
import { identity, port } from '../support/serial-options.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const OPENINGS = 50;
const require = createRequire(import.meta.resolve('serialport'));
/** The library's own class, before a port is opened. */
const { Poller } = require('@serialport/bindings-cpp/dist/poller.js');

test('a port that comes and goes is heard each time, and leaves nothing behind', async (t) => {
  const device = await plugDevice(t, join(tempDir(t, 'pollers'), 'tty'));
  let heard = '';
  const options: OpenOptions = {
    settings: port({ identity: identity({ path: device.path }) }).line,
    onData: (chunk) => {
      heard += chunk.toString();
    },
    onRefused: (setting, why) => assert.fail(`${setting}: ${why}`),
    isGathered: false,
  };
  for (let n = 0; n < OPENINGS; n++) {
    const line = await openSerialLine(device.path, options);
    await device.send(`${n}\n`);
    await waitFor('what the device says', () => heard.endsWith(`${n}\n`));
    await line.write(Buffer.from('x'));
    await line.close(new GatewayError('connection_closed', 'the test has seen enough'));
  }
  const count = queryObjects(Poller, { format: 'count' }) as unknown as number;
  assert(count >= 1 && count <= 3, `${count} pollers for ${OPENINGS} openings of one port`);
});
