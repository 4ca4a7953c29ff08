import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Child } from '../support/child.ts';
import { BRIDGE, run } from '../support/firmware-build.ts';
import { startBoard } from '../support/simulated-board.ts';

/** The client in Python, which was written from the document and the vectors: it shows that these are enough. */

const CLIENT = join(BRIDGE, 'python', 'petiole_bridge.py');
/** Starting Python takes its time on a busy machine. */
const PATIENCE_MS = 60_000;

test('Python: encoding and decoding are as in the vectors', () => {
  const counts = JSON.parse(run('python3', CLIENT, '--vectors', join(BRIDGE, 'vectors', 'frames.txt')));
  assert(counts.frame > 80 && counts.bad > 15 && counts.cobs > 15, JSON.stringify(counts));
});

for (const crc16 of [false, true]) {
  test(`Python: values and a command, over a bad line${crc16 ? ', with a CRC-16' : ''}`, async (t) => {
    const bad = ['--flip', '0.0001', '--drop', '0.0002', '--seed', '3'];
    const board = await startBoard(t, { crc16, options: ['--rate', '100', ...bad] });
    const set = new Child('python3', [CLIENT, board.path, 'setpoint=12.5']);
    t.after(() => set.kill());
    assert.deepEqual(JSON.parse(await set.line('the answer', (line) => line.startsWith('{'), PATIENCE_MS)), {
      code: 0,
      value: 12.5,
    });
    assert(board.told('command').includes('setpoint 12.5'));
    await set.exited;
    const show = new Child('python3', [CLIENT, board.path]);
    t.after(() => show.kill());
    await show.line('a value', (line) => /^temperature 2\d(\.\d+)? °C$/.test(line), PATIENCE_MS);
  });
}
