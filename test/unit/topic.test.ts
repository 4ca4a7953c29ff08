import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasWildcard, isFilter, isSubject, matches } from '../../src/core/subject.ts';
import {
  filterToSubjects,
  isHidden,
  isTopicFilter,
  isTopicName,
  subjectToTopic,
  topicToSubject,
} from '../../src/core/topic.ts';

// Pieces that meet each other in every order: separators, what is escaped, what looks like an escape, and the plain.
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('/', '/', '.', 'a', 'b', '%', '2', '0', '5', 'A') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(' ', '*', '>', '\t', '\u007f', '\u0001', '$', '%20', '%2A', '%2a', '%2F', '%25'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }) },
);
const topics = fc
  .array(piece, { minLength: 1, maxLength: 12 })
  .map((pieces) => pieces.join(''))
  .filter(isTopicName);
const level = fc.constantFrom('', 'a', 'b', '.', 'a.b', '*', '>', ' ', '%20', '%', '$SYS', 'é');
const levels = fc.array(level, { minLength: 1, maxLength: 4 });
const plainTopics = levels.map((parts) => parts.join('/')).filter((topic) => topic !== '');
const topicFilters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([parts, isOpen]) => [...parts, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');

/** The matching rule of the specification, word for word and level by level. [MQTT-4.7.1-2] [MQTT-4.7.1-3] */
function topicMatches(filter: string, topic: string): boolean {
  const inFilter = filter.split('/');
  const inTopic = topic.split('/');
  if (inFilter.at(-1) === '#') {
    const parent = inFilter.slice(0, -1);
    return inTopic.length >= parent.length && parent.every((part, i) => part === '+' || part === inTopic[i]);
  }
  return inFilter.length === inTopic.length && inFilter.every((part, i) => part === '+' || part === inTopic[i]);
}

// The first rows are those of nats-server 2.10 and newer.
const table: readonly (readonly [string, string])[] = [
  ['a/b', 'a.b'],
  ['a/b/c', 'a.b.c'],
  ['/a', '/.a'],
  ['a/', 'a./'],
  ['a//b', 'a./.b'],
  ['a///b', 'a././.b'],
  ['//a', '/./.a'],
  ['a//', 'a././'],
  ['/', '/./'],
  ['//', '/././'],
  ['a.b', 'a//b'],
  ['.', '//'],
  ['..', '////'],
  ['a/.', 'a.//'],
  ['./a', '//.a'],
  ['./', '//./'],
  ['/.', '/.//'],
  ['$SYS/x', '$SYS.x'],
  ['é/ü', 'é.ü'],
  ['50%', '50%'],
  ['a%2Fb', 'a%2Fb'],
  ['a%2ab', 'a%2ab'],
  ['\u00a0\u0085', '\u00a0\u0085'],
  // What nats-server refuses or takes for a wildcard, and what could be taken for its escape.
  ['a b', 'a%20b'],
  ['a\tb', 'a%09b'],
  ['\u0001', '%01'],
  ['\u007f', '%7F'],
  ['*', '%2A'],
  ['a/>', 'a.%3E'],
  ['a*b', 'a%2Ab'],
  ['a%20b', 'a%2520b'],
  ['a%2520b', 'a%252520b'],
  ['%%20', '%%2520'],
  ['% ', '%%20'],
  ['%2 0', '%2%200'],
  ['%2/0', '%2.0'],
];

test('topics and subjects, by the table', () => {
  for (const [topic, subject] of table) {
    assert.equal(topicToSubject(topic), subject);
    assert.equal(subjectToTopic(subject), topic);
  }
});

test('property: every legal topic survives the round trip', () => {
  fc.assert(
    fc.property(topics, (topic) => assert.equal(subjectToTopic(topicToSubject(topic)), topic)),
    { numRuns: 3000 },
  );
});

test('every code unit that a topic may have survives alone, beside others and as a level', () => {
  for (let code = 1; code <= 0x3000; code++) {
    const character = String.fromCharCode(code);
    for (const topic of [character, `a${character}0`, `a/${character}/b`, `%${character}`, `%2${character}`]) {
      if (!isTopicName(topic)) continue;
      const subject = topicToSubject(topic);
      assert.ok(isSubject(subject) && !hasWildcard(subject), JSON.stringify(topic));
      assert.equal(subjectToTopic(subject), topic);
    }
  }
});

test('property: no two topics share a subject', () => {
  fc.assert(
    fc.property(topics, topics, (a, b) => {
      assert.equal(topicToSubject(a) === topicToSubject(b), a === b);
    }),
    { numRuns: 3000 },
  );
});

test('the short topics over the hard characters all have their own subject', () => {
  const characters = ['/', '.', '%', '2', '0', 'A', ' ', '*', '5'];
  const seen = new Map<string, string>();
  let short = [''];
  for (let length = 1; length <= 5; length++) {
    short = short.flatMap((topic) => characters.map((character) => topic + character));
    for (const topic of short) {
      const subject = topicToSubject(topic);
      assert.equal(seen.get(subject), undefined, `${topic} and ${seen.get(subject)} are both ${subject}`);
      seen.set(subject, topic);
    }
  }
  assert.equal(seen.size, 9 + 9 ** 2 + 9 ** 3 + 9 ** 4 + 9 ** 5);
});

test('property: the subject of a topic is legal, without wildcards, and at most three times as long', () => {
  fc.assert(
    fc.property(topics, (topic) => {
      const subject = topicToSubject(topic);
      assert.ok(isSubject(subject), subject);
      assert.ok(!hasWildcard(subject), subject);
      assert.ok(subject.length <= topic.length * 3);
    }),
    { numRuns: 3000 },
  );
});

test('property: every legal subject has a topic, and that topic is legal', () => {
  const token = fc.oneof(
    fc.constantFrom('/', '//', '///', '+', '#', '*', '>', 'a/b', '/a', 'a+', '%2B', '%00', '%20', '%'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
  );
  const subjects = fc
    .array(token, { minLength: 1, maxLength: 5 })
    .map((tokens) => tokens.join('.'))
    .filter(isSubject);
  fc.assert(
    fc.property(subjects, (subject) => assert.ok(isTopicName(subjectToTopic(subject)), subject)),
    { numRuns: 3000 },
  );
  assert.equal(subjectToTopic('/'), '%2F');
  assert.equal(subjectToTopic('a/b.c'), 'a%2Fb/c');
  assert.equal(subjectToTopic('a.+.#'), 'a/%2B/%23');
});

test('topic filters, by the table', () => {
  const filters: readonly (readonly [string, readonly string[]])[] = [
    ['#', ['>']],
    ['+', ['*']],
    ['a/b', ['a.b']],
    ['a/+/c', ['a.*.c']],
    ['a/#', ['a.>', 'a']],
    ['a/+/#', ['a.*.>', 'a.*']],
    ['+/#', ['*.>', '*']],
    ['/#', ['/.>']],
    ['//#', ['/./.>', '/./']],
    ['a//#', ['a./.>', 'a./']],
    ['+//#', ['*./.>', '*./']],
    ['/+', ['/.*']],
    ['+/', ['*./']],
    ['$SYS/#', ['$SYS.>', '$SYS']],
    ['*/>', ['%2A.%3E']],
    ['a.b/ /#', ['a//b.%20.>', 'a//b.%20']],
  ];
  for (const [filter, subjects] of filters) assert.deepEqual(filterToSubjects(filter), subjects);
});

test('property: a topic filter matches a topic exactly where one of its subjects does, and no two of them do', () => {
  fc.assert(
    fc.property(topicFilters, plainTopics, (filter, topic) => {
      const subject = topicToSubject(topic);
      const hits = filterToSubjects(filter).filter((candidate) => matches(candidate, subject));
      assert.equal(hits.length, topicMatches(filter, topic) ? 1 : 0, `${filter} ${topic}`);
    }),
    { numRuns: 3000 },
  );
});

test('property: a topic filter made of a topic by wildcards matches it', () => {
  fc.assert(
    fc.property(levels, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat(4), (parts, plus, end) => {
      const topic = parts.join('/');
      fc.pre(topic !== '');
      const masked = parts.map((part, i) => (plus[i] ? '+' : part));
      const filter = end >= parts.length ? masked.join('/') : [...masked.slice(0, end), '#'].join('/');
      fc.pre(filter !== '');
      assert.ok(isTopicFilter(filter));
      assert.ok(filterToSubjects(filter).some((candidate) => matches(candidate, topicToSubject(topic))));
    }),
    { numRuns: 2000 },
  );
});

test('property: the subjects of a topic filter are legal filters', () => {
  fc.assert(
    fc.property(topicFilters, (filter) => {
      assert.ok(isTopicFilter(filter));
      for (const subject of filterToSubjects(filter)) assert.ok(isFilter(subject), subject);
    }),
  );
});

test('property: an access rule on a prefix covers the topics below that prefix and no other', () => {
  fc.assert(
    fc.property(plainTopics, topics, (prefix, topic) => {
      const rule = `${topicToSubject(prefix)}.>`;
      assert.ok(matches(rule, topicToSubject(`${prefix}/${topic}`)));
      assert.equal(matches(rule, topicToSubject(topic)), topic.startsWith(`${prefix}/`));
    }),
    { numRuns: 2000 },
  );
});

test('a filter that begins with a wildcard does not see the system', () => {
  for (const filter of ['#', '+/x', '+/#', '+']) {
    for (const candidate of filterToSubjects(filter)) {
      assert.ok(isHidden(candidate, '$SYS.x'));
      assert.ok(isHidden(candidate, '_INBOX.x'));
      assert.ok(!isHidden(candidate, 'a.$SYS'));
      assert.ok(!isHidden(candidate, '_INBOXES.x'));
    }
  }
  for (const filter of ['$SYS/#', '$SYS/+', '_INBOX/#', '*/x', '>']) {
    for (const candidate of filterToSubjects(filter)) assert.ok(!isHidden(candidate, '$SYS.x'), candidate);
  }
});

test('a topic name has 1 to 65,535 bytes, no wildcards, no NUL, and is Unicode', () => {
  const legal = ['a', '/', ' ', 'a b', '$SYS/x', 'x'.repeat(65_535), 'é'.repeat(32_767), '😀'.repeat(16_383), '\ufeff'];
  for (const topic of legal) assert.ok(isTopicName(topic) && isTopicFilter(topic), topic.slice(0, 20));
  const illegal = ['', 'a\0', '\ud800', 'a\udc00b', 'x'.repeat(65_536), 'é'.repeat(32_768), '😀'.repeat(16_384)];
  for (const topic of illegal) assert.ok(!isTopicName(topic) && !isTopicFilter(topic), topic.slice(0, 20));
  for (const topic of ['+', '#', 'a/+', 'a/#', 'a+', 'a#b']) assert.ok(!isTopicName(topic), topic);
});

test('wildcards of a topic filter are whole levels, "#" the last one', () => {
  for (const filter of ['+', '#', '+/+', '/+', '+/', '/#', 'a/+/#', '//#', '+//#', '$SYS/#']) {
    assert.ok(isTopicFilter(filter), filter);
  }
  for (const filter of ['a+', '+a', 'a/+b', 'a#', '#a', 'a/b#', '#/a', 'a/#/b', '#/', '##', '++', '+#', '#/#']) {
    assert.ok(!isTopicFilter(filter), filter);
  }
});

test('the longest topics are mapped without fuss', () => {
  for (const topic of ['/'.repeat(65_535), '.'.repeat(65_535), ' '.repeat(65_535), '%'.repeat(65_535)]) {
    assert.equal(subjectToTopic(topicToSubject(topic)), topic);
  }
});
