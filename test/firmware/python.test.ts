import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Msg } from '@nats-io/transport-node';
import { startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { BRIDGE, run } from '../support/firmware-build.ts';
import { connectHub } from '../support/hub-stream.ts';
import { startBoard } from '../support/simulated-board.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * Two clients in Python, by two hands, each written from the document and the vectors alone: a gateway, which speaks to the
 * simulator, and a board, which speaks to the box. They show that the document is enough for either end.
 */

const CLIENT = join(BRIDGE, 'python', 'petiole_bridge.py');
const BOARD = join(import.meta.dirname, '../clients/bridge-board.py');
const VECTORS = join(BRIDGE, 'vectors', 'frames.txt');
/** Values without a receipt at most: some for each frame of the board's window. */
const WINDOW = 32;
/** Starting Python takes its time on a busy machine. */
const PATIENCE_MS = 60_000;

test('Python: encoding and decoding are as in the vectors', () => {
  for (const client of [CLIENT, BOARD]) {
    const counts = JSON.parse(run('python3', client, '--vectors', VECTORS));
    assert(counts.frame > 80 && counts.bad > 15 && counts.cobs > 15, JSON.stringify(counts));
  }
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

for (const crc16 of [false, true]) {
  test(`Python: a board of its own is read, commanded and asked, and the box falls${crc16 ? ', with a CRC-16' : ''}`, async (t) => {
    const link = join(tempDir(t, 'newcomer'), 'tty');
    const board = new Child('python3', [BOARD, link, ...(crc16 ? ['16'] : [])]);
    t.after(() => board.kill());
    await board.line('its pty', (line) => line.startsWith('pty '), PATIENCE_MS);
    const box = await startBox(t, { config: { serial: [{ name: 'line3', port: link, bridge: true }] } });
    const client = await connectHub(t, box.natsUrl);
    const counts: number[] = [];
    const callback = (_: unknown, message: Msg) => void counts.push(message.json<{ value: number }>().value);
    client.subscribe('line3.count', { callback });
    await waitFor('values', () => counts.length > 5, { timeoutMs: PATIENCE_MS });
    const { board: facts } = (await box.status()).serial[0];
    assert.deepEqual([facts.identity, facts.check], ['newcomer-1', crc16 ? 'crc16' : 'crc32c']);
    const ask = async (subject: string, payload: string) =>
      (await client.request(subject, payload, { timeout: 30_000 })).string();
    assert.equal(JSON.parse(await ask('line3.lamp.set', 'true')).value, true);
    assert.equal(await ask('line3.ask', 'who are you'), 'WHO ARE YOU');
    assert(board.lines.includes('lamp true') && board.lines.includes('asked who are you'));
    await box.kill9();
    const before = counts.length;
    await box.start();
    await waitFor('values after the fall', () => counts.length > before + 5, { timeoutMs: PATIENCE_MS });
    const receipts = board.lines.filter((line) => line.startsWith('receipt ')).map((line) => Number(line.slice(8)));
    assert.deepEqual(
      receipts,
      Array.from(receipts, (_, index) => index + 1),
    );
    // A live client sees again what had no receipt at the fall, in its order, and nothing else twice: the journal has each once.
    const [early, late] = [counts.slice(0, before), counts.slice(before)];
    for (const half of [early, late])
      assert.deepEqual(
        half,
        [...new Set(half)].sort((a, b) => a - b),
      );
    const again = late.filter((count) => early.includes(count));
    assert.deepEqual(again, early.slice(early.length - again.length), 'what came again is what came last');
    assert(again.length <= WINDOW, `${again.length} values came again`);
  });
}
