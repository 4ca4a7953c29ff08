import { isUtf8 } from 'node:buffer';
import { malformed } from './packet-error.ts';

/**
 * Reads the fields of one packet strictly: each within the packet's end, text as well-formed UTF-8 without U+0000
 * [MQTT-1.5.4-1] [MQTT-1.5.4-2]. Throws a PacketError 0x81 that names the field.
 */
export class PacketReader {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get rest(): number {
    return this.end - this.at;
  }

  uint8(field: string): number {
    return this.bytes.readUInt8(this.#take(1, field));
  }

  uint16(field: string): number {
    return this.bytes.readUInt16BE(this.#take(2, field));
  }

  uint32(field: string): number {
    return this.bytes.readUInt32BE(this.#take(4, field));
  }

  /** One to four bytes, and no more of them than the value needs [MQTT-1.5.5-1]. */
  varint(field: string): number {
    let value = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.uint8(field);
      value += (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw malformed(`the ${field} is longer than it needs to be`);
        return value;
      }
    }
    throw malformed(`the ${field} has more than four bytes`);
  }

  utf8(field: string): string {
    const bytes = this.binary(field);
    if (!isUtf8(bytes)) throw malformed(`the ${field} is not UTF-8`);
    if (bytes.includes(0)) throw malformed(`the ${field} contains U+0000`);
    return bytes.toString('utf8');
  }

  /** Not a copy. */
  binary(field: string): Buffer {
    const length = this.uint16(field);
    const start = this.#take(length, field);
    return this.bytes.subarray(start, start + length);
  }

  finish(packet: string): void {
    if (this.rest > 0) throw malformed(`the ${packet} has ${this.rest} bytes too many`);
  }

  #take(length: number, field: string): number {
    const start = this.at;
    if (start + length > this.end) throw malformed(`the packet ends within the ${field}`);
    this.at = start + length;
    return start;
  }
}
