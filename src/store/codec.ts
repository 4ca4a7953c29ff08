import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BATCH_BYTES_MAX } from './record.ts';

/**
 * How a batch lies in its row: as it was packed, or deflated where that pays. JSON readings shrink to a fifth at 20
 * records a commit and to an eighth at 1,000 (level 1: 0.1 ms for 88 KB; higher levels save a tenth more for five times
 * the time). The checksum is of the stored bytes, so damage is found before anything is unpacked.
 */
export const Codec = { plain: 0, deflate: 1 } as const;
export type Codec = (typeof Codec)[keyof typeof Codec];

export interface Stored {
  codec: Codec;
  data: Buffer;
}

/** A smaller batch fits in the pages that its commit writes anyway. */
const DEFLATE_FROM = 1024;
/** It must save at least this part, or reading it back is not worth the time. */
const PAYS = 0.8;
/** After a batch that did not shrink (encrypted, compressed already) so many of the lane are stored as they are. */
const REST_BATCHES = 31;
/** Length of the plain bytes before the deflated ones. */
const LENGTH_BYTES = 4;
/** One record may be larger than a batch; nothing that we wrote is larger than this. */
const PLAIN_BYTES_MAX = 128 * 1024 * 1024;

/** Decides batch by batch whether deflating pays, for one lane. */
export class Deflater {
  #rest = 0;

  pack(plain: Buffer): Stored {
    if (plain.length < DEFLATE_FROM || this.#rest-- > 0) return { codec: Codec.plain, data: plain };
    const deflated = deflateRawSync(plain, { level: 1 });
    if (deflated.length + LENGTH_BYTES > plain.length * PAYS) {
      this.#rest = REST_BATCHES;
      return { codec: Codec.plain, data: plain };
    }
    this.#rest = 0;
    const data = Buffer.allocUnsafeSlow(LENGTH_BYTES + deflated.length);
    data.writeUInt32LE(plain.length);
    deflated.copy(data, LENGTH_BYTES);
    return { codec: Codec.deflate, data };
  }
}

/** The batch as it was packed; null where the bytes are not what `pack` makes. */
export function unpack(codec: number, data: Buffer): Buffer | null {
  if (codec === Codec.plain) return data;
  if (codec !== Codec.deflate || data.length < LENGTH_BYTES) return null;
  const length = data.readUInt32LE();
  if (length > PLAIN_BYTES_MAX) return null;
  try {
    const plain = inflateRawSync(data.subarray(LENGTH_BYTES), { maxOutputLength: Math.max(length, BATCH_BYTES_MAX) });
    if (plain.length !== length) return null;
    // The memory that zlib gives can't be handed to another thread.
    const own = Buffer.from(new ArrayBuffer(length));
    plain.copy(own);
    return own;
  } catch {
    return null;
  }
}
