/**
 * Goal: whoever opens the page reads in plain words how the box stands, or what is wrong and what to do. Method: a real
 * box is brought into each of ten situations by what makes them in the field, and its sentence is read where the page
 * reads it. The sentences are printed: they are for people.
 */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connectAsync, type MqttClient } from 'mqtt';
import type { StatusFrame } from '../../src/ops/api.ts';
import { listen } from '../support/api.ts';
import { type Box, type BoxOptions, startBox } from '../support/box.ts';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { fits } from '../support/openapi.ts';
import { freePort } from '../support/ports.ts';
import { RuledDisk } from '../support/ruled-disk.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { plugDevice } from '../support/serial-device.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const PATIENCE = { timeoutMs: 60_000, intervalMs: 50 };
const HOUR_S = 3600;
const lanes = [{ name: 'telemetry', subjects: ['line3.>'], max_bytes: '4MiB', full: 'refuse' }];

const suite = { after };
let hub: NatsServer;
// Here and not in the hook below, whose own end it would be.
atEnd(suite, () => {});
before(async () => {
  hub = await startNatsServer(suite, { jetstream: true, leafnodes: true });
  await createStream(await connectHub(suite, hub.clientUrl), 'TELEMETRY', ['line3.>']);
});

/** Waits until the box says so, prints it, and gives what the page was told. */
async function says(t: TestContext, box: Box, wanted: RegExp): Promise<StatusFrame> {
  const feed = listen(t, box, '/api/events?topics=status');
  const isSaid = ({ sentence }: StatusFrame) => wanted.test(sentence);
  const frame = await waitFor(
    `${wanted}`,
    () => {
      const last = feed.of('status').at(-1);
      if (last === undefined || !isSaid(last)) throw new Error(last?.sentence);
      return last;
    },
    PATIENCE,
  );
  feed.close();
  t.diagnostic(frame.sentence);
  fits('StatusFrame', frame, 'the frame');
  return frame;
}

async function sensor(scope: Scope, box: Box): Promise<MqttClient> {
  const client = await connectAsync(box.mqttUrl, { clientId: 'oven-12', reconnectPeriod: 0 });
  client.on('error', () => {});
  atEnd(scope, () => void client.end(true));
  return client;
}

