import assert from 'node:assert/strict';
import type { TestEdge } from './mqtt-edge.ts';
import {
  type ConnectFields,
  connectPacket,
  DISCONNECT,
  packet,
  property,
  readProperties,
  u16,
  u32,
  type Version,
} from './mqtt-packets.ts';
import type { Wire } from './mqtt-wire.ts';
import { waitFor } from './wait-for.ts';

/* The packets of a QoS 2 exchange, and a client that keeps its session. */

/** With a reason code only in version 5. */
function acknowledgement(first: number): (id: number, reasonCode?: number) => Buffer {
  return (id, reasonCode) => packet(first, u16(id), ...(reasonCode === undefined ? [] : [reasonCode]));
}

export const pubackOf: (id: number, reasonCode?: number) => Buffer = acknowledgement(0x40);
export const pubrec: (id: number, reasonCode?: number) => Buffer = acknowledgement(0x50);
export const pubrel: (id: number, reasonCode?: number) => Buffer = acknowledgement(0x62);
export const pubcomp: (id: number, reasonCode?: number) => Buffer = acknowledgement(0x70);

export const QOS_2 = 0x04;
export const DUP = 0x08;
/** A session of an hour; 3.1.1 has no words for how long. */
const SESSION_EXPIRY_S = 3600;

export interface Resumed {
  wire: Wire;
  isPresent: boolean;
}

/** Connects without clean start; in version 5 for a session of `expiryS`. */
export async function resume(
  edge: TestEdge,
  version: Version,
  clientId: string,
  fields: ConnectFields = {},
  expiryS: number = SESSION_EXPIRY_S,
): Promise<Resumed> {
  const wire = await edge.open(clientId);
  const own = fields.properties ?? [];
  const expiry = version === 5 ? { properties: [property.sessionExpiry, u32(expiryS), ...own] } : {};
  wire.send(connectPacket({ version, clientId, clean: false, ...fields, ...expiry }));
  if (version === 5) {
    const { reasonCode, sessionPresent } = await wire.connAck();
    assert.equal(reasonCode, 0);
    return { wire, isPresent: sessionPresent };
  }
  const connack = await wire.next('CONNACK');
  assert.equal(connack[3], 0);
  return { wire, isPresent: connack[2] === 1 };
}

/** Ends the connection, as a device that loses its power or with a DISCONNECT, until the server has seen it. */
export async function leave(edge: TestEdge, wire: Wire, isClean = true): Promise<void> {
  const before = edge.status.clients.length;
  if (isClean) wire.send(DISCONNECT);
  else wire.reset();
  await waitFor('the client to have left', () => edge.status.clients.length < before);
}

/** What a PUBLISH of the server says. */
export interface Seen {
  topic: string;
  payload: string;
  qos: number;
  isDup: boolean;
  /** 0 at QoS 0. */
  id: number;
  /** 0 for none. */
  alias: number;
}

/** Of a PUBLISH with one byte of remaining length. */
export function readPublish(bytes: Buffer, version: Version): Seen {
  const first = bytes.readUInt8(0);
  assert.equal(first >> 4, 3, `no PUBLISH: ${bytes.toString('hex')}`);
  assert.ok((bytes[1] ?? 0) < 0x80, 'a longer PUBLISH than this reads');
  let at = 4 + bytes.readUInt16BE(2);
  const topic = bytes.toString('utf8', 4, at);
  const qos = (first >> 1) & 3;
  const id = qos === 0 ? 0 : bytes.readUInt16BE(at);
  if (qos > 0) at += 2;
  let alias = 0;
  if (version === 5) {
    const { entries, end } = readProperties(bytes, at);
    alias = Number(new Map(entries).get(property.topicAlias) ?? 0);
    at = end;
  }
  return { topic, payload: bytes.toString('utf8', at), qos, isDup: (first & DUP) !== 0, id, alias };
}

/** The next packet is a PUBLISH. */
export async function nextPublish(wire: Wire, version: Version): Promise<Seen> {
  return readPublish(await wire.next('PUBLISH'), version);
}
