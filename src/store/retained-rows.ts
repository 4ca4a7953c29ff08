import { NO_HEADERS } from '../core/message.ts';

/**
 * Retained messages on their way between the threads: many in one buffer, which is transferred and not copied. A hundred
 * thousand objects of structured clone would take a second of the start.
 *
 *   row = qos u8, at f64, expires f64, length of subject u16, of client u16, of headers u32, of payload u32, then these
 */

/** One retained message; in a change an empty payload clears the subject, as in MQTT [MQTT-3.3.1-6]. */
export interface RetainedRow {
  readonly subject: string;
  readonly headers: Buffer;
  readonly payload: Buffer;
  readonly qos: number;
  /** Client identifier of the publisher, for No Local. */
  readonly client: string;
  readonly atMs: number;
  /** 0: it does not expire. */
  readonly expiresMs: number;
}

const HEAD_BYTES = 29;
/** What a retained message costs in memory beside its bytes: its nodes, its strings and one buffer (measured). */
const ENTRY_COST = 800;

/** What it counts for in `bytesMax`. */
export function costOf({ subject, headers, payload }: RetainedRow): number {
  return ENTRY_COST + subject.length + headers.length + payload.length;
}

/** Owns its whole ArrayBuffer, because that is what gets transferred. */
export function packRows(rows: readonly RetainedRow[]): Buffer {
  let length = 0;
  for (const row of rows) length += packedBytes(row);
  const bytes = Buffer.from(new ArrayBuffer(length));
  let at = 0;
  for (const { subject, client, headers, payload, qos, atMs, expiresMs } of rows) {
    const subjectBytes = bytes.write(subject, at + HEAD_BYTES);
    const clientBytes = bytes.write(client, at + HEAD_BYTES + subjectBytes);
    bytes.writeUInt8(qos, at);
    bytes.writeDoubleBE(atMs, at + 1);
    bytes.writeDoubleBE(expiresMs, at + 9);
    bytes.writeUInt16BE(subjectBytes, at + 17);
    bytes.writeUInt16BE(clientBytes, at + 19);
    bytes.writeUInt32BE(headers.length, at + 21);
    bytes.writeUInt32BE(payload.length, at + 25);
    at += HEAD_BYTES + subjectBytes + clientBytes;
    at += headers.copy(bytes, at);
    at += payload.copy(bytes, at);
  }
  return bytes;
}

export function packedBytes({ subject, client, headers, payload }: RetainedRow): number {
  return HEAD_BYTES + Buffer.byteLength(subject) + Buffer.byteLength(client) + headers.length + payload.length;
}

/** Headers and payload are slices of `bytes`. */
export function* unpackRows(bytes: Buffer): Generator<RetainedRow, undefined> {
  let at = 0;
  const take = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const head = take(HEAD_BYTES);
    const subject = take(head.readUInt16BE(17)).toString('utf8');
    const client = take(head.readUInt16BE(19)).toString('utf8');
    const headersLength = head.readUInt32BE(21);
    yield {
      subject,
      client,
      headers: headersLength === 0 ? NO_HEADERS : take(headersLength),
      payload: take(head.readUInt32BE(25)),
      qos: head.readUInt8(0),
      atMs: head.readDoubleBE(1),
      expiresMs: head.readDoubleBE(9),
    };
  }
}
