import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { authoritiesOf, objectionOf } from '../../src/nats/hub-certificate.ts';
import { Authority } from '../support/certificates.ts';

const DAY_MS = 86_400_000;

it('looks at everything but the beginning of a certificate by the last good time', (scope) => {
  const authority = new Authority(scope);
  const other = new Authority(scope);
  const of = (path: string) => authoritiesOf([readFileSync(path, 'utf8')]);
  const anchors = of(authority.ca);
  const sound = of(authority.issue('sound', 'IP:127.0.0.1').cert);
  const now = Date.now();
  assert.equal(objectionOf(sound, anchors, now), '');
  assert.equal(objectionOf(sound, anchors, now - 365 * DAY_MS), '', 'it begins later than the floor');
  assert.match(objectionOf(sound, anchors, now + 3 * DAY_MS), /expired/);
  assert.match(objectionOf(sound, of(other.ca), now), /authority/);
  // An authority of the same name with another key.
  assert.match(objectionOf([...sound, ...of(other.ca)], of(other.ca), now), /authority/);
  const client = of(authority.issue('client', 'IP:127.0.0.1\nextendedKeyUsage=clientAuth').cert);
  assert.match(objectionOf(client, anchors, now), /not one of a server/);
  // One that is no authority can't vouch for another.
  assert.match(objectionOf([...sound, ...client], client, now), /authority/);
  assert.equal(objectionOf(anchors, anchors, now), '', 'the very certificate that is trusted');
  assert.match(objectionOf([], anchors, now), /no certificate/);
});
