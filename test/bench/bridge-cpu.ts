import { join } from 'node:path';
import { encodeCbor } from '../../firmware-bridge/codec/cbor.ts';
import { readEntities, writeData } from '../../firmware-bridge/codec/entities.ts';
import { encodeFrame } from '../../firmware-bridge/codec/frame.ts';
import { type } from '../../firmware-bridge/codec/words.ts';
import { Router } from '../../src/core/router.ts';
import { Board } from '../../src/serial/bridge/board.ts';
import { FrameLink } from '../../src/serial/bridge/frame-link.ts';
import { type NumberedFrame, NumberedIn } from '../../src/serial/bridge/numbered-in.ts';
import { type BoardCounters, boardCounters } from '../../src/serial/bridge/options.ts';
import { Publications } from '../../src/serial/bridge/publications.ts';
import { SubjectRules } from '../../src/serial/bridge/subject-rules.ts';
import { openJournal } from '../support/journal.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';

/**
 * CPU time of the box for each value of a board, from the bytes of the line to the commit and the receipt, the writer
 * thread included: `npm run bench:bridge [VALUES_PER_FRAME]`. Batches of 33 values have some 200 bytes; the largest window,
 * a real journal.
 */

const WINDOW = 32;
const PER_FRAME = Number(process.argv[2] ?? 33);
/** Within one turn of the sequence: the receipts below are counted by their low 16 bits. */
const FRAMES = 10_000;
const VALUES = FRAMES * PER_FRAME;

await using life = new Lifetime();
const journal = await openJournal(life, { folder: join(tempDir(life, 'bridge-cpu'), 'data') });
const router = new Router();
router.connect(journal, null);
const party = { kind: 'serial' as const, name: 'line3' };
const counters = Object.fromEntries(boardCounters.map((one) => [one, 0])) as BoardCounters;
const rules = new SubjectRules('line3', ['>'], ['>']);
const publications = new Publications({ router, store: journal, party, rules, counters, baud: 115_200 });
const maps = Buffer.concat([
  Buffer.from([0xa3, 0x00]),
  encodeCbor('temperature'),
  Buffer.from([0x01, 0x01, 0x03]),
  encodeCbor(0.1),
]);
const hello = { identity: 'bench', description: 1, window: WINDOW, features: 0 } as never;
const board = new Board(hello, 'line3', maps);
if (readEntities(maps).length !== 1) throw new Error('one entity');

/** Resolves once everything up to a number is acknowledged. */
let acknowledged = 0;
let wake = (): void => undefined;
const numbered: NumberedIn = new NumberedIn('bench 1', {
  counters,
  forget: (through) => journal.taken.forget('bench 1', through),
  send: (of, payload) => {
    if (of !== type.ack) return;
    acknowledged += ((payload[0] as number) | ((payload[1] as number) << 8)) - (acknowledged & 0xffff);
    wake();
  },
  handle: (number, { payload }: NumberedFrame) => {
    const note = {
      source: 'bench 1',
      number,
      receipt: numbered,
      await: (count: number) => numbered.await(number, count),
    };
    return publications.data(board, payload, Date.now(), note);
  },
});
numbered.open(1, WINDOW);
const link = new FrameLink(
  () => undefined,
  (frame) => numbered.take(frame.sequence, frame),
  (cause) => {
    throw new Error(cause);
  },
);
const values = Array.from({ length: PER_FRAME }, (_, n) => [
  encodeCbor(0),
  encodeCbor(200 + n),
  encodeCbor(n * 50),
]).flat();
const payload = writeData(12, values);
const run = async (frames: number, first: number): Promise<void> => {
  for (let number = first; number < first + frames; ) {
    const chunk: Uint8Array[] = [];
    const end = Math.min(number + WINDOW, first + frames);
    for (; number < end; number++) {
      chunk.push(
        encodeFrame({ check: 'crc32c', type: type.data, flags: 1, sequence: number & 0xffff, channel: 1, payload }),
      );
    }
    link.push(Buffer.concat(chunk));
    while (acknowledged < number - 1) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
};
await run(FRAMES, 1);
const before = process.cpuUsage();
await run(FRAMES, FRAMES + 1);
const { user, system } = process.cpuUsage(before);
const perValue = (user + system) / VALUES;
process.stdout.write(
  `${VALUES} values in frames of ${payload.length + 10} bytes: ${perValue.toFixed(2)} us of CPU a value\n`,
);
