import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectRate } from '../../src/mqtt/connect-rate.ts';

/** How many of `tries` are let in. */
function admitted(rate: ConnectRate, address: string, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (rate.take(address)) count++;
  return count;
}

test('an address has ten seconds of its rate at once, then its rate; others are let in meanwhile', () => {
  let now = 0;
  const rate = new ConnectRate(100, 5, () => now);
  assert.equal(admitted(rate, '10.0.0.1', 200), 50);
  assert.equal(admitted(rate, '10.0.0.2', 1), 1);
  now += 1_000;
  assert.equal(admitted(rate, '10.0.0.1', 200), 5);
  now += 3_600_000;
  assert.equal(admitted(rate, '10.0.0.1', 200), 50, 'no more is saved up');
});

test('the box has a rate for all, which a refused address does not use up', () => {
  let now = 0;
  const rate = new ConnectRate(10, 5, () => now);
  assert.equal(admitted(rate, '10.0.0.1', 10_000), 50);
  assert.equal(admitted(rate, '10.0.0.2', 10_000), 50);
  assert.equal(admitted(rate, '10.0.0.3', 10_000), 0);
  now += 1_000;
  assert.equal(admitted(rate, '10.0.0.4', 10_000), 10);
});

test('one host of IPv6 is one address, loopback is many clients, 0 is no limit', () => {
  const rate = new ConnectRate(0, 1, () => 0);
  assert.equal(admitted(rate, '2001:db8:1:2::1', 10), 10);
  assert.equal(admitted(rate, '2001:db8:1:2::2', 10), 0);
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) assert.equal(admitted(rate, address, 1_000), 1_000);
  assert.equal(admitted(new ConnectRate(0, 0, () => 0), '10.0.0.1', 10_000), 10_000);
});

test('many addresses do not fill the memory, and the busy ones are remembered', () => {
  const rate = new ConnectRate(0, 1, () => 0);
  admitted(rate, '10.9.9.9', 10);
  for (let i = 0; i < 20_000; i++) {
    rate.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    if (i % 1_000 === 0) assert.equal(rate.take('10.9.9.9'), false, `forgotten after ${i}`);
  }
});
