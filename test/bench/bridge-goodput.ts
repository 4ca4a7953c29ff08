import { setTimeout as sleep } from 'node:timers/promises';
import { startBox } from '../support/box.ts';
import { Lifetime } from '../support/scope.ts';
import { startBoard } from '../support/simulated-board.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * How much of a line of 115,200 baud, whose bits are wrong once in 100,000, is payload that the real box has journaled and
 * acknowledged: `npm run bench:goodput [SECONDS]`. The board is the C library behind a pty that passes no more bytes in a
 * second than such a line; messages have 200 bytes.
 */

const BAUD = 115_200;
const BITS_PER_BYTE = 10;
const MESSAGE_BYTES = 200;
/** The ring of the simulator has room for more. */
const WAITING_MAX = 14;
const SUBJECT = '.load';

const seconds = Number(process.argv[2] ?? 60);

async function measure(flip: number): Promise<void> {
  await using life = new Lifetime();
  const line = ['--baud', `${BAUD}`, '--flip', flip.toFixed(6), '--seed', '7'];
  const board = await startBoard(life, { options: ['--rate', '0', ...line] });
  const box = await startBox(life, { config: { serial: [{ name: 'line3', port: board.path, bridge: true }] } });
  await waitFor('the conversation', () => board.told('open').length > 0, { timeoutMs: 30_000 });
  let receipts = 0;
  let given = 0;
  const give = (): void => {
    for (; given - receipts < WAITING_MAX; given++) board.say(`publish ${SUBJECT} ${'x'.repeat(MESSAGE_BYTES)}`);
  };
  board.watch((said) => {
    if (!said.startsWith('receipt ')) return;
    receipts++;
    give();
  });
  const sinceMs = performance.now();
  give();
  await sleep(seconds * 1000);
  const tookS = (performance.now() - sinceMs) / 1000;
  const share = (receipts * MESSAGE_BYTES) / ((BAUD / BITS_PER_BYTE) * tookS);
  const { counters } = (await box.status()).serial[0].board;
  process.stdout.write(
    `${flip} wrong bits: ${receipts} messages of ${MESSAGE_BYTES} bytes in ${tookS.toFixed(1)} s: ` +
      `${(share * 100).toFixed(1)} % of ${BAUD} baud (${counters.gaps} gaps, ${counters.duplicates} came again)\n`,
  );
}

// The first shows what this machine lets through of such a line: what it is late by is lost to both.
await measure(0);
await measure(1e-5);