/** The wall clock of a box, off by seconds that may be changed; the monotonic one runs as it is. */
function fakeTime(scope: Scope): { env: NodeJS.ProcessEnv; set(seconds: number): void } {
  const [library = ''] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');
  assert(existsSync(library), 'libfaketime is installed by test/support/setup.ts');
  const file = join(tempDir(scope, 'clock'), 'offset');
  const set = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}`);
  set(0);
  const env = {
    ...process.env,
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  return { env, set };
}

/** The clock of the box goes on by that much, in steps that no clock that is set right would exceed. */
async function goOn(box: Box, clock: { set(seconds: number): void }, fromS: number, toS: number): Promise<void> {
  for (let at = fromS; at < toS; ) {
    const before = (await box.status()).clock.steps;
    at = Math.min(toS, at + HOUR_S * 0.9);
    clock.set(at);
    await waitFor('the step to be seen', async () => (await box.status()).clock.steps > before, PATIENCE);
  }
}

let boxes = 0;
function boxAt(t: TestContext, url: string, { config = {}, ...options }: BoxOptions = {}): Promise<Box> {
  boxes++;
  // A name of its own: the hub takes no two boxes of one name.
  return startBox(t, { name: `plant${boxes}`, ...options, config: { lanes, upstream: { urls: [url] }, ...config } });
}

describe('the sentence on top of the overview', { concurrency: 4 }, () => {
  it('fresh', async (t) => {
    const box = await startBox(t);
    const { tone } = await says(t, box, /^No upstream is configured: .* Set upstream\.urls to send them to a hub\.$/);
    assert.equal(tone, 'ok');
  });

  it('well', async (t) => {
    const box = await boxAt(t, hub.leafUrl);
    await (await sensor(t, box)).publishAsync('line3/oven', '21.5', { qos: 1 });
    const { tone } = await says(
      t,
      box,
      /^Connected to .* for \d+ s; everything sent; 1 sensor seen in the last minute\.$/,
    );
    assert.equal(tone, 'ok');
  });

  it('offline for two hours', async (t) => {
    const clock = fakeTime(t);
    const gone = await startNatsServer(t, { leafnodes: true });
    const box = await boxAt(t, gone.leafUrl, { env: clock.env });
    await box.logged('the link', ({ msg }) => msg === 'linked to the hub');
    await gone.stop();
    await says(t, box, /^Offline/);
    const oven = await sensor(t, box);
    await Promise.all(Array.from({ length: 120 }, () => oven.publishAsync('line3/oven', '21.5', { qos: 1 })));
    await goOn(box, clock, 0, 2 * HOUR_S);
    await says(
      t,
      box,
      /^Offline for 2 h \(.*\); 120 messages are kept here and will be sent once the link is back\. \S/,
    );
  });

  it('a lane 95 % full', async (t) => {
    const box = await boxAt(t, `nats://127.0.0.1:${await freePort()}`);
    const oven = await sensor(t, box);
    const fill = async (count: number) => {
      await Promise.all(
        Array.from({ length: count }, () => oven.publishAsync('line3/oven', 'x'.repeat(4000), { qos: 1 })),
      );
      const [lane] = (await box.status()).lanes;
      return lane.bytes / lane.bytesMax;
    };
    await fill(900);
    await waitFor('95 %', async () => (await fill(5)) >= 0.95, { ...PATIENCE, intervalMs: 500 });
    await says(
      t,
      box,
      /Lane telemetry is 9[5-7] % full.*\. Then new messages will be refused: mend the link, or raise max_bytes/,
    );
  });

  it('a wrong password', async (t) => {
    const strict = await startNatsServer(t, { leafnodes: { user: 'plant1', password: 'right' } });
    const config = { upstream: { urls: [strict.leafUrl], user: 'plant1', password: 'wrong' } };
    await says(
      t,
      await boxAt(t, '', { config }),
      /^Offline for .*\(the hub at \S+ refuses the user, the password or the token .*\).* Check upstream\.user and /,
    );
  });

  it('no stream', async (t) => {
    const box = await boxAt(t, hub.leafUrl, { config: { lanes: [{ name: 'alarms', subjects: ['alarm.>'] }] } });
    await (await sensor(t, box)).publishAsync('alarm/fire', '1', { qos: 1 });
    await says(t, box, /^Connected to .*, but lane alarms waits with 1 message: .*stream.*alarm\.fire.*\. \S/);
  });

  it('a wrong clock', async (t) => {
    const clock = fakeTime(t);
    clock.set(-20 * 365 * 24 * HOUR_S);
    const box = await boxAt(t, hub.leafUrl, { env: clock.env });
    await says(t, box, /^The time is not known \(the clock says 20\d\d-.*\): .* time server .*\. Connected to /);
  });

  it('a slow card', async (t) => {
    const dir = tempDir(t, 'slow');
    mkdirSync(join(dir, 'root'));
    const disk = new RuledDisk(t, join(dir, 'root'), dir);
    const box = await boxAt(t, hub.leafUrl, { dataDir: join(dir, 'root/data'), env: disk.env });
    disk.rule('syncMs', 450);
    const oven = await sensor(t, box);
    await waitFor(
      'most commits to be slow',
      async () => {
        await oven.publishAsync('line3/oven', '21.5', { qos: 1 });
        return (await box.status()).store.fsyncP50Ms > 400;
      },
      PATIENCE,
    );
    await says(t, box, /^The disk is slow: a commit takes \d+ ms, .* plan to replace it\. Connected to /);
    disk.rule('syncMs', 0);
  });

  it('a sensor gone silent', async (t) => {
    const clock = fakeTime(t);
    const box = await boxAt(t, hub.leafUrl, { env: clock.env });
    const oven = await sensor(t, box);
    await oven.publishAsync('line3/oven', '21.5', { qos: 1 });
    await goOn(box, clock, 0, 600);
    await oven.publishAsync('line3/oven', '21.6', { qos: 1 });
    oven.stream.destroy();
    await waitFor('the loss', async () => (await box.status()).mqtt.lost.count === 1, PATIENCE);
    await goOn(box, clock, 600, 600 + 1200);
    await says(t, box, /^Connected to .* Nothing has come from oven-12 for 20 min: check its power and its network\.$/);
  });

  it('a port unplugged', async (t) => {
    const device = await plugDevice(t, join(tempDir(t, 'port'), 'ttyScale'));
    const serial = [{ name: 'scale', port: device.path, subject: 'line3.scale' }];
    const box = await boxAt(t, hub.leafUrl, { config: { serial } });
    await waitFor('the port to open', async () => (await box.status()).serial[0].state === 'open', PATIENCE);
    await device.unplug();
    await says(t, box, /^Serial port scale: there is no device \S+ttyScale\. Plug it in, .*\. Connected to /);
    await device.plug();
    await says(t, box, /^Connected to .*everything sent/);
  });

  it('a corrupt store, mended', async (t) => {
    const box = await boxAt(t, `nats://127.0.0.1:${await freePort()}`);
    const oven = await sensor(t, box);
    await Promise.all(Array.from({ length: 300 }, () => oven.publishAsync('line3/oven', 'x'.repeat(500), { qos: 1 })));
    await box.stop();
    const file = openSync(join(box.dataDir, 'petiole.db'), 'r+');
    writeSync(file, Buffer.alloc(100, 0xa5), 0, 100, 0);
    await box.start();
    const { snapshot } = await says(
      t,
      box,
      /The store was damaged, and has been mended .*: 300 records .* replace the card\./,
    );
    assert.equal(snapshot.lanes[0]?.depth, 300);
    // Also after a restart, for who comes later.
    await box.restart();
    await says(t, box, /The store was damaged, and has been mended /);
  });
});
