import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { splitAckReply } from '../../src/nats/ack-reply.ts';
import type { Encoded } from '../../src/nats/encoder.ts';
import { HubInterest } from '../../src/nats/hub-interest.ts';
import { LocalInterest } from '../../src/nats/local-interest.ts';
import { isAlwaysWanted, mayAnnounce, SubjectRules } from '../../src/nats/permissions.ts';

class Said {
  lines: string[] = [];
  subscribe(filter: string, queue: string, weight: number): Encoded {
    this.lines.push(`+ ${filter} ${queue} ${weight}`);
    return 'ok';
  }
  unsubscribe(filter: string, queue: string): Encoded {
    this.lines.push(`- ${filter} ${queue}`);
    return 'ok';
  }
  take(): string[] {
    return this.lines.splice(0);
  }
}

const anything = () => true;

describe('LocalInterest', () => {
  it('tells the first and the last member, and the weight of groups', () => {
    const local = new LocalInterest();
    const said = new Said();
    local.set('a', '', 1);
    local.set('b', 'q', 1);
    assert.equal(local.announce(said, anything), true);
    assert.deepEqual(said.take(), ['+ a  1', '+ b q 1']);
    local.set('a', '', 2);
    local.set('b', 'q', 2);
    local.announce(said, anything);
    assert.deepEqual(said.take(), ['+ b q 2']);
    local.set('a', '', 0);
    local.set('b', 'q', 0);
    local.announce(said, anything);
    assert.deepEqual(said.take(), ['- a ', '- b q']);
    assert.equal(local.announce(said, anything), false);
    assert.equal(local.size, 0);
  });

  it('says nothing of what came and went between', () => {
    const local = new LocalInterest();
    const said = new Said();
    local.set('a', '', 1);
    local.set('a', '', 0);
    local.announce(said, anything);
    local.set('b', '', 1);
    local.announce(said, anything);
    local.set('b', '', 0);
    local.set('b', '', 1);
    local.announce(said, anything);
    assert.deepEqual(said.take(), ['+ b  1']);
  });

  it('tells a new connection everything, and follows permissions', () => {
    const local = new LocalInterest();
    const said = new Said();
    for (const filter of ['a', 'b', 'c']) local.set(filter, '', 1);
    local.announce(said, (filter) => filter !== 'b');
    assert.deepEqual(said.take(), ['+ a  1', '+ c  1']);
    local.recheck();
    local.announce(said, (filter) => filter !== 'c');
    assert.deepEqual(said.take(), ['+ b  1', '- c ']);
    assert.equal(local.announced, 2);
    local.reset();
    assert.equal(local.announced, 0);
    local.announce(said, anything);
    assert.deepEqual(said.take(), ['+ a  1', '+ b  1', '+ c  1']);
  });
});

describe('HubInterest', () => {
  it('is not counted: twice announced is once, and one withdrawal ends it', () => {
    const hub = new HubInterest();
    hub.add('a.*', '');
    hub.add('a.*', '');
    assert.ok(hub.wants('a.b'));
    hub.remove('a.*', '');
    hub.remove('a.*', '');
    assert.equal(hub.wants('a.b'), false);
    assert.equal(hub.size, 0);
  });

  it('names each group once, but for those served here', () => {
    const hub = new HubInterest();
    hub.add('a', 'q');
    hub.add('a', 'p');
    hub.add('*', 'q');
    assert.deepEqual([...(hub.queuesFor('a', []) ?? [])].toSorted(), ['p', 'q']);
    assert.deepEqual(hub.queuesFor('a', ['q']), ['p']);
    assert.equal(hub.queuesFor('a', ['q', 'p']), null);
    hub.add('a', '');
    assert.deepEqual(hub.queuesFor('a', ['q', 'p']), []);
    assert.equal(hub.queuesFor('b.c', []), null);
  });

  it('is bounded by tokens too, for they are what costs memory', () => {
    const hub = new HubInterest();
    const long = Array(200).fill('x').join('.');
    assert.throws(
      () => {
        for (let i = 0; i < 2_000; i++) hub.add(`${i}.${long}`, '');
      },
      { code: 'hub_error' },
    );
    assert.ok(hub.size < 1_300);
  });
});

describe('permissions', () => {
  it("allow what is allowed and not denied, and the hub's own plumbing", () => {
    const rules = new SubjectRules({ allow: ['edge.>', 'x'], deny: ['edge.private.*'] });
    for (let twice = 0; twice < 2; twice++) {
      assert.ok(rules.allows('edge.a.b') && rules.allows('x') && rules.allows('edge.private.a.b'));
      assert.ok(!rules.allows('edge.private.a') && !rules.allows('edge') && !rules.allows('y'));
      assert.ok(rules.allows('$JS.ACK.S.C.1.1.1.1.0') && rules.allows('_GR_.a.b._INBOX.x'));
    }
    assert.ok(new SubjectRules(null).allows('anything'));
    assert.ok(new SubjectRules({ allow: [], deny: ['a'] }).allows('b'));
  });

  it('keep from the hub what would cost the link', () => {
    const all = new SubjectRules(null);
    for (const filter of ['$KV.b.k', '$KV.>', '$JS.API.>', '$OBJ', '$LDS.x', '_GR_.>', '_INBOX.>']) {
      assert.equal(mayAnnounce(filter, all), false, filter);
    }
    for (const filter of ['$KVX.b', '$JS.EVENT.>', '_INBOX.a.>', '>', 'a.b'])
      assert.ok(mayAnnounce(filter, all), filter);
    const some = new SubjectRules({ allow: ['a.>'], deny: [] });
    assert.ok(mayAnnounce('a.b', some) && mayAnnounce('b.*', some) && !mayAnnounce('b.c', some));
  });

  it('know what hubs take without announcing it', () => {
    for (const subject of ['$JS.API.INFO', '$KV.b.k', '$OBJ.b.C.x', '$JS.ACK.S.C']) assert.ok(isAlwaysWanted(subject));
    for (const subject of ['$JS.dom.API.INFO', 'KV.b', '$KVX.b', '$SYS.x']) assert.ok(!isAlwaysWanted(subject));
  });
});

describe('splitAckReply', () => {
  it("takes the subject of a consumer's message from behind the reply", () => {
    const reply = '$JS.ACK.S.C.1.22.333.1700000000000000000.0';
    assert.deepEqual(splitAckReply(`${reply}@line3.temp`), { reply, subject: 'line3.temp' });
    const odd = '$JS.ACK.S@1.C@2.1.22.333.1700000000000000000.0';
    assert.deepEqual(splitAckReply(`${odd}@a@b`), { reply: odd, subject: 'a@b' });
    for (const other of ['', reply, 'a@b', '$JS.ACK.S@x.C', '_INBOX.a.b.c.d.e.f.g.h.i@x']) {
      assert.equal(splitAckReply(other), null);
    }
  });
});
