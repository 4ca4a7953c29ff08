import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { GatewayError } from '../core/errors.ts';

/**
 * The sealed form of a bundle, for a stick that may get lost: scrypt makes the key of the passphrase, AES-256-GCM seals
 * piece by piece, so that a bundle of any size takes little memory and a piece that was changed, left out or moved is
 * noticed, and so is a missing end.
 *
 *   `PETIOLE-SEALED-1\n`  salt (16)  then pieces: length (u32, of the plain bytes)  sealed bytes  tag (16)
 *   nonce of a piece: 1 for the last piece, else 0 (1 byte); seven zeros; its number (u32). The salt is new each time.
 */
export const SEALED = Buffer.from('PETIOLE-SEALED-1\n');
const SALT_BYTES = 16;
const TAG_BYTES = 16;
export const PIECE_BYTES = 64 * 1024;
/** 64 MiB and a third of a second on a Pi: what a guess costs. */
const SCRYPT = { N: 2 ** 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 };

function nonceOf(piece: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce[0] = isLast ? 1 : 0;
  nonce.writeUInt32BE(piece, 8);
  return nonce;
}

export class Sealer {
  readonly #key: Buffer;
  readonly #write: (bytes: Buffer) => void;
  #waiting = Buffer.alloc(0);
  #piece = 0;

  constructor(passphrase: string, write: (bytes: Buffer) => void) {
    const salt = randomBytes(SALT_BYTES);
    this.#key = scryptSync(passphrase, salt, 32, SCRYPT);
    this.#write = write;
    write(Buffer.concat([SEALED, salt]));
  }

  write(bytes: Buffer): void {
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    while (this.#waiting.length > PIECE_BYTES) {
      this.#seal(this.#waiting.subarray(0, PIECE_BYTES), false);
      this.#waiting = this.#waiting.subarray(PIECE_BYTES);
    }
  }

  end(): void {
    this.#seal(this.#waiting, true);
  }

  #seal(plain: Buffer, isLast: boolean): void {
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonceOf(this.#piece++, isLast));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(plain.length);
    cipher.setAAD(length);
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    this.#write(Buffer.concat([length, sealed, cipher.getAuthTag()]));
  }
}

/** Opens what a Sealer wrote; `read` gives up to so many bytes, none at the end. */
export function* unseal(passphrase: string, read: (bytes: number) => Buffer): Generator<Buffer> {
  const salt = read(SALT_BYTES);
  if (salt.length < SALT_BYTES) throw broken('it ends in its first bytes');
  const key = scryptSync(passphrase, salt, 32, SCRYPT);
  let ahead = read(4);
  for (let piece = 0; ; piece++) {
    if (ahead.length < 4) throw broken('its end is missing');
    const head = ahead;
    const length = head.readUInt32BE();
    if (length > PIECE_BYTES) throw broken('a piece is too long');
    const body = read(length + TAG_BYTES);
    ahead = read(4);
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(piece, ahead.length === 0));
    try {
      decipher.setAAD(head);
      decipher.setAuthTag(body.subarray(length));
      yield Buffer.concat([decipher.update(body.subarray(0, length)), decipher.final()]);
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      throw broken(piece === 0 ? 'the passphrase is wrong, or it was changed' : `piece ${piece} was changed`);
    }
    if (ahead.length === 0) return;
  }
}

function broken(why: string): GatewayError {
  return new GatewayError('store_corrupt', `the bundle can't be opened: ${why}`, { retriable: false });
}
