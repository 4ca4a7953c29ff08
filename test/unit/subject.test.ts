import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  covers,
  hasWildcard,
  isFilter,
  isSubject,
  isSystemSubject,
  matches,
  overlaps,
  safeToken,
} from '../../src/core/subject.ts';

const literal = fc.constantFrom('a', 'b', 'ab', '_INBOX', '$SYS', 'a*', '>b', '%2A', 'é', '+', '/');
const subjects = fc.array(literal, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'));
const filters = fc
  .tuple(fc.array(fc.oneof(literal, fc.constant('*')), { maxLength: 4 }), fc.boolean())
  .filter(([tokens, isOpen]) => isOpen || tokens.length > 0)
  .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? ['>'] : [])].join('.'));

/** The rule as nats-server has it, said once more in another way: a regular expression over whole tokens. */
function expression(filter: string): RegExp {
  const tokens = filter.split('.');
  const parts = tokens.map((token, i) => {
    if (token === '>' && i === tokens.length - 1) return '.+';
    return token === '*' ? '[^.]+' : token.replace(/[*>$+%/]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('\\.')}$`);
}

test('a subject has tokens, none of them empty, without white space and control characters', () => {
  for (const subject of ['a', 'a.b.c', 'é.ü', '$SYS.x', 'foo*', 'foo>bar', '*foo', '/', '\u00a0', '😀.x']) {
    assert.ok(isSubject(subject), subject);
    assert.ok(isFilter(subject), subject);
  }
  const broken = [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a b',
    ' ',
    'a\tb',
    'a\rb',
    'a\nb',
    'a\fb',
    'a\u0000',
    '\u000b',
    'a\u007f',
  ];
  for (const subject of broken) {
    assert.ok(!isSubject(subject), JSON.stringify(subject));
    assert.ok(!isFilter(subject), JSON.stringify(subject));
  }
});

test('wildcard tokens of a published subject mean themselves, so it may have them anywhere', () => {
  assert.ok(isSubject('$JS.API.CONSUMER.CREATE.KV_b.w.$KV.b.>'));
  assert.ok(isSubject('a.>.b'));
  assert.ok(isSubject('*'));
});

test('a filter has ">" as its last token only', () => {
  for (const filter of ['>', '*', '*.*', 'a.>', 'a.*.>', '*.b.*', 'a.>b.c']) assert.ok(isFilter(filter), filter);
  for (const filter of ['>.a', 'a.>.b', '>.>', 'a.>.>', 'a.>.']) assert.ok(!isFilter(filter), filter);
});

test('only whole tokens are wildcards', () => {
  for (const filter of ['*', '>', 'a.*', '*.a', 'a.*.b', 'a.>']) assert.ok(hasWildcard(filter), filter);
  for (const filter of ['a', 'a*', '*a', '>a', 'a>', 'a.b*.c>', '**', '>>']) assert.ok(!hasWildcard(filter), filter);
});

test('a filter matches as nats-server has it', () => {
  const yes = [
    ['a.b', 'a.b'],
    ['a.*', 'a.b'],
    ['*', 'a'],
    ['>', 'a.b.c'],
    ['a.>', 'a.b'],
    ['a.>', 'a.b.c'],
    ['*.*.>', 'a.b.c'],
    ['foo*', 'foo*'],
    ['a.*', 'a.*'],
    ['a.*', 'a.>'],
    ['a.>', 'a.>'],
    ['a.>', 'a.*.b'],
  ] as const;
  const no = [
    ['a.b', 'a.B'],
    ['a.b', 'a'],
    ['a', 'a.b'],
    ['a.*', 'a'],
    ['a.*', 'a.b.c'],
    ['a.>', 'a'],
    ['foo*', 'foobar'],
    ['a.b', 'a.*'],
    ['a.b', 'a.>'],
    ['a.b.c', 'a.>'],
    ['ab', 'a.b'],
    ['*.b', 'a.bb'],
    ['>.b', 'a.c'],
  ] as const;
  for (const [filter, subject] of yes) assert.ok(matches(filter, subject), `${filter} ${subject}`);
  for (const [filter, subject] of no) assert.ok(!matches(filter, subject), `${filter} ${subject}`);
});

test('property: a filter matches a subject exactly where its expression does', () => {
  fc.assert(
    fc.property(filters, subjects, (filter, subject) => {
      assert.equal(matches(filter, subject), expression(filter).test(subject));
    }),
  );
});

test('two filters overlap where one subject is in both', () => {
  const yes = [
    ['a', 'a'],
    ['a.*', '*.b'],
    ['>', 'a'],
    ['a.>', '*.b.c'],
    ['a.*', 'a.>'],
    ['a.*.c', 'a.b.*'],
  ] as const;
  const no = [
    ['a', 'b'],
    ['a', 'a.>'],
    ['a.*', 'a'],
    ['a.*', 'b.>'],
    ['a.b', 'a.*.>'],
    ['*.b', 'a.c'],
  ] as const;
  for (const [a, b] of yes) assert.ok(overlaps(a, b) && overlaps(b, a), `${a} ${b}`);
  for (const [a, b] of no) assert.ok(!overlaps(a, b) && !overlaps(b, a), `${a} ${b}`);
});

test('a filter covers another where nothing of that one is outside', () => {
  const yes = [
    ['a', 'a'],
    ['>', '>'],
    ['>', '*'],
    ['*', 'a'],
    ['a.>', 'a.*.>'],
    ['a.>', 'a.b'],
    ['*.>', 'a.>'],
    ['*.*', 'a.*'],
  ] as const;
  const no = [
    ['a', '*'],
    ['*', '>'],
    ['a.*', 'a.>'],
    ['a.>', 'a'],
    ['a.>', '>'],
    ['a.*', 'a'],
    ['a', 'a.b'],
    ['a.b', 'a.>'],
    ['*.>', '>'],
  ] as const;
  for (const [outer, inner] of yes) assert.ok(covers(outer, inner), `${outer} ${inner}`);
  for (const [outer, inner] of no) assert.ok(!covers(outer, inner), `${outer} ${inner}`);
});

test('overlaps and covers are right for every pair of short filters', () => {
  const sequences = (tokens: readonly string[], lengthMax: number): string[][] => {
    const shorter = lengthMax === 1 ? [] : sequences(tokens, lengthMax - 1);
    const heads = lengthMax === 1 ? [[]] : shorter.filter(({ length }) => length === lengthMax - 1);
    return [...shorter, ...heads.flatMap((head) => tokens.map((token) => [...head, token]))];
  };
  const closed = sequences(['a', 'b', '*'], 3);
  const all = [...closed, ['>'], ...closed.map((tokens) => [...tokens, '>'])].map((tokens) => tokens.join('.'));
  // 'z' is in no filter, and 5 tokens are more than any filter has.
  const universe = sequences(['a', 'b', 'z'], 5).map((tokens) => tokens.join('.'));
  const table = all.map((filter) => ({ filter, hits: universe.map((subject) => matches(filter, subject)) }));
  for (const a of table) {
    for (const b of table) {
      const name = `${a.filter} ${b.filter}`;
      assert.equal(
        overlaps(a.filter, b.filter),
        a.hits.some((hit, i) => hit && b.hits[i]),
        name,
      );
      assert.equal(
        covers(a.filter, b.filter),
        b.hits.every((hit, i) => !hit || a.hits[i]),
        name,
      );
    }
  }
});

test('the subjects of the system start with $ or with the token _INBOX', () => {
  for (const subject of ['$SYS.x', '$', '$x', '$JS.API.>', '_INBOX', '_INBOX.a.b', '_INBOX.>']) {
    assert.ok(isSystemSubject(subject), subject);
  }
  for (const subject of ['a', 'a.$SYS', '_INBOXES.a', '_INBO', '_inbox.a', 'x._INBOX', '*', '>']) {
    assert.ok(!isSystemSubject(subject), subject);
  }
});

test('a name becomes one safe token', () => {
  assert.equal(safeToken('plant_1-b'), 'plant_1-b');
  assert.equal(safeToken('raspberrypi.local'), 'raspberrypi-local');
  assert.equal(safeToken('Büro  Süd'), 'Buro-Sud');
  assert.equal(safeToken('a*b>c'), 'a-b-c');
  assert.equal(safeToken(''), 'petiole');
  assert.equal(safeToken('...'), 'petiole');
  assert.equal(safeToken('x'.repeat(300)).length, 64);
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom('a', 'Z', '9', '-', '_', '.', ' ', '*', 'é', '网', 'ﬁ', '😀', '\0'),
        maxLength: 100,
      }),
      (name) => {
        const token = safeToken(name);
        assert.match(token, /^[A-Za-z0-9_-]{1,64}$/);
        assert.equal(safeToken(token), token);
      },
    ),
  );
});
