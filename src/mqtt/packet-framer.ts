import { malformed, PacketError, protocolError } from './packet-error.ts';
import { packetType, reason } from './reason-codes.ts';

/** Fixed header: the first byte and up to four of remaining length. */
const HEADER_BYTES_MAX = 5;
/** Where the growth of a buffer for a packet in pieces begins; most packets of sensors fit. */
const PARTIAL_BYTES = 512;

const EMPTY = Buffer.alloc(0);

/** By packet type, the flags that the first byte must have [MQTT-2.2.2-1]; -1 where any may stand (PUBLISH). */
const requiredFlags: readonly number[] = [0, 0, 0, -1, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];

/**
 * Cuts the byte stream into packets, before anything else sees it. The first packet must be a CONNECT, the flags must
 * be right [MQTT-2.2.2-2], and the length within the bound, all judged on the first bytes; so a connection never holds
 * more than one packet of allowed size, and of that only twice what has really arrived.
 *
 *   chunks ──▶ [ packet | packet | pac    whole packets are read where they lie, without a copy
 *                                  ket | … only one that spans chunks is put together
 *
 * `next()` moves to the next packet: it is `bytes` from `start` to `end`, and its variable header begins at `body`. What
 * a caller keeps of `bytes` stays valid.
 */
export class PacketFramer {
  /** Largest packet, with its fixed header. */
  bytesMax: number;
  /** MQTT 5 wants the remaining length in as few bytes as it needs [MQTT-1.5.5-1]; 3.1.1 does not say so. */
  isMinimal = false;
  bytes: Buffer = EMPTY;
  start = 0;
  body = 0;
  end = 0;
  #chunk: Buffer = EMPTY;
  #at = 0;
  /** The beginning of a packet whose rest has not arrived. */
  #partial: Buffer = EMPTY;
  #partialBytes = 0;
  #isFirst = true;
  /** What the header last looked at says; 0 while it is incomplete. */
  #packetBytes = 0;
  #headerBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Bytes that have arrived and belong to no finished packet. */
  get pendingBytes(): number {
    return this.#partialBytes + this.#chunk.length - this.#at;
  }

  /** The chunk is kept by reference: nobody may write to it afterwards. */
  push(chunk: Buffer): void {
    // Something is left only where the reader stopped half-way (back-pressure), which is not the common case.
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk;
    this.#at = 0;
  }

  /** False when the next packet is not complete. Throws a PacketError for what must not go on. */
  next(): boolean {
    if (this.#partialBytes > 0) return this.#complete();
    const available = this.#chunk.length - this.#at;
    if (available === 0) {
      this.#chunk = EMPTY;
      this.#at = 0;
      return false;
    }
    this.#readHeader(this.#chunk, this.#at, this.#chunk.length);
    if (this.#packetBytes > 0 && this.#packetBytes <= available) {
      this.#emit(this.#chunk, this.#at);
      this.#at += this.#packetBytes;
      return true;
    }
    this.#keep(available);
    return false;
  }

  /** Adds to the packet in pieces what has arrived of it. */
  #complete(): boolean {
    while (this.#packetBytes === 0) {
      if (this.#at === this.#chunk.length) return false;
      this.#keep(1);
      this.#readHeader(this.#partial, 0, this.#partialBytes);
    }
    const missing = this.#packetBytes - this.#partialBytes;
    const available = this.#chunk.length - this.#at;
    this.#keep(Math.min(missing, available));
    if (missing > available) return false;
    this.#emit(this.#partial, 0);
    // Handed out: a payload may live on in it.
    this.#partial = EMPTY;
    this.#partialBytes = 0;
    return true;
  }

  /** Doubles the room as bytes arrive: a header alone reserves nothing, whatever length it claims. */
  #keep(count: number): void {
    const need = this.#partialBytes + count;
    if (need > this.#partial.length) {
      const room = Math.max(need, 2 * this.#partial.length, PARTIAL_BYTES);
      const grown = Buffer.allocUnsafe(this.#packetBytes > 0 ? Math.min(room, this.#packetBytes) : room);
      this.#partial.copy(grown, 0, 0, this.#partialBytes);
      this.#partial = grown;
    }
    this.#chunk.copy(this.#partial, this.#partialBytes, this.#at, this.#at + count);
    this.#partialBytes = need;
    this.#at += count;
  }

  #emit(bytes: Buffer, start: number): void {
    this.bytes = bytes;
    this.start = start;
    this.body = start + this.#headerBytes;
    this.end = start + this.#packetBytes;
    this.#isFirst = false;
  }

  #readHeader(bytes: Buffer, start: number, end: number): void {
    this.#packetBytes = 0;
    this.#checkFirstByte(bytes[start] ?? 0);
    let remaining = 0;
    for (let i = 1; i < HEADER_BYTES_MAX; i++) {
      if (start + i >= end) return;
      const byte = bytes[start + i] ?? 0;
      remaining += (byte & 0x7f) << (7 * (i - 1));
      if (byte < 0x80) {
        if (byte === 0 && i > 1 && this.isMinimal)
          throw malformed('the remaining length is longer than it needs to be');
        this.#headerBytes = i + 1;
        this.#checkLength(i + 1 + remaining);
        this.#packetBytes = i + 1 + remaining;
        return;
      }
    }
    throw malformed('the remaining length has more than four bytes');
  }

  #checkFirstByte(first: number): void {
    const type = first >> 4;
    const flags = requiredFlags[type] ?? 0;
    if (this.#isFirst && type !== packetType.connect) {
      // [MQTT-3.1.0-1]
      throw protocolError(
        `the first byte is 0x${first.toString(16).padStart(2, '0')} and not that of a CONNECT`,
        'this port speaks plain MQTT: look what else connects to it (TLS, WebSocket or HTTP have ports of their own)',
      );
    }
    if (type === 0) throw malformed('packet type 0 is forbidden');
    if (flags >= 0 && (first & 0x0f) !== flags) {
      throw malformed(`the flags of packet type ${type} are ${first & 0x0f} and must be ${flags}`);
    }
  }

  #checkLength(packetBytes: number): void {
    if (packetBytes <= this.bytesMax) return;
    const hint = this.#isFirst ? 'send a shorter will or password' : 'send smaller messages, or raise mqtt.packet_max';
    throw new PacketError(
      reason.packetTooLarge,
      `a packet of ${packetBytes} bytes is larger than ${this.bytesMax} allowed`,
      { hint },
    );
  }
}
