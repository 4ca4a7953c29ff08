import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { subjectToTopic } from '../../src/core/topic.ts';
import { PacketError } from '../../src/mqtt/packet-error.ts';
import { TopicNames } from '../../src/mqtt/topic-names.ts';

const LEVELS_MAX = 4;

function read(names: TopicNames, topic: string | Buffer) {
  const bytes = Buffer.concat([Buffer.from('before'), Buffer.from(topic), Buffer.from('behind')]);
  return names.read(bytes, 6, bytes.length - 6);
}

test('topic names become subjects, at first and from memory', () => {
  const names = new TopicNames(LEVELS_MAX);
  for (let round = 0; round < 2; round++) {
    assert.equal(read(names, 'line3/temp').subject, 'line3.temp');
    assert.equal(read(names, 'höhe/ü').subject, 'höhe.ü');
    assert.equal(read(names, 'a.b').subject, 'a//b');
  }
  assert.equal(read(names, 'a/b'), read(names, 'a/b'));
  // The same bytes as text of another encoding are another topic.
  assert.notEqual(read(names, Buffer.from('Ã¼')).subject, read(names, Buffer.from('ü')).subject);
});

test('what is no topic name ends the connection, each time', () => {
  const names = new TopicNames(LEVELS_MAX);
  const bad: [string | Buffer, number][] = [
    ['', 0x81],
    ['a/+', 0x90],
    ['#', 0x90],
    ['a\0b', 0x81],
    [Buffer.from([0xc3, 0x28]), 0x81],
    [Buffer.from([0xed, 0xa0, 0x80]), 0x81],
  ];
  for (const [topic, reasonCode] of [...bad, ...bad]) {
    assert.throws(
      () => read(names, topic),
      (error) => error instanceof PacketError && error.reasonCode === reasonCode,
    );
  }
});

test('names that are not taken: of the server, too deep, too long for the link to the hub', () => {
  const names = new TopicNames(LEVELS_MAX);
  assert.equal(read(names, '$SYS/x').refusal, 0x87);
  assert.equal(read(names, '$JS/API/STREAM/DELETE/X').refusal, 0x87);
  assert.equal(read(names, 'a/b/c/d').refusal, 0);
  assert.equal(read(names, 'a/b/c/d/').refusal, 0x90);
  assert.equal(read(names, 'x'.repeat(2048)).refusal, 0);
  assert.equal(read(names, 'x'.repeat(2049)).refusal, 0x90);
  assert.equal(read(names, ' '.repeat(1000)).refusal, 0x90);
});

test('subjects become topics with their length in front', () => {
  const names = new TopicNames(LEVELS_MAX);
  for (let round = 0; round < 2; round++) {
    assert.equal(names.topicOf('a.ü')?.toString('hex'), '0004612fc3bc');
  }
  assert.equal(names.topicOf('x'.repeat(65_535))?.length, 65_537);
  assert.equal(names.topicOf('x'.repeat(65_536)), null);
});

test('many topics pass through a bounded memory and stay right', () => {
  const names = new TopicNames(LEVELS_MAX);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20_000; i++) assert.equal(read(names, `s/${i}`).subject, `s.${i}`);
  }
});

/** What is said of a topic name, or which error it is. */
function said(names: TopicNames, topic: Buffer): unknown {
  try {
    return read(names, topic);
  } catch (error) {
    assert.ok(error instanceof PacketError);
    return [error.reasonCode, error.message];
  }
}

test('property: what is remembered of a topic name or a subject is what a new reader says of it', () => {
  const level = fc.constantFrom(
    'a',
    'line3',
    'ü',
    '€',
    'a.b',
    ' ',
    '',
    '$SYS',
    '+',
    '#',
    '\0',
    '\ufeff',
    'x'.repeat(100),
  );
  const text = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => Buffer.from(levels.join('/')));
  // Also bytes that are no text: the memory is looked into before they are judged.
  const topic = fc.oneof(
    text,
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  );
  const names = new TopicNames(LEVELS_MAX);
  fc.assert(
    fc.property(fc.array(topic, { maxLength: 20 }), (all) => {
      for (const one of [...all, ...all]) assert.deepEqual(said(names, one), said(new TopicNames(LEVELS_MAX), one));
      for (const one of [...all, ...all]) {
        const subject = one.toString('latin1').replaceAll(/[^a-z]+/g, '.');
        const field = names.topicOf(subject);
        assert.equal(field?.readUInt16BE(0), Buffer.byteLength(subjectToTopic(subject)));
        assert.equal(field?.toString('utf8', 2), subjectToTopic(subject));
      }
    }),
    { numRuns: 500 },
  );
});
