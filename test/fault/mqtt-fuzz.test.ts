import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz, report } from '../support/mqtt-fuzzer.ts';
import { directedCount, endsWithPacket, FuzzCases } from '../support/mqtt-mutations.ts';

/*
 * Goal: nothing that is sent to the MQTT listener brings the box down, fills its memory, or keeps it from a good client;
 * and a client of version 5 is told by the right reason code what was wrong.
 * Method: a fixed seed chooses 200,000 mutations of recorded sessions, sent to a real box; after each batch good clients
 * publish and are served. A failure names the case, and `npm run fuzz:mqtt -- --case N` sends it again.
 */

const CASES = 200_000;
const SEED = 1;

test('200,000 mutated conversations: no crash, no growth, right reason codes', { timeout: 600_000 }, async (t) => {
  const result = await fuzz(t, { cases: CASES, seed: SEED });
  for (const line of report(result)) t.diagnostic(line);
  assert.deepEqual(result.failures, []);
  assert.equal(result.cases, CASES);
  // Every family of reason codes was heard: the cases come further than the first byte.
  for (const code of [0x81, 0x82, 0x84, 0x8c, 0x90, 0x94, 0x95])
    assert.ok(result.reasonCodes.has(code), `0x${code.toString(16)}`);
});

test('a case is the same whenever it is asked for, and few are like another', () => {
  const cases = new FuzzCases(SEED);
  const again = new FuzzCases(SEED);
  const other = new FuzzCases(SEED + 1);
  const texts = new Set<string>();
  const faults = new Set<string>();
  for (let number = 0; number < 5_000; number++) {
    const { bytes, codes, what } = cases.get(number);
    assert.deepEqual(bytes, again.get(number).bytes);
    texts.add(bytes.toString('latin1'));
    if (codes !== null) faults.add(what);
    if (number === 10) assert.notDeepEqual(bytes, other.get(number).bytes);
  }
  assert.ok(texts.size > 3_500, `${texts.size} of 5000 differ`);
  assert.ok(faults.size >= directedCount - 2, `${faults.size} of ${directedCount} faults`);
  assert.equal(endsWithPacket(Buffer.of(0xc0, 0x00, 0x30, 0x05, 0x00)), false);
});
