/**
 * Goal: a PUBLISH that is read where it lies is the one that mqtt-packet reads. Method: a fixed seed makes streams of
 * PUBLISH packets by mqtt-packet, damages some, and sends them in pieces to an edge; what the edge passes on, and the PUBACKs
 * that it writes, are compared with what mqtt-packet makes of the same bytes. It is more lenient: of a damaged stream the edge
 * may take fewer messages, and none that mqtt-packet does not see.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet';
import type { Message } from '../../src/core/message.ts';
import { topicToSubject } from '../../src/core/topic.ts';
import { propertiesToHeaders } from '../../src/mqtt/properties.ts';
import { startEdge } from '../support/mqtt-edge.ts';
import { DISCONNECT } from '../support/mqtt-packets.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';

type Version = 4 | 5;

const random = new SeededRandom(3_1_1);
const below = (n: number): number => Math.floor(random.next() * n);
const pick = <T>(all: readonly T[]): T => all[below(all.length)] as T;

const topics = ['a', 'line3/temp', 'a.b/c', 'größe/ü', 'a b/ /', '//', '€'.repeat(90), 'long/'.repeat(4)];
const sizes = [0, 0, 1, 20, 110, 128, 200, 17_000];

function properties(
  aliases: Map<number, string>,
  topic: string,
): { topic: string; properties: NonNullable<IPublishPacket['properties']> } {
  const alias = random.chance(0.3) ? 1 + below(16) : 0;
  const isKnown = aliases.has(alias) && random.chance(0.5);
  if (alias > 0 && !isKnown) aliases.set(alias, topic);
  return {
    topic: isKnown ? '' : topic,
    properties: {
      ...(alias > 0 && { topicAlias: alias }),
      ...(random.chance(0.3) && { contentType: pick(['json', 'größe', '']) }),
      ...(random.chance(0.3) && { messageExpiryInterval: below(0xffff_ffff) }),
      ...(random.chance(0.3) && { payloadFormatIndicator: random.chance(0.5) }),
      ...(random.chance(0.3) && { correlationData: Buffer.alloc(below(9), 0xfe) }),
      ...(random.chance(0.3) && { userProperties: { key: ['one', 'a:b', 'ü'].slice(0, 1 + below(3)) } }),
    },
  };
}

function stream(version: Version): Buffer {
  const aliases = new Map<number, string>();
  const packets: Buffer[] = [];
  for (let count = 1 + below(12); count > 0; count--) {
    const qos = below(2) as 0 | 1;
    const topic = pick(topics);
    const packet: IPublishPacket = {
      cmd: 'publish',
      qos,
      dup: qos === 1 && random.chance(0.2),
      retain: false,
      payload: Buffer.alloc(pick(sizes), below(256)),
      ...(version === 5 ? properties(aliases, topic) : { topic }),
      ...(qos === 1 && { messageId: 1 + below(0xffff) }),
    };
    packets.push(mqtt.generate(packet, { protocolVersion: version }));
  }
  return Buffer.concat(packets);
}

/** What mqtt-packet makes of it; it ends at the first error. */
function packetsOf(bytes: Buffer, version: Version): Packet[] {
  const packets: Packet[] = [];
  let isBroken = false;
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (packet) => {
    if (!isBroken) packets.push(packet);
  });
  parser.on('error', () => {
    isBroken = true;
  });
  parser.parse(bytes);
  return packets;
}

/** One line for each PUBLISH. */
function expected(packets: readonly Packet[]): string[] {
  const aliases = new Map<number, string>();
  return packets.flatMap((packet) => {
    if (packet.cmd !== 'publish') return [];
    const { topicAlias, ...rest } = packet.properties ?? {};
    const topic = packet.topic === '' ? (aliases.get(topicAlias ?? 0) ?? '') : packet.topic;
    if (topicAlias !== undefined) aliases.set(topicAlias, topic);
    const user = Object.entries(rest.userProperties ?? {}).flatMap(([key, value]) =>
      [value].flat().map((one): [string, string] => [key, one]),
    );
    const headers = propertiesToHeaders({
      ...(rest.payloadFormatIndicator !== undefined && { payloadFormat: Number(rest.payloadFormatIndicator) }),
      ...(rest.messageExpiryInterval !== undefined && { messageExpiryS: rest.messageExpiryInterval }),
      ...(rest.contentType !== undefined && { contentType: rest.contentType }),
      ...(rest.correlationData !== undefined && { correlationData: rest.correlationData }),
      ...(user.length > 0 && { user }),
    });
    return [line(topicToSubject(topic), packet.qos, headers, Buffer.from(packet.payload))];
  });
}

const line = (subject: string, qos: number, headers: Buffer, payload: Buffer): string =>
  `${subject} ${qos} ${headers.toString('latin1')} ${payload.toString('base64')}`;
const lineOf = ({ subject, qos = 0, headers, payload }: Message): string => line(subject, qos, headers, payload);
/** Without headers: of damaged properties the two keep different ones. */
const short = (text: string): string => `${text.split(' ').slice(0, 2)} ${text.split(' ').at(-1)}`;

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  for (const one of whole) if (one === part[at]) at++;
  return at === part.length;
}

for (const version of [4, 5] as const) {
  test(`version ${version}: streams of PUBLISH are read as mqtt-packet reads them, in pieces as well`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 100 });
    const heard = edge.listen('>');
    for (let round = 0; round < 150; round++) {
      const bytes = stream(version);
      const wire = await edge.connect(version, `whole-${round}`);
      const answers: Buffer[] = [];
      wire.socket.on('data', (chunk: Buffer) => answers.push(chunk));
      await wire.sendInPieces(bytes, bytes.length < 2_000 ? pick([1, 7, 100, bytes.length]) : pick([999, 20_000]));
      const packets = packetsOf(bytes, version);
      const pubacks = packets.flatMap((packet) =>
        packet.cmd === 'publish' && packet.qos === 1 ? [packet.messageId] : [],
      );
      const answered = () => packetsOf(Buffer.concat(answers), version);
      await waitFor(
        'messages and PUBACKs',
        () => heard.length >= packets.length && answered().length >= pubacks.length,
      );
      assert.deepEqual(heard.splice(0).map(lineOf), expected(packets));
      assert.deepEqual(
        answered().map((packet) => [packet.cmd, packet.messageId]),
        pubacks.map((id) => ['puback', id]),
      );
      wire.send(DISCONNECT);
      await wire.socket.end();
    }
  });

  test(`version ${version}: of a damaged stream no message is taken that mqtt-packet does not see`, async (t) => {
    const edge = await startEdge(t, { inflightMax: 100 });
    const heard = edge.listen('>');
    let taken = 0;
    let seen = 0;
    for (let round = 0; round < 400; round++) {
      const bytes = stream(version);
      for (let damages = 1 + below(3); damages > 0; damages--) bytes[below(Math.min(bytes.length, 400))] = below(256);
      const wire = await edge.connect(version, `damaged-${round}`);
      wire.socket.end(bytes);
      await waitFor('the end of the connection', () => wire.closed);
      const messages = heard.splice(0).map(lineOf).map(short);
      let whole: string[] = [];
      try {
        whole = expected(packetsOf(bytes, version)).map(short);
      } catch {
        // A topic with which mqtt-packet has no problem and that has no subject.
        continue;
      }
      assert.ok(isSubsequence(messages, whole), `round ${round}: ${bytes.toString('hex').slice(0, 800)}`);
      taken += messages.length;
      seen += whole.length;
    }
    assert.ok(taken > 400 && taken < seen, `${taken} of ${seen}`);
  });
}
