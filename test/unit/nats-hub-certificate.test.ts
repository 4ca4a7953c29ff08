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

it('holds an authority to its path length, and to limits that it can not check', (scope) => {
  const of = (...paths: string[]) => paths.flatMap((path) => authoritiesOf([readFileSync(path, 'utf8')]));
  const now = Date.now();
  const root = new Authority(scope);
  const anchors = of(root.ca);
  const below = (signer: Authority, more = '') =>
    new Authority(scope, signer, `basicConstraints=critical,CA:TRUE${more}`);
  const said = (...authorities: Authority[]) => {
    const [first = root] = authorities;
    const leaf = first.issue('leaf', 'IP:127.0.0.1').cert;
    return objectionOf(of(leaf, ...authorities.map(({ ca }) => ca)), anchors, now);
  };
  const middle = below(root);
  assert.equal(said(middle), '');
  assert.equal(said(below(middle), middle), '', 'no limit');
  const last = below(root, ',pathlen:0');
  assert.equal(said(last), '', 'it signs servers');
  assert.match(said(below(last), last), /path length 0/);
  for (const critical of ['', 'critical,']) {
    const narrow = below(root, `\nnameConstraints=${critical}permitted;DNS:example.com`);
    assert.match(said(narrow), /2\.5\.29\.30/);
  }
  const having = (extension: string) =>
    objectionOf(of(root.issue('x', `IP:127.0.0.1\n1.2.3.4=${extension}`).cert), anchors, now);
  assert.equal(having('ASN1:NULL'), '', 'who does not know it may leave it');
  assert.match(having('critical,ASN1:NULL'), /1\.2\.3\.4/);
});
