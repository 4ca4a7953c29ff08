import assert from 'node:assert/strict';
import { NO_HEADERS } from '../core/message.ts';

/**
 * How records lie in a batch: what arrived for one lane between two commits, packed by the main thread, stored as one
 * blob and read back whole. Sequence numbers are not stored: the batch has the first one, the rest follow.
 *
 *   record  = subject  varint 0, varint length, bytes      a subject seen first in this batch
 *                      varint n                            the n-th subject seen in this batch
 *             time     zigzag varint, ms since the previous record (since 0 for the first)
 *             headers  varint length, bytes
 *             payload  varint length, bytes
 *
 * Sensors repeat their subjects, so a record costs its payload and about five bytes.
 */
export interface Record {
  sequence: number;
  subject: string;
  receivedAtMs: number;
  headers: Buffer;
  payload: Buffer;
}

/** A blob this large is closed and the next one begun: the grain of eviction, trim and of one read. */
export const BATCH_BYTES_MAX = 256 * 1024;
/** Bounds the subject table of a batch and what one damaged blob can take with it. */
export const BATCH_RECORDS_MAX = 4096;
/** Varints and subject reference around a record whose subject is new. */
export const RECORD_OVERHEAD_MAX = 40;

/** Packs records into one buffer that is then handed to the writer thread without a copy. */
export class BatchPacker {
  readonly #buffer: Buffer;
  readonly #bytesMax: number;
  readonly #subjects = new Map<string, number>();
  #length = 0;
  #count = 0;
  #lastMs = 0;

  /**
   * `buffer` must own its whole ArrayBuffer, because that is what gets transferred. Beyond `bytesMax` it takes no second
   * record.
   */
  constructor(buffer: Buffer, bytesMax: number = buffer.length) {
    assert(buffer.byteOffset === 0 && buffer.length === buffer.buffer.byteLength);
    this.#buffer = buffer;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get length(): number {
    return this.#length;
  }

  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Time of the newest record, for expiry by age. */
  get newestMs(): number {
    return this.#lastMs;
  }

  /** Upper bound of the bytes that a record takes. */
  static sizeOf(subject: string, headersLength: number, payloadLength: number): number {
    return RECORD_OVERHEAD_MAX + subject.length * 3 + headersLength + payloadLength;
  }

  /** Whether `count` records of these bytes together, by `sizeOf`, still fit. */
  hasRoom(count: number, bytes: number): boolean {
    return this.#count + count <= BATCH_RECORDS_MAX && this.#length + bytes <= this.#bytesMax;
  }

  /** False where the record does not fit any more; an empty packer takes every record that its buffer can hold. */
  add(subject: string, receivedAtMs: number, headers: Buffer, payload: Buffer): boolean {
    const buffer = this.#buffer;
    if (this.#count >= BATCH_RECORDS_MAX) return false;
    const end = this.#length + BatchPacker.sizeOf(subject, headers.length, payload.length);
    if (end > buffer.length || (end > this.#bytesMax && this.#count > 0)) return false;
    let at = this.#length;
    const known = this.#subjects.get(subject);
    if (known === undefined) {
      this.#subjects.set(subject, this.#subjects.size + 1);
      buffer[at++] = 0;
      const bytes = Buffer.byteLength(subject);
      at = writeVarint(buffer, at, bytes);
      at += buffer.write(subject, at, bytes, 'utf8');
    } else {
      at = writeVarint(buffer, at, known);
    }
    const delta = receivedAtMs - this.#lastMs;
    at = writeVarint(buffer, at, delta >= 0 ? delta * 2 : -delta * 2 - 1);
    this.#lastMs = receivedAtMs;
    at = writeVarint(buffer, at, headers.length);
    if (headers.length > 0) at += headers.copy(buffer, at);
    at = writeVarint(buffer, at, payload.length);
    if (payload.length > 0) at += payload.copy(buffer, at);
    this.#length = at;
    this.#count++;
    return true;
  }
}

/** Reads a batch record by record; payloads and headers are slices of the blob. */
export class BatchReader {
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  readonly #bytes: Buffer;
  readonly #done: (() => void) | null;
  readonly #subjects: string[] = [];
  #at = 0;
  #left: number;
  #sequence: number;
  #lastMs = 0;

  /** `done` is called when the reader is through: the buffer may then be used again. */
  constructor(bytes: Buffer, first: number, count: number, done: (() => void) | null = null) {
    this.first = first;
    this.last = first + count - 1;
    this.bytes = bytes.length;
    this.#bytes = bytes;
    this.#done = done;
    this.#sequence = first;
    this.#left = count;
  }

  /** Gives the buffer back; what was read from it must not be used any more. */
  done(): void {
    this.#done?.();
  }

  /** The next record, null at the end. Throws RangeError where the bytes are not a batch. */
  next(): Record | null {
    if (this.#left === 0) return null;
    this.#left--;
    const reference = this.#varint();
    let subject: string | undefined;
    if (reference === 0) {
      const length = this.#varint();
      subject = this.#slice(length).toString('utf8');
      this.#subjects.push(subject);
    } else {
      subject = this.#subjects[reference - 1];
      if (subject === undefined) throw new RangeError(`batch refers to subject ${reference}, which it does not have`);
    }
    const zigzag = this.#varint();
    this.#lastMs += zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const headersLength = this.#varint();
    const headers = headersLength === 0 ? NO_HEADERS : this.#slice(headersLength);
    const payload = this.#slice(this.#varint());
    return { sequence: this.#sequence++, subject, receivedAtMs: this.#lastMs, headers, payload };
  }

  #slice(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('batch ends inside a record');
    const slice = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return slice;
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError('batch ends inside a number');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new RangeError('number in a batch is too long');
  }
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x80) {
    buffer[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  buffer[end++] = rest;
  return end;
}
