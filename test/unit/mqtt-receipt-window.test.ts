import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReceiptWindow } from '../../src/mqtt/receipt-window.ts';

/** Packet identifier and reason code of each PUBACK. */
function pubacks(bytes: Buffer | null): [number, number][] {
  const found: [number, number][] = [];
  if (bytes === null) return found;
  for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt8(at + 1)) {
    assert.equal(bytes[at], 0x40);
    found.push([bytes.readUInt16BE(at + 2), bytes[at + 1] === 2 ? 0 : bytes.readUInt8(at + 4)]);
  }
  return found;
}

test('PUBACKs go out in the order of the PUBLISHes, whatever the order of the receipts [MQTT-4.6.0-2]', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ rank: fc.nat(), code: fc.constantFrom(0, 0, 0, 0x97) }), { maxLength: 60 }),
      (plan) => {
        const window = new ReceiptWindow();
        const tokens = plan.map((_, i) => window.add(i + 1));
        const order = plan.map((_, i) => i).sort((a, b) => (plan[a]?.rank ?? 0) - (plan[b]?.rank ?? 0));
        const settled = new Set<number>();
        const seen: [number, number][] = [];
        for (const i of order) {
          window.settle(tokens[i] ?? 0, plan[i]?.code ?? 0);
          settled.add(i);
          seen.push(...pubacks(window.take()));
          let due = 0;
          while (settled.has(due)) due++;
          assert.equal(seen.length, due, 'all that is due, and nothing else');
        }
        assert.deepEqual(
          seen,
          plan.map(({ code }, i) => [i + 1, code]),
        );
        assert.equal(window.size, 0);
      },
    ),
  );
});

test('one packet identifier may wait twice, as after an early resend', () => {
  const window = new ReceiptWindow();
  const [first, second] = [window.add(7), window.add(7)];
  window.settle(second, 0);
  assert.equal(window.take(), null);
  window.settle(first, 0);
  assert.deepEqual(pubacks(window.take()), [
    [7, 0],
    [7, 0],
  ]);
});

test('a message has one receipt', () => {
  const window = new ReceiptWindow();
  const token = window.add(1);
  window.settle(token, 0);
  assert.throws(() => window.settle(token, 0), /one receipt/);
});

test('behind a held message nothing is acknowledged', () => {
  const window = new ReceiptWindow();
  const [first, held, third] = [window.add(1), window.add(2), window.add(3)];
  window.hold(held);
  assert.equal(window.isSettled, false);
  window.settle(third, 0);
  window.settle(first, 0);
  assert.deepEqual(pubacks(window.take()), [[1, 0]]);
  assert.equal(window.take(), null);
  assert.equal(window.isSettled, true);
  assert.equal(window.size, 2);
});

test('a refusal carries its reason string', () => {
  const window = new ReceiptWindow();
  window.settle(window.add(258), 0x97, 'full');
  assert.equal(window.take()?.toString('hex'), '400b010297071f000466756c6c');
  window.settle(window.add(1), 0x87);
  assert.equal(window.take()?.toString('hex'), '400400018700');
});
