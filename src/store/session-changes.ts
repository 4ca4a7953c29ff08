/**
 * Changes of persistent sessions on their way to the writer thread. What comes for every message is packed in one buffer,
 * which is transferred: a content once, however many sessions get it, and behind it the deliveries of that content.
 *
 *   content  = 0 u8, length of subject u16, of headers u32, of payload u32, then these
 *   delivery = 1 u8, session u32, sequence f64, flags u8, identifier u32, expires f64, bytes u32, length of share u16, share
 */

export interface Content {
  readonly subject: string;
  readonly headers: Buffer;
  readonly payload: Buffer;
}

/** A QoS 1 or 2 message on its way to one session. */
export interface Delivery {
  /** Counts up within the session. */
  sequence: number;
  readonly content: Content;
  readonly qos: number;
  /** Subscription Identifier of MQTT; 0 for none. */
  readonly identifier: number;
  readonly retain: boolean;
  /** Wall clock, milliseconds since 1970; 0: it does not expire. */
  readonly expiresMs: number;
  /** What it counts for in the bounds. */
  readonly bytes: number;
  /** Queue group whose member gets it; '' for none. */
  readonly share: string;
  /** QoS 2: its PUBREC has come. */
  isReleased: boolean;
}

/** What a commit does to the sessions, applied in this order. */
export interface SessionChanges {
  readonly drops: readonly number[];
  readonly rows: readonly { readonly id: number; readonly clientId: string; readonly data: string }[];
  /** Triples: one of `step`, session, sequence or packet identifier. */
  readonly steps: readonly number[];
  /** Triples: session, packet identifier, batch of this commit that holds its message, or NO_BATCH. */
  readonly received: readonly number[];
  /** Packed contents and deliveries. */
  readonly packed: Uint8Array | null;
}

export const step = { release: 1, remove: 2, forget: 3 } as const;
export const NO_BATCH = -1;

const CONTENT = 0;
const DELIVERY = 1;
const CONTENT_BYTES = 11;
const DELIVERY_BYTES = 32;
const ROOM_MIN = 4 * 1024;
const NOTHING = Buffer.alloc(0);

const RETAIN = 4;
const RELEASED = 8;

/** QoS, retain and released in one number, as in the table. */
export function flagsOf({ qos, retain, isReleased }: Delivery): number {
  return qos | (retain ? RETAIN : 0) | (isReleased ? RELEASED : 0);
}

/** The same with the PUBREC there. */
export const RELEASED_FLAG: number = RELEASED;

export function readFlags(flags: number): { qos: number; retain: boolean; isReleased: boolean } {
  return { qos: flags & 3, retain: (flags & RETAIN) !== 0, isReleased: (flags & RELEASED) !== 0 };
}

/** Grows as it is filled; who calls bounds what goes in. */
export class DeliveryPacker {
  #bytes: Buffer = NOTHING;
  #at = 0;
  #content: Content | null = null;

  add(session: number, delivery: Delivery): void {
    const { content, sequence, identifier, expiresMs, bytes, share } = delivery;
    if (content !== this.#content) this.#addContent(content);
    const shareBytes = Buffer.byteLength(share);
    const buffer = this.#room(DELIVERY_BYTES + shareBytes);
    let at = this.#at;
    at = buffer.writeUInt8(DELIVERY, at);
    at = buffer.writeUInt32BE(session, at);
    at = buffer.writeDoubleBE(sequence, at);
    at = buffer.writeUInt8(flagsOf(delivery), at);
    at = buffer.writeUInt32BE(identifier, at);
    at = buffer.writeDoubleBE(expiresMs, at);
    at = buffer.writeUInt32BE(bytes, at);
    at = buffer.writeUInt16BE(shareBytes, at);
    this.#at = at + buffer.write(share, at);
  }

  #addContent(content: Content): void {
    this.#content = content;
    const { subject, headers, payload } = content;
    const subjectBytes = Buffer.byteLength(subject);
    const buffer = this.#room(CONTENT_BYTES + subjectBytes + headers.length + payload.length);
    let at = this.#at;
    at = buffer.writeUInt8(CONTENT, at);
    at = buffer.writeUInt16BE(subjectBytes, at);
    at = buffer.writeUInt32BE(headers.length, at);
    at = buffer.writeUInt32BE(payload.length, at);
    at += buffer.write(subject, at);
    at += headers.copy(buffer, at);
    this.#at = at + payload.copy(buffer, at);
  }

  #room(bytes: number): Buffer {
    const need = this.#at + bytes;
    if (need <= this.#bytes.length) return this.#bytes;
    const larger = Buffer.from(new ArrayBuffer(Math.max(need, ROOM_MIN, 2 * this.#bytes.length)));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
    return larger;
  }

  /** Null for nothing; its ArrayBuffer is its own. */
  take(): Uint8Array | null {
    return this.#at === 0 ? null : this.#bytes.subarray(0, this.#at);
  }
}

/** The deliveries in packed bytes; headers and payload are slices. */
export function* unpackDeliveries(bytes: Buffer): Generator<{ session: number; delivery: Delivery }, undefined> {
  let at = 0;
  let content: Content | null = null;
  while (at < bytes.length) {
    if (bytes[at] === CONTENT) {
      const subjectEnd = at + CONTENT_BYTES + bytes.readUInt16BE(at + 1);
      const headersEnd = subjectEnd + bytes.readUInt32BE(at + 3);
      const end = headersEnd + bytes.readUInt32BE(at + 7);
      content = {
        subject: bytes.toString('utf8', at + CONTENT_BYTES, subjectEnd),
        headers: bytes.subarray(subjectEnd, headersEnd),
        payload: bytes.subarray(headersEnd, end),
      };
      at = end;
      continue;
    }
    const shareEnd = at + DELIVERY_BYTES + bytes.readUInt16BE(at + 30);
    yield {
      session: bytes.readUInt32BE(at + 1),
      delivery: {
        content: content as Content,
        sequence: bytes.readDoubleBE(at + 5),
        ...readFlags(bytes.readUInt8(at + 13)),
        identifier: bytes.readUInt32BE(at + 14),
        expiresMs: bytes.readDoubleBE(at + 18),
        bytes: bytes.readUInt32BE(at + 26),
        share: bytes.toString('utf8', at + DELIVERY_BYTES, shareEnd),
      },
    };
    at = shareEnd;
  }
}
