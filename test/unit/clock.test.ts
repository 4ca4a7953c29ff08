import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Clock, type Evidence } from '../../src/core/clock.ts';

const FLOOR = Date.UTC(2026, 0, 1);
const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;
const YEARS = 5 * 365 * 24 * HOUR;

/** A machine whose wall clock can be set; `look` passes a second. */
function machine(wallMs: number, { evidence = 'none' as Evidence, good = 0, boot = 'b1', saved = '', last = 0 } = {}) {
  const clock = new Clock(boot, FLOOR, good);
  if (saved !== '') clock.load(saved);
  const state = { monotonicMs: 1_000, baseMs: wallMs - 1_000, evidence, last };
  const look = () => {
    state.monotonicMs += 1_000;
    const { monotonicMs, baseMs } = state;
    return clock.look({ wallMs: baseMs + monotonicMs, monotonicMs, evidence: state.evidence, last: { t: state.last } });
  };
  /** A record by the clock as it is now. */
  const receive = () => ({ sequence: ++state.last, atMs: state.baseMs + state.monotonicMs });
  look();
  return { clock, state, look, receive };
}

describe('the clock of the box', () => {
  it('is trusted where nothing speaks against it, and stamps are left alone', () => {
    const { clock, look, receive } = machine(NOW);
    const { sequence, atMs } = receive();
    assert.equal(clock.trust, 'assumed');
    assert.equal(clock.stamp('t', sequence, atMs), null);
    assert.deepEqual(look(), { stepMs: 0, changed: false });
  });

  it('of 1970 is not; once it was set, what came in before is put right to the second', () => {
    const { clock, state, look, receive } = machine(12_000);
    assert.equal(clock.trust, 'untrusted');
    const early = receive();
    assert.deepEqual(clock.stamp('t', 1, early.atMs), { ms: early.atMs, quality: 'untrusted' });
    for (let s = 0; s < 30; s++) look();
    const truth = NOW + 30_000;
    state.baseMs = truth - state.monotonicMs;
    const { stepMs, changed } = look();
    assert(stepMs > YEARS && changed);
    assert.equal(clock.trust, 'assumed');
    const { ms, quality } = clock.stamp('t', 1, early.atMs) ?? assert.fail();
    assert.deepEqual([ms, quality], [NOW, 'restamped']);
    assert.equal(clock.stamp('t', receive().sequence, truth), null, 'what comes in now is right');
  });

  it('waits for the time service where there is one', () => {
    const { clock, state, look } = machine(NOW, { evidence: 'unsynced' });
    assert.equal(clock.trust, 'untrusted');
    state.baseMs += 5_000;
    look();
    assert.equal(clock.trust, 'untrusted', 'set by hand, or on its way');
    state.evidence = 'synced';
    look();
    assert.equal(clock.trust, 'synced');
  });

  for (const step of [YEARS, -YEARS, 2 * HOUR, -2 * HOUR]) {
    it(`that is set by ${step / HOUR} h for no reason is not trusted until it is set back or confirmed`, () => {
      const { clock, state, look, receive } = machine(NOW + YEARS, {});
      look();
      state.baseMs += step;
      assert.deepEqual(look(), { stepMs: step, changed: true });
      assert.equal(clock.trust, 'untrusted');
      const { sequence, atMs } = receive();
      look();
      assert.equal(clock.trust, 'untrusted', 'time alone does not make it right');
      state.baseMs -= step;
      look();
      assert.equal(clock.trust, 'assumed');
      assert.deepEqual(clock.stamp('t', sequence, atMs), { ms: atMs - step, quality: 'restamped' });
    });
  }

  it('set between two looks: each record is judged by the clock that stamped it', () => {
    const { clock, state, look, receive } = machine(12_000);
    look();
    const old = receive();
    state.monotonicMs += 400;
    state.baseMs = NOW;
    const young = receive();
    look();
    assert.equal(clock.stamp('t', old.sequence, old.atMs)?.quality, 'restamped');
    assert.equal(clock.stamp('t', young.sequence, young.atMs), null);

    const right = receive();
    state.baseMs += YEARS;
    const wrong = receive();
    look();
    assert.equal(clock.stamp('t', right.sequence, right.atMs), null);
    assert.deepEqual(clock.stamp('t', wrong.sequence, wrong.atMs), { ms: wrong.atMs, quality: 'untrusted' });
  });

  it('may be slewed, and set by minutes', () => {
    const { clock, state, look } = machine(NOW);
    for (let s = 0; s < 10_000; s++) {
      state.baseMs += 1;
      assert.equal(look().stepMs, 0);
    }
    state.baseMs += 10 * 60_000;
    assert.equal(look().stepMs, 10 * 60_000);
    assert.equal(clock.trust, 'assumed');
  });

  it('behind the last good time is wrong, unless a time server says otherwise', () => {
    assert.equal(machine(NOW, { good: NOW + HOUR }).clock.trust, 'untrusted');
    assert.equal(machine(NOW, { good: NOW + HOUR, evidence: 'synced' }).clock.trust, 'synced');
  });

  it('remembers over a restart of the box, in the same boot; another boot cannot know', () => {
    const before = machine(12_000);
    const { sequence, atMs } = before.receive();
    const saved = before.clock.save();
    for (const { boot, quality } of [
      { boot: 'b1', quality: 'restamped' },
      { boot: 'b2', quality: 'untrusted' },
    ]) {
      const after = machine(12_000, { saved, boot, last: sequence });
      after.state.baseMs = NOW;
      after.state.evidence = 'synced';
      after.look();
      const stamp = after.clock.stamp('t', sequence, atMs);
      assert.equal(stamp?.quality, quality);
      if (quality === 'restamped') assert.equal(stamp?.ms, NOW + atMs - (12_000 - 1_000));
      assert.equal(after.clock.prune({ t: sequence }), true);
      assert.equal(after.clock.stretches, 0);
    }
  });

  it('makes nothing of a state that makes no sense', () => {
    for (const saved of ['', 'x', '{}', '{"stretches":7}', 'null'])
      assert.equal(machine(NOW, { saved }).clock.trust, 'assumed');
  });
});
