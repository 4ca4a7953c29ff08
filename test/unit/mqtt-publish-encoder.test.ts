/**
 * Goal: packets that are made once for many subscribers are those that would be made for one. Method: one encoder that
 * remembers serves subscribers of a few messages in any order; each packet is read by mqtt-packet, and made anew by an
 * encoder that has seen nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import mqtt, { type IPublishPacket } from 'mqtt-packet';
import { buildHeaders } from '../../src/core/headers.ts';
import { type Message, NO_HEADERS } from '../../src/core/message.ts';
import { subjectToTopic } from '../../src/core/topic.ts';
import { PublishEncoder } from '../../src/mqtt/publish-encoder.ts';
import { TopicNames } from '../../src/mqtt/topic-names.ts';

type Version = 4 | 5;

function parsed(packet: Buffer, version: Version): IPublishPacket {
  const seen: unknown[] = [];
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (one) => seen.push(one));
  parser.on('error', (error: Error) => assert.fail(error));
  assert.equal(parser.parse(packet), 0, 'nothing is left over');
  assert.equal(seen.length, 1);
  return seen[0] as IPublishPacket;
}

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  // The remaining length takes one to four bytes.
  fc.constantFrom(100, 127, 128, 16_300, 16_400, 2_097_200).map((bytes) => Buffer.alloc(bytes, 7)),
);
const headers = fc.oneof(
  fc.constant(NO_HEADERS),
  fc.constantFrom('v', 'größe', 'x'.repeat(200)).map((value) => buildHeaders([['Key', value]])),
);
const subject = fc.constantFrom('a', 'line3.temp', 'größe.ü', 'a//b', 'x.'.repeat(60).slice(0, -1));
const message = fc.record({ subject, headers, payload }).map((content) => content as Message);
const packetIdentifier = fc.integer({ min: 1, max: 0xffff });
const identifier = fc.constantFrom(0, 0, 1, 200, 268_435_455);
const alias = fc.constantFrom(1, -1, 7, -7, 65_535);
const call = fc.record({
  which: fc.nat(4),
  kind: fc.constantFrom('plain', 'retained', 'aliased', 'identified'),
  version: fc.constantFrom<Version>(4, 5),
  identifier,
  alias,
  qos: fc.constantFrom(1, 2),
  flags: fc.constantFrom(0, 1, 8, 9),
  packetIdentifier,
  remainingS: fc.constantFrom(null, null, 60),
});
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;

function made(encoder: PublishEncoder, one: Message, given: Call): Buffer | null {
  const version = given.kind === 'aliased' ? 5 : given.version;
  switch (given.kind) {
    case 'plain':
      return encoder.encode(one, version, given.identifier);
    case 'retained':
      return encoder.encodeRetained(one, version, given.identifier);
    case 'aliased':
      return encoder.encodeAliased(one, given.identifier, given.alias);
    default: {
      const flags = given.flags | (given.qos << 1);
      const { identifier, packetIdentifier, remainingS } = given;
      return encoder.encodeWithIdentifier(one, version, identifier, flags, packetIdentifier, remainingS);
    }
  }
}

test('each subscriber gets the packet that mqtt-packet reads as the message', () => {
  const topics = new TopicNames(200);
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), fc.array(call, { maxLength: 30 }), (all, calls) => {
      const encoder = new PublishEncoder(topics);
      for (const given of calls) {
        const one = all[given.which % all.length] as Message;
        const packet = made(encoder, one, given);
        assert.ok(packet !== null);
        assert.deepEqual(packet, made(new PublishEncoder(new TopicNames(200)), one, given));
        const version = given.kind === 'aliased' ? 5 : given.version;
        const read = parsed(packet, version);
        const isIdentified = given.kind === 'identified';
        assert.equal(read.topic, given.kind === 'aliased' && given.alias > 0 ? '' : subjectToTopic(one.subject));
        assert.deepEqual(read.payload, one.payload);
        assert.equal(read.qos, isIdentified ? given.qos : 0);
        assert.equal(read.messageId, isIdentified ? given.packetIdentifier : undefined);
        assert.equal(read.retain, given.kind === 'retained' || (isIdentified && (given.flags & 1) !== 0));
        assert.equal(read.dup, isIdentified && (given.flags & 8) !== 0);
        if (version === 4) continue;
        const { subscriptionIdentifier, topicAlias, userProperties } = read.properties ?? {};
        assert.equal(subscriptionIdentifier, given.identifier === 0 ? undefined : given.identifier);
        assert.equal(topicAlias, given.kind === 'aliased' ? Math.abs(given.alias) : undefined);
        assert.equal(userProperties !== undefined, one.headers.length > 0);
      }
    }),
  );
});
