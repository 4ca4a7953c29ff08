import { createPublicKey, verify } from 'node:crypto';

/*
 * NKeys of users, the public half: base32 without padding of a prefix byte, the 32 bytes of an Ed25519 public key and
 * their CRC-16 (XMODEM, little-endian). Written `U…`, 56 characters.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** Makes the first letter a U. */
const USER_PREFIX = 20 << 3;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** What makes 32 bytes a public key of Ed25519 in DER (RFC 8410). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** Whether it is the public key of a user, with a sound checksum. */
export function isUserKey(text: string): boolean {
  return decode(text) !== null;
}

/** Whether the holder of the key has signed `data`: `signature` in base64url or base64, as clients send it. */
export function isSignedBy(userKey: string, data: string, signature: string): boolean {
  const key = decode(userKey);
  const bytes = Buffer.from(signature, 'base64url');
  if (key === null || bytes.length !== SIGNATURE_BYTES) return false;
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_HEAD, key]), format: 'der', type: 'spki' });
  return verify(null, Buffer.from(data), publicKey, bytes);
}

function decode(text: string): Buffer | null {
  if (!/^U[A-Z2-7]{55}$/.test(text)) return null;
  const bytes = Buffer.alloc(1 + KEY_BYTES + 2);
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const letter of text) {
    value = ((value << 5) | ALPHABET.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (value >> bits) & 0xff;
  }
  const end = 1 + KEY_BYTES;
  if (bytes[0] !== USER_PREFIX || crc16(bytes.subarray(0, end)) !== bytes.readUInt16LE(end)) return null;
  return bytes.subarray(1, end);
}

function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}
