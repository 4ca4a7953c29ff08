import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { decoderTypes, framingTypes } from '../../src/core/serial-terms.ts';
import { parseCapture, type Stretch } from '../../src/serial/capture-file.ts';
import type { PortOptions } from '../../src/serial/options.ts';
import { replay } from '../../src/serial/replay.ts';
import { DIST } from '../support/box.ts';
import { tempDir } from '../support/temp.ts';

/**
 * What devices say, as captures, and what the configuration beside them makes of it: see test/fixtures/serial/ports.yaml.
 */

const folder = join(import.meta.dirname, '../fixtures/serial');
const file = join(folder, 'ports.yaml');
const { config, problems } = loadConfig({ file, env: {}, cwd: folder });
assert.ok(config, JSON.stringify(problems));
const ports = new Map<string, PortOptions>(config.serial.map((port) => [port.name, port]));
const captures = readdirSync(folder).filter((name) => name.endsWith('.capture'));

function petiole(...args: string[]) {
  return spawnSync(process.execPath, [join(DIST, 'main.js'), 'serial', ...args], { encoding: 'utf8' });
}

interface Line {
  subject?: string;
  payload?: unknown;
  error?: string;
}

function expected(name: string): Line[] {
  const text = readFileSync(join(folder, `${name}.ndjson`), 'utf8');
  return text.split('\n', text.split('\n').length - 1).map((line) => JSON.parse(line) as Line);
}

/** Messages as `subject payload`, in order. */
async function messages(port: PortOptions, stretches: readonly Stretch[]): Promise<string[]> {
  const made: string[] = [];
  await replay(port, stretches, {
    message: (subject, payload) => made.push(`${subject} ${payload}`),
    error: () => undefined,
  });
  return made;
}

test('there is a capture of every framing and of every decoder', () => {
  const named = captures.map((name) => ports.get(name.replace('.capture', '')));
  assert.deepEqual(new Set(named.map((port) => port?.framing.type)), new Set(framingTypes));
  assert.deepEqual(new Set(named.map((port) => port?.decoder.type)), new Set(decoderTypes));
  assert.equal(named.length, ports.size);
});

for (const capture of captures) {
  const name = capture.replace('.capture', '');
  test(`${name}: the capture gives what stands beside it, however the reads cut it`, async () => {
    const port = ports.get(name) as PortOptions;
    const stretches = parseCapture(readFileSync(join(folder, capture)));
    const whole = await messages(port, stretches);
    const beside = expected(name).filter(({ subject }) => subject !== undefined);
    assert.deepEqual(
      whole,
      beside.map(
        ({ subject, payload }) => `${subject} ${typeof payload === 'string' ? payload : JSON.stringify(payload)}`,
      ),
    );
    const single = stretches.flatMap(({ atMs, bytes }) => [...bytes].map((byte) => ({ atMs, bytes: Buffer.of(byte) })));
    assert.deepEqual(await messages(port, single), whole, 'reads of one byte');
    // All at once, as after a pause of the box; a framing by pauses has nothing to go by then.
    if (port.framing.gapMs > 0 || port.filters.length > 0) return;
    const merged = Buffer.concat(stretches.map(({ bytes }) => bytes));
    const large = Buffer.concat(Array.from({ length: Math.ceil(65_536 / merged.length) }, () => merged));
    const many = await messages(port, [{ atMs: 0, bytes: large }]);
    assert.deepEqual(many.slice(0, whole.length), whole, 'one read of 64 KiB');
    assert.ok(many.length > whole.length * 50, `${many.length} messages`);
  });
}

test('the command prints a capture as it stands beside it', () => {
  const { status, stdout } = petiole('replay', join(folder, 'nmea-gps.capture'), '--config', file, '--json');
  assert.equal(status, 0);
  assert.equal(stdout, readFileSync(join(folder, 'nmea-gps.ndjson'), 'utf8'));
});

test('replay: raw bytes, a port by its name, and what can not be done', (t) => {
  const dir = tempDir(t, 'replay');
  const raw = join(dir, 'scale.bin');
  writeFileSync(raw, 'ST,+00012.50  kg\r\nwhat\r\n');
  const taken = petiole('replay', raw, '--config', file, '--port', 'line-scale');
  assert.equal(taken.status, 0);
  assert.match(taken.stdout, /0\.000 scale\.kg {"state":"ST","weight":12\.5,"unit":"kg"}\n.*! no_match/);
  assert.match(taken.stderr, /line-scale: 24 bytes, 2 frames, 1 messages/);
  assert.equal(petiole('replay', raw, '--config', file, '--port', 'line-scale', '--strict').status, 1);
  const nobody = petiole('replay', raw, '--config', file);
  assert.equal(nobody.status, 1);
  assert.match(nobody.stderr, /--port nmea-gps/);
  assert.equal(petiole('replay', join(dir, 'none'), '--config', file).status, 1);
  const wrong = join(dir, 'wrong.yaml');
  writeFileSync(wrong, 'serial:\n  - { name: a, port: /dev/ttyUSB0, subject: a, frame: { type: fixed } }\n');
  assert.equal(petiole('replay', raw, '--config', wrong).status, 78);
  assert.equal(petiole('replay').status, 64);
});
