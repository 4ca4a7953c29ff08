import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { backoffDelayMs, hubBackoff } from '../../src/core/backoff.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { KeepConnected, type SingleUse } from '../../src/core/keep-connected.ts';

const refused = new GatewayError('connection_refused', 'refused');
const closed = new GatewayError('connection_closed', 'closed');

/** A far end under the test's hand: each attempt waits until the test lets it succeed or fail. */
class FarEnd {
  readonly attempts: { epoch: number; succeed: () => FakeConnection; fail: (reason: Error) => void }[] = [];
  readonly waits: { code: string; delayMs: number; failures: number }[] = [];
  readonly keeper: KeepConnected<SingleUse>;
  #failures = 0;

  constructor(delayMs = 0, stableMs = 0) {
    this.keeper = new KeepConnected<SingleUse>({
      stableMs,
      connect: (signal, epoch) =>
        new Promise((resolve, reject) => {
          const succeed = () => {
            const connection = new FakeConnection(signal);
            resolve(connection);
            return connection;
          };
          signal.addEventListener('abort', () => reject(new GatewayError('stopping', 'stopping')));
          this.attempts.push({ epoch, succeed, fail: reject });
        }),
      delayMs: (_reason, failures) => {
        this.#failures = failures;
        return delayMs;
      },
      waiting: ({ code }, waitMs) => this.waits.push({ code, delayMs: waitMs, failures: this.#failures }),
    });
  }

  async attempt(number: number) {
    for (;;) {
      const attempt = this.attempts[number - 1];
      if (attempt !== undefined) return attempt;
      await tick();
    }
  }
}

class FakeConnection implements SingleUse {
  readonly #ended = Promise.withResolvers<GatewayError>();
  readonly ended = this.#ended.promise;

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.end(new GatewayError('stopping', 'stopping')));
  }

  end(reason: GatewayError): void {
    this.#ended.resolve(reason);
  }
}

describe('KeepConnected', () => {
  it('tries until it succeeds, and again after a loss, each success with a new epoch', async () => {
    const far = new FarEnd();
    assert.equal(far.keeper.state, 'idle');
    far.keeper.start();
    assert.equal(far.keeper.state, 'connecting');
    (await far.attempt(1)).fail(refused);
    (await far.attempt(2)).fail(refused);
    const third = await far.attempt(3);
    assert.equal(third.epoch, 1);
    assert.equal(far.keeper.epoch, 0);
    const connection = third.succeed();
    await tick();
    assert.deepEqual([far.keeper.state, far.keeper.epoch, far.keeper.attempts], ['up', 1, 3]);
    assert.equal(far.keeper.retryInMs, null);
    await new Promise((resolve) => setTimeout(resolve, 5));
    connection.end(closed);
    const fourth = await far.attempt(4);
    assert.equal(fourth.epoch, 2);
    assert.deepEqual(
      far.waits.map(({ code, failures }) => `${code} ${failures}`),
      ['connection_refused 1', 'connection_refused 2', 'connection_closed 1'],
    );
    await far.keeper.stop();
  });

  it('counts a connection that did not last as one more failure', async () => {
    const far = new FarEnd(0, 60_000);
    far.keeper.start();
    for (let number = 1; number <= 3; number++) (await far.attempt(number)).succeed().end(closed);
    await far.attempt(4);
    assert.deepEqual(
      far.waits.map(({ failures }) => failures),
      [1, 2, 3],
    );
    await far.keeper.stop();
  });

  it('stops at once in every state, and everyone waits for the same end', async () => {
    const stopped = async (far: FarEnd): Promise<void> => {
      const first = far.keeper.stop();
      assert.equal(far.keeper.stop(), first);
      await first;
      assert.equal(far.keeper.state, 'stopped');
    };
    await stopped(new FarEnd());

    const connecting = new FarEnd();
    connecting.keeper.start();
    await connecting.attempt(1);
    await stopped(connecting);

    const up = new FarEnd();
    up.keeper.start();
    (await up.attempt(1)).succeed();
    await tick();
    await stopped(up);

    const waiting = new FarEnd(3_600_000);
    waiting.keeper.start();
    (await waiting.attempt(1)).fail(refused);
    await tick();
    assert.equal(waiting.keeper.state, 'waiting');
    assert.ok((waiting.keeper.retryInMs ?? 0) > 3_599_000);
    await stopped(waiting);
    for (const far of [connecting, up, waiting]) assert.equal(far.attempts.length, 1);
  });
});

describe('backoffDelayMs', () => {
  it('grows from about a second to thirty, never below half the first', () => {
    for (let failures = 1; failures < 1_000; failures++) {
      assert.equal(backoffDelayMs(hubBackoff, failures, 0, 0), 500);
      assert.ok(backoffDelayMs(hubBackoff, failures, 0, 0.999_999) <= 30_000);
    }
    const widest = [1, 2, 3].map((failures) => backoffDelayMs(hubBackoff, failures, 0, 1));
    assert.deepEqual(widest, [4_000, 16_000, 30_000]);
  });

  it('keeps to what the cause demands, and spreads above it', () => {
    assert.ok(backoffDelayMs(hubBackoff, 1, 30_000, 0) >= 30_000);
    assert.ok(backoffDelayMs(hubBackoff, 1, 30_000, 0.9) > backoffDelayMs(hubBackoff, 1, 30_000, 0.1) + 2_000);
  });

  it('spreads 10,000 boxes that lost their hub together', () => {
    for (const [failures, mostInOneSecond] of [
      [1, 3_100],
      [2, 800],
      [3, 450],
    ] as const) {
      const perSecond = new Map<number, number>();
      for (let box = 0; box < 10_000; box++) {
        const second = Math.floor(backoffDelayMs(hubBackoff, failures, 0, (box + 0.5) / 10_000) / 1_000);
        perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
      }
      assert.ok(Math.max(...perSecond.values()) <= mostInOneSecond, `${Math.max(...perSecond.values())}`);
    }
  });
});
