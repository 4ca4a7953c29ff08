/**
 * Goal: a box that begins in 1970 reaches its hub over TLS, and is not fooled for it. Method: the whole box under libfaketime
 * before a real hub whose certificate is right, expired by the last good time, of a strange authority, or of another name;
 * and the clock moved by years while it runs.
 */
import assert from 'node:assert/strict';
import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startBox } from '../support/box.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const WAIT = { timeoutMs: 60_000, intervalMs: 50 };
const YEAR_S = 365 * 24 * 3600;
const IN_1970_S = -Math.floor(Date.now() / 1000) + 100;
const NAMES = 'IP:127.0.0.1';
const [library = ''] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1');

async function setting(scope: Scope, { cert, key }: Certificate, ca: string, offsetS: number) {
  assert(library, 'libfaketime is installed by test/support/setup.ts');
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: { tls: { cert, key } } });
  const file = join(tempDir(scope, 'clock'), 'offset');
  const set = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}`);
  set(offsetS);
  const box = await startBox(scope, {
    config: { upstream: { urls: [`tls://127.0.0.1:${hub.leafPort}`], tls: { ca } } },
    env: {
      ...process.env,
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  });
  const linked = (what: string) => waitFor(what, async () => (await box.status()).link.state === 'up', WAIT);
  /** The hub goes and comes back. */
  const again = async (what: string) => {
    const { reconnects } = (await box.status()).link;
    await hub.restart();
    const isBack = async () => {
      const { link } = await box.status();
      return link.reconnects > reconnects && link.state === 'up';
    };
    await waitFor(what, isBack, WAIT);
  };
  const refusal = (pattern: RegExp) =>
    waitFor(
      `a refusal of the certificate: ${pattern}`,
      async () => {
        const { state, lastError } = (await box.status()).link;
        assert.notEqual(state, 'up', 'the certificate was accepted');
        return pattern.test(lastError?.message ?? '');
      },
      WAIT,
    );
  return { box, set, linked, again, refusal };
}

describe('TLS to the hub on a wrong clock', { concurrency: 2, timeout: 300_000 }, () => {
  it('of 1970: a sound certificate is taken, with a warning, and after the clock is set it is plain again', async (scope) => {
    const authority = new Authority(scope);
    const { box, set, linked, again } = await setting(scope, authority.issue('hub', NAMES), authority.ca, IN_1970_S);
    await linked('the link on a clock of 1970');
    const warned = () => box.lines.filter((line) => line.includes('certificate was checked by the last good time'));
    assert.equal(warned().length, 1, 'the log says so');
    const { problems } = await box.status();
    assert(problems.some(({ code }: { code: string }) => code === 'clock_untrusted'));
    // Years forwards while it runs, to the right time: the link stays, and the next one needs no favour.
    set(0);
    await waitFor('the clock to be known', async () => (await box.status()).clock.trust === 'assumed', WAIT);
    assert.equal((await box.status()).link.state, 'up');
    await again('the link on a right clock');
    assert.equal(warned().length, 1);
    // And years back.
    set(-30 * YEAR_S);
    await again('the link on a clock that was set back');
    assert.equal(warned().length, 2);
  });

  it('of years ahead: an expired certificate is one, and the link comes back with the right time', async (scope) => {
    const authority = new Authority(scope);
    const { set, linked, refusal } = await setting(scope, authority.issue('hub', NAMES), authority.ca, 10 * YEAR_S);
    await refusal(/expired/i);
    set(0);
    await linked('the link on a right clock');
  });

  const wrong: [what: string, issue: (right: Authority, other: Authority) => Certificate, pattern: RegExp][] = [
    ['a strange authority', (_, other) => other.issue('hub', NAMES), /authority|signed|verify/i],
    ['another name', (right) => right.issue('hub', 'DNS:elsewhere.example'), /127\.0\.0\.1|altnames|name/i],
    [
      'a certificate that is no server’s',
      (right) => right.issue('hub', `${NAMES}\nextendedKeyUsage=clientAuth`),
      /server|purpose/i,
    ],
  ];
  for (const [what, issue, pattern] of wrong) {
    it(`of 1970: ${what} is refused`, async (scope) => {
      const authority = new Authority(scope);
      const { refusal } = await setting(scope, issue(authority, new Authority(scope)), authority.ca, IN_1970_S);
      await refusal(pattern);
    });
  }
});
