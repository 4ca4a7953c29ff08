import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isSubject, matches } from '../../src/core/subject.ts';
import { filterToSubjects, isTopicFilter, isTopicName, topicToSubject } from '../../src/core/topic.ts';
import { isRule, type User, type UserRules, Users } from '../../src/core/users.ts';

function userOf(rules: Partial<UserRules>, clientId = 'c1'): User {
  const all = { name: 'sam', passwordHash: null, certificate: null, publish: [], subscribe: [], ...rules };
  const user = new Users([all]).byName(all.name)?.user(clientId);
  assert.ok(user);
  return user;
}

test('rules are subject filters, with placeholders as whole tokens', () => {
  for (const rule of ['>', 'a.*.b', '{clientid}', 'a.{username}.>', '$JS.API.>']) assert.ok(isRule(rule), rule);
  for (const rule of ['', 'a..b', 'a.>.b', 'a{clientid}', '{client}', '{clientid', 'a b', '{}.a']) {
    assert.ok(!isRule(rule), rule);
  }
});

test('a user may do what a rule covers, and nothing without rules', () => {
  const user = userOf({ publish: ['line3.>', 'x.*'], subscribe: ['line3.cmd.>'] });
  assert.ok(user.mayPublish('line3.temp') && user.mayPublish('x.y'));
  for (const subject of ['line3', 'line33.a', 'x', 'x.y.z', 'line4.temp'])
    assert.ok(!user.mayPublish(subject), subject);
  assert.ok(user.maySubscribe('line3.cmd.*') && user.maySubscribe('line3.cmd.>'));
  for (const filter of ['>', '*.cmd.>', 'line3.>', 'line3.*.a', 'line3.cmd'])
    assert.ok(!user.maySubscribe(filter), filter);
  const nobody = userOf({});
  assert.ok(!nobody.mayPublish('a') && !nobody.maySubscribe('a') && !nobody.mayReceive('a'));
});

test('users without {clientid} share one set of rules', () => {
  const users = new Users([
    { name: 'a', passwordHash: null, certificate: 'cn', publish: ['{username}.>'], subscribe: [] },
    { name: 'b', passwordHash: null, certificate: null, publish: ['{clientid}.>'], subscribe: [] },
  ]);
  assert.equal(users.byName('a')?.user('1'), users.byName('a')?.user('2'));
  assert.notEqual(users.byName('b')?.user('1'), users.byName('b')?.user('2'));
  assert.equal(users.byCertificate(['other', 'cn'])?.name, 'a');
  assert.equal(users.byCertificate(['']), null);
});

