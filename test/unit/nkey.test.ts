import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAccount, createUser, fromSeed } from '@nats-io/nkeys';
import { isSignedBy, isUserKey } from '../../src/core/nkey.ts';
import { hashToken, isTokenHash, newToken } from '../../src/core/token.ts';

test('public keys and signatures of the official library are taken, and no others', () => {
  for (let i = 0; i < 50; i++) {
    const user = createUser();
    const key = user.getPublicKey();
    assert.ok(isUserKey(key), key);
    const nonce = `nonce-${i}`;
    const signature = Buffer.from(fromSeed(user.getSeed()).sign(Buffer.from(nonce)));
    assert.ok(isSignedBy(key, nonce, signature.toString('base64url')));
    assert.ok(isSignedBy(key, nonce, signature.toString('base64')), 'padded, as old clients send it');
    assert.ok(!isSignedBy(key, 'another', signature.toString('base64url')));
    assert.ok(!isSignedBy(createUser().getPublicKey(), nonce, signature.toString('base64url')));
    for (const wrong of ['', 'x', signature.subarray(1).toString('base64url')])
      assert.ok(!isSignedBy(key, nonce, wrong));
    // The checksum finds any one letter that is wrong.
    const at = 1 + (i % 55);
    const letter = key[at] === 'A' ? 'B' : 'A';
    assert.ok(!isUserKey(key.slice(0, at) + letter + key.slice(at + 1)), `${key} at ${at}`);
  }
  const seed = Buffer.from(createUser().getSeed()).toString();
  for (const wrong of ['', 'U', seed, createAccount().getPublicKey(), createUser().getPublicKey().toLowerCase()]) {
    assert.ok(!isUserKey(wrong), wrong);
  }
});

test('a token is long, new each time, and known by its hash', () => {
  const tokens = new Set(Array.from({ length: 100 }, newToken));
  assert.equal(tokens.size, 100);
  for (const token of tokens) assert.match(token, /^[\w-]{32}$/);
  const [one = '', other = ''] = tokens;
  assert.ok(isTokenHash(hashToken(one)));
  assert.notEqual(hashToken(one), hashToken(other));
  for (const wrong of ['', one, '$sha256$', `${hashToken(one)}=`, '$scrypt$x']) assert.ok(!isTokenHash(wrong), wrong);
});
