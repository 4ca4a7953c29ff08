import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authenticator } from '../../src/core/authenticator.ts';
import { LoginDelays } from '../../src/core/login-delays.ts';
import { hashPassword, isPasswordHash, verifyPassword } from '../../src/core/password.ts';
import type { UserRules } from '../../src/core/users.ts';

/** RFC 7914, section 12, in our form: password "pleaseletmein", N 16384, r 8, p 1. */
const KNOWN =
  '$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw';

async function samAnd(...others: Partial<UserRules>[]): Promise<UserRules[]> {
  const sam = { name: 'sam', passwordHash: KNOWN, certificate: null, publish: ['>'], subscribe: [] };
  return [sam, ...others.map((other) => ({ ...sam, ...other }))];
}

test('hashes are salted, checked, and of a form that other programs write', async () => {
  assert.ok(await verifyPassword('pleaseletmein', KNOWN));
  assert.ok(!(await verifyPassword('pleaseletmeinx', KNOWN)));
  const [one, two] = [await hashPassword('grüße'), await hashPassword('grüße')];
  assert.notEqual(one, two);
  assert.ok(await verifyPassword(Buffer.from('grüße'), one));
  assert.ok(!(await verifyPassword('', one)));
});

test('a hash that would take too much memory or time, or is none, is no hash', async () => {
  const tail = '$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf042w';
  assert.ok(isPasswordHash(`$scrypt$ln=10,r=8,p=1${tail}`));
  for (const cost of ['ln=20,r=8,p=1', 'ln=14,r=64,p=1', 'ln=14,r=8,p=5', 'ln=0,r=8,p=1', 'ln=14,r=0,p=1']) {
    assert.ok(!isPasswordHash(`$scrypt$${cost}${tail}`), cost);
  }
  for (const text of ['', 'secret', '$6$salt$hash', '$scrypt$ln=14,r=8,p=1$$']) {
    assert.ok(!isPasswordHash(text), text);
    assert.equal(await verifyPassword('secret', text), false);
  }
});

test('a login is let in by name and password alone', async () => {
  const authenticator = new Authenticator(await samAnd({ name: 'cert', passwordHash: null, certificate: 'cn' }));
  const login = (name: string, password: string, remote: string) =>
    authenticator.byPassword(name, password, remote, 'c');
  assert.equal((await login('sam', 'pleaseletmein', '::1'))?.name, 'sam');
  // Each from an address of its own, so that none has to wait.
  const wrong = [
    ['sam', 'wrong'],
    ['nobody', 'pleaseletmein'],
    ['cert', ''],
    ['', ''],
    ['sam', 'x'.repeat(5000)],
    ['__proto__', 'x'],
  ] as const;
  const found = await Promise.all(wrong.map(([name, password], i) => login(name, password, `192.0.2.${i}`)));
  assert.deepEqual(
    found,
    wrong.map(() => null),
  );
  assert.equal(authenticator.byCertificate(['x', 'cn'], 'c')?.name, 'cert');
  assert.equal(authenticator.byCertificate(['sam'], 'c'), null);
});

test('a fleet with one user is let in after one check', async () => {
  const authenticator = new Authenticator(await samAnd());
  const startedAt = performance.now();
  assert.ok(await authenticator.byPassword('sam', 'pleaseletmein', '192.0.2.1', 'c0'));
  const onceMs = performance.now() - startedAt;
  const all = await Promise.all(
    Array.from({ length: 500 }, (_, i) => authenticator.byPassword('sam', 'pleaseletmein', '192.0.2.1', `c${i}`)),
  );
  assert.ok(all.every((user) => user?.name === 'sam'));
  const allMs = performance.now() - startedAt - onceMs;
  assert.ok(allMs < 100 * onceMs, `500 logins took ${allMs} ms, the first one ${onceMs} ms`);
});

test('failures slow their address down, and only that one', () => {
  let now = 0;
  const delays = new LoginDelays(() => now);
  assert.equal(delays.delayMs('192.0.2.1'), 0);
  const seen: number[] = [];
  for (let i = 0; i < 8; i++) {
    delays.failed('192.0.2.1');
    seen.push(delays.delayMs('192.0.2.1'));
  }
  assert.deepEqual(seen, [250, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
  assert.equal(delays.delayMs('192.0.2.2'), 0);
  now = 1000;
  assert.equal(delays.delayMs('192.0.2.1'), 3000);
  now = 4000 + 11 * 60_000;
  assert.equal(delays.delayMs('192.0.2.1'), 0);
  delays.failed('192.0.2.1');
  assert.equal(delays.delayMs('192.0.2.1'), 250, 'it starts afresh');
});

test('one host of IPv6 is one address, and the table is bounded', () => {
  const delays = new LoginDelays(() => 0);
  delays.failed('2001:db8:1:2:3:4:5:6');
  assert.equal(delays.delayMs('2001:db8:1:2::9'), 250);
  assert.equal(delays.delayMs('2001:db8:1:3::9'), 0);
  for (let i = 0; i < 10_000; i++) delays.failed(`198.51.${i >> 8}.${i & 255}`);
  assert.equal(delays.size, 4096);
});

test('an address with failures has no more than 16 logins waiting', () => {
  const delays = new LoginDelays(() => 0);
  for (let i = 0; i < 20; i++) {
    assert.ok(delays.hasRoom('192.0.2.1'));
    delays.enter('192.0.2.1');
  }
  delays.failed('192.0.2.1');
  assert.ok(!delays.hasRoom('192.0.2.1'));
  assert.ok(delays.hasRoom('192.0.2.2'));
  for (let i = 0; i < 5; i++) delays.leave('192.0.2.1');
  assert.ok(delays.hasRoom('192.0.2.1'));
});
