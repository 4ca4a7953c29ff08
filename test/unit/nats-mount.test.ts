import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Mount } from '../../src/nats/mount.ts';

const token = fc.stringMatching(/^[A-Za-z0-9_>*-]{1,6}$/);
const subject = fc.array(token, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join('.'));

describe('the mount', () => {
  it('moves the subjects of the box below its prefix and leaves the others of the hub reachable', () => {
    const mount = new Mount('plant1');
    for (const [here, there] of [
      ['line3.temp', 'plant1.line3.temp'],
      ['>', 'plant1.>'],
      ['*.temp', 'plant1.*.temp'],
      ['$JS.API.INFO', '$JS.API.INFO'],
      ['$KV.b.k', '$KV.b.k'],
      ['_INBOX.a.b', '_INBOX.a.b'],
      ['_GR_.x.y.z', '_GR_.x.y.z'],
      ['$HUB.office.valve', 'office.valve'],
      ['$HUB.plant10.x', 'plant10.x'],
      ['', ''],
    ] as const) {
      assert.equal(mount.toHub(here), there);
      assert.equal(mount.toBox(there), here);
    }
    assert.ok(mount.isUnreachable('$HUB.plant1.x'));
    assert.ok(!mount.isUnreachable('$HUB.plant10.x'));
  });

  it('without a prefix changes nothing', () => {
    const mount = new Mount('');
    for (const one of ['a', '$HUB.a', '_INBOX.x', '']) {
      assert.equal(mount.toHub(one), one);
      assert.equal(mount.toBox(one), one);
    }
  });

  it('is undone by its inverse, whatever the prefix, and no two subjects here are one there', () => {
    fc.assert(
      fc.property(subject, subject, (prefix, here) => {
        const mount = new Mount(prefix);
        assert.equal(mount.toBox(mount.toHub(here)), here);
        // A subject of the hub is the same again, by whatever name the box knew it.
        assert.equal(mount.toHub(mount.toBox(here)), here);
      }),
    );
  });
});