/** What a hostile device calls itself, and parts of what it asks for. */
const level = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'ab', '.', '..', '*', '>', '%2A', '%2F', '%', '$JS', '_INBOX', ' ', 'a.b', 'a/b', '//'),
  fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '>', '#', '+', '/', '%', '2', 'A', '$', ' '), maxLength: 4 }),
);
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filter = fc
  .array(fc.oneof(level, fc.constantFrom('+', '#')), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'));

test('a client comes to no topic but that of its own identifier, whatever it is', () => {
  let allowed = 0;
  fc.assert(
    fc.property(level, topic, (clientId, name) => {
      fc.pre(isTopicName(name));
      const user = userOf({ publish: ['devices.{clientid}.>', 'own.{clientid}'] }, clientId);
      const [first, second] = name.split('/');
      const isOwn = second === clientId && name.split('/').length > (first === 'devices' ? 2 : 1);
      for (const prefixed of [name, `devices/${name}`, `own/${name}`, `devices/${clientId}/${name}`]) {
        if (!isTopicName(prefixed) || !user.mayPublish(topicToSubject(prefixed))) continue;
        allowed++;
        const levels = prefixed.split('/');
        assert.equal(levels[1], clientId, `${JSON.stringify(clientId)} came to ${prefixed}`);
        assert.ok(levels[0] === 'devices' ? levels.length > 2 : levels[0] === 'own' && levels.length === 2, prefixed);
      }
      if (isOwn && first === 'devices' && clientId !== '') {
        assert.ok(user.mayPublish(topicToSubject(name)), `${clientId} may not publish to its own ${name}`);
      }
    }),
    { numRuns: 3000, seed: 1 },
  );
  assert.ok(allowed > 300, `only ${allowed} were allowed: the test tries too little`);
});

test('two clients never share a token', () => {
  fc.assert(
    fc.property(level, level, (one, other) => {
      fc.pre(one !== other);
      const rules = { publish: ['{clientid}.>'] };
      const [a, b] = [userOf(rules, one), userOf(rules, other)];
      for (const name of [one, other, topicToSubject(one || 'x'), topicToSubject(other || 'x')]) {
        const subject = `${name}.x`;
        assert.ok(!(a.mayPublish(subject) && b.mayPublish(subject)), `${one} and ${other} share ${subject}`);
      }
    }),
    { numRuns: 3000, seed: 2 },
  );
});

test('a client identifier gives no right to the subjects of the system', () => {
  for (const clientId of ['$JS', '$SYS', '_INBOX', '$']) {
    const user = userOf({ publish: ['{clientid}.>'], subscribe: ['{clientid}.>'] }, clientId);
    assert.ok(!user.mayPublish(`${clientId}.API.x`) && !user.maySubscribe(`${clientId}.>`), clientId);
  }
  const named = userOf({ publish: ['$KV.{clientid}.>'] }, 'a');
  assert.ok(named.mayPublish('$KV.a.x') && !named.mayPublish('$KV.b.x'));
});

test('whatever a granted subscription matches may be received', () => {
  const rule = fc.constantFrom('>', 'a.>', 'a.*', '*.b', 'a.{clientid}.>', '{clientid}.*', '*.*.a', '//.>', 'a./.>');
  let granted = 0;
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 3 }), level, filter, topic, (subscribe, clientId, wanted, name) => {
      fc.pre(isTopicFilter(wanted) && isTopicName(name));
      const user = userOf({ subscribe }, clientId);
      const filters = filterToSubjects(wanted);
      if (!filters.every((one) => user.maySubscribe(one))) return;
      granted++;
      const subject = topicToSubject(name);
      assert.ok(isSubject(subject));
      if (filters.some((one) => matches(one, subject))) assert.ok(user.mayReceive(subject), `${wanted} let in ${name}`);
    }),
    { numRuns: 5000, seed: 3 },
  );
  assert.ok(granted > 300, `only ${granted} were granted: the test tries too little`);
});

test('a deny rule is stronger than any other, and hides what a wider subscription would show', () => {
  const user = userOf({
    publish: ['a.>'],
    publishDeny: ['a.b.*'],
    subscribe: ['s.>'],
    subscribeDeny: ['s.no', 's.dark.>'],
  });
  assert.ok(user.mayPublish('a.b') && user.mayPublish('a.b.c.d') && !user.mayPublish('a.b.c'));
  for (const filter of ['s.no', 's.dark.>', 's.dark.x.*']) assert.ok(!user.maySubscribe(filter), filter);
  for (const filter of ['s.>', 's.*', 's.yes']) assert.ok(user.maySubscribe(filter), filter);
  assert.ok(user.hidesSome('s.>') && user.hidesSome('s.*') && user.hidesSome('*.dark.x') && !user.hidesSome('s.yes'));
  assert.ok(user.mayReceive('s.yes') && !user.mayReceive('s.no') && !user.mayReceive('s.dark.x.y'));
});

test('a deny rule whose placeholder has no token denies every token', () => {
  const denied = (clientId: string): User =>
    userOf({ publish: ['>'], publishDeny: ['own.{clientid}', '{clientid}.x'] }, clientId);
  assert.ok(!denied('c1').mayPublish('own.c1') && denied('c1').mayPublish('own.c2'));
  for (const clientId of ['', 'a/b', '+', '#']) {
    assert.ok(!denied(clientId).mayPublish('own.c1') && !denied(clientId).mayPublish('$SYS.x'), clientId);
  }
});
