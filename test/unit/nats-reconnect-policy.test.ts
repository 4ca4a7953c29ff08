import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { hubBackoff } from '../../src/core/backoff.ts';
import { type ErrorCode, GatewayError } from '../../src/core/errors.ts';
import { FailureLog } from '../../src/nats/failure-log.ts';
import { HubAddresses, parseHubUrl } from '../../src/nats/hub-addresses.ts';
import { ReconnectPolicy } from '../../src/nats/reconnect-policy.ts';

const refused = new GatewayError('connection_refused', 'refused', { hint: 'start the hub' });
const loop = new GatewayError('hub_loop', 'loop', { retryAfterMs: 30_000 });

describe('ReconnectPolicy', () => {
  const addresses = new HubAddresses(['nats://a', 'nats://b', 'nats://c'].map((url) => parseHubUrl(url).address));
  const policy = new ReconnectPolicy(hubBackoff, addresses, () => 0.5);

  it('goes to the next address soon, and backs off when the round is over', () => {
    const waits: number[] = [];
    for (let failures = 1; failures <= 9; failures++) {
      addresses.next();
      waits.push(policy.delayMs(refused, failures));
    }
    assert.deepEqual(waits, [250, 250, 2_250, 250, 250, 8_250, 250, 250, 15_250]);
  });

  it('spreads in full after a loss, even where other addresses are left', () => {
    addresses.next();
    policy.lost();
    assert.equal(policy.delayMs(refused, 1), 2_250);
    assert.equal(policy.delayMs(refused, 2), 250);
  });

  it('keeps to the wait that the cause demands', () => {
    assert.ok(addresses.left > 0);
    assert.equal(policy.delayMs(loop, 1), 32_250);
  });
});

describe('FailureLog', () => {
  it('warns once of each kind with its cure, and again after a recovery', () => {
    const levels: string[] = [];
    const log = pino(
      { level: 'debug' },
      {
        write: (text: string) => {
          const { level, code, hint } = JSON.parse(text);
          levels.push(`${level === 40 ? 'warn' : 'debug'} ${code as ErrorCode} ${hint}`);
        },
      },
    );
    const failures = new FailureLog(log);
    for (const reason of [refused, refused, loop, loop, refused]) failures.report(reason, 1_000);
    failures.recovered();
    failures.report(refused, 1_000);
    assert.deepEqual(levels, [
      'warn connection_refused start the hub',
      'debug connection_refused start the hub',
      'warn hub_loop ',
      'debug hub_loop ',
      'warn connection_refused start the hub',
      'warn connection_refused start the hub',
    ]);
  });
});
