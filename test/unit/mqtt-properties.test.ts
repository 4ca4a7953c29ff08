import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildHeaders, headerEntries, headerValue, isHeaderBlock, isHeaderKey } from '../../src/core/headers.ts';
import { NO_HEADERS } from '../../src/core/message.ts';
import { PacketError } from '../../src/mqtt/packet-error.ts';
import { PacketReader } from '../../src/mqtt/packet-reader.ts';
import { headersToProperties, propertiesToHeaders, varint } from '../../src/mqtt/properties.ts';
import { type Properties, place, readProperties } from '../../src/mqtt/property-reader.ts';

function read(block: Buffer, where: number = place.publish): Properties {
  const bytes = Buffer.concat([varint(block.length), block]);
  const reader = new PacketReader(bytes, 0, bytes.length);
  const properties = readProperties(reader, where);
  reader.finish('packet');
  return properties;
}

function refusal(hex: string, where: number = place.publish): number {
  const bytes = Buffer.from(hex, 'hex');
  try {
    readProperties(new PacketReader(bytes, 0, bytes.length), where);
  } catch (error) {
    assert.ok(error instanceof PacketError);
    return error.reasonCode;
  }
  return 0;
}

/** Text as MQTT allows it: well-formed, without U+0000; the awkward characters more often than chance would have it. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('%', '0', 'A', 'D', ':', '\r', '\n', ' ', '\t', 'é', '€', 'x') }),
    fc.constantFrom(
      '',
      ' ',
      '%',
      '%0D',
      '\r\nForged: 1',
      'Nats-Msg-Id',
      'content-type',
      'Mqtt-Payload-Format',
      '\ufeff',
    ),
  )
  .map((value) => value.replaceAll('\0', '0'));
const topic = fc.string({ minLength: 1, unit: fc.constantFrom('a', '/', '.', ' ', '%', 'ü', '\r', '\n') });
const properties = fc.record(
  {
    payloadFormat: fc.constantFrom(0, 1),
    messageExpiryS: fc.nat(0xffff_ffff),
    contentType: text,
    responseTopic: topic,
    correlationData: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    user: fc.array(fc.tuple(text, text), { minLength: 1 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

test('the properties of a PUBLISH survive the way through headers, user properties in order', () => {
  fc.assert(
    fc.property(properties, (sent) => {
      const headers = propertiesToHeaders(sent);
      assert.deepEqual(read(headersToProperties(headers)), sent);
      if (headers.length === 0) return;
      assert.ok(isHeaderBlock(headers));
      for (const [key] of headerEntries(headers)) assert.ok(isHeaderKey(key), key);
    }),
    { numRuns: 500 },
  );
});

test('headers of NATS publishers reach MQTT 5, whatever they are', () => {
  const line = fc.string({ unit: 'binary' }).map((value) => value.replaceAll(/[\r\n]/g, ''));
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const block = Buffer.from(`NATS/1.0\r\n${lines.map((one) => `${one}\r\n`).join('')}\r\n`);
      // Throws where the bytes are not properties that MQTT allows.
      read(headersToProperties(block));
    }),
  );
  const plain = buildHeaders([
    ['Trace', 'a:b'],
    ['Trace', '50%'],
  ]);
  assert.deepEqual(read(headersToProperties(plain)), {
    user: [
      ['Trace', 'a:b'],
      ['Trace', '50%'],
    ],
  });
});

test('the table of names', () => {
  const headers = propertiesToHeaders({
    payloadFormat: 1,
    messageExpiryS: 60,
    contentType: 'text/plain',
    responseTopic: 'a/b',
    correlationData: Buffer.from([1, 2, 3]),
    user: [
      ['unit', '°C'],
      ['a:b', 'x\r\ny'],
      ['', ''],
    ],
  });
  assert.equal(
    headers.toString(),
    'NATS/1.0\r\nMqtt-Payload-Format: 1\r\nMqtt-Message-Expiry: 60\r\nContent-Type: text/plain\r\n' +
      'Mqtt-Response-Topic: a/b\r\nMqtt-Correlation-Data: AQID\r\nunit: °C\r\na%3Ab: x%0D%0Ay\r\n%: \r\n\r\n',
  );
});

test('a user property cannot pass for a header that the hub or the box acts on', () => {
  for (const name of [
    'Nats-Msg-Id',
    'nats-expected-last-sequence',
    'Petiole-Id',
    'Content-Type',
    'MQTT-Response-Topic',
  ]) {
    const headers = propertiesToHeaders({ user: [[name, 'forged']] });
    assert.equal(headerValue(headers, name), null);
    assert.deepEqual(read(headersToProperties(headers)), { user: [[name, 'forged']] });
  }
});

test('nothing to carry is no header block', () => {
  assert.equal(propertiesToHeaders({}), NO_HEADERS);
  assert.equal(propertiesToHeaders({ topicAlias: 3 }), NO_HEADERS);
  assert.equal(headersToProperties(NO_HEADERS).length, 0);
  assert.equal(headersToProperties(Buffer.from('NATS/1.0 503\r\n\r\n')).length, 0);
});

test('what MQTT cannot carry is left out', () => {
  const block = buildHeaders([
    ['Mqtt-Payload-Format', '2'],
    ['Mqtt-Message-Expiry', '4294967296'],
    ['Mqtt-Response-Topic', 'a/+'],
    ['Content-Type', 'one'],
    ['Content-Type', 'two'],
    ['Nul', '%00'],
    ['Long', 'x'.repeat(65_536)],
    ['Kept', '1'],
  ]);
  assert.deepEqual(read(headersToProperties(block)), { contentType: 'one', user: [['Kept', '1']] });
});

const cases: [what: string, hex: string, where: number, code: number][] = [
  ['none', '00', place.publish, 0],
  ['unknown identifier', '0104', place.publish, 0x81],
  ['of another packet', '03210001', place.publish, 0x81],
  ['longer than the packet', '0501', place.publish, 0x81],
  ['a property beyond the property length', '040300054100', place.publish, 0x81],
  ['length of the length', '808000', place.publish, 0x81],
  ['twice', '0401010101', place.publish, 0x82],
  ['payload format 2', '020102', place.publish, 0x82],
  ['text that is not UTF-8', '04030001ff', place.publish, 0x81],
  ['U+0000', '0403000100', place.publish, 0x81],
  ['a surrogate', '0603 0003 eda080'.replaceAll(' ', ''), place.publish, 0x81],
  ['response topic with a wildcard', '04080001 23'.replaceAll(' ', ''), place.publish, 0x82],
  ['receive maximum 0', '03210000', place.connect, 0x82],
  ['maximum packet size 0', '052700000000', place.connect, 0x82],
  ['subscription identifier 0', '020b00', place.subscribe, 0x82],
  ['will delay in a will', '051800000005', place.will, 0],
  ['will delay in a CONNECT', '051800000005', place.connect, 0x81],
  ['user properties everywhere', '07260001610001 62'.replaceAll(' ', ''), place.disconnect, 0],
];
for (const [what, hex, where, code] of cases) {
  test(`properties: ${what}`, () => assert.equal(refusal(hex, where), code));
}

test('user properties are bounded in number', () => {
  const one = '26000161000162';
  const block = (count: number): string => {
    const bytes = Buffer.from(one.repeat(count), 'hex');
    return Buffer.concat([varint(bytes.length), bytes]).toString('hex');
  };
  assert.equal(refusal(block(256)), 0);
  assert.equal(refusal(block(257)), 0x82);
});
