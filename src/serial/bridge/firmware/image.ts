import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { GatewayError } from '../../../core/errors.ts';

/**
 * An image for boards as one file, so that manifest, signature and image can't part:
 *
 *   {"target":"acme-th1","version":"1.4.0","size":20480,"sha256":"9f86…"}\n     the manifest, JSON on one line
 *   base64url of 64 bytes\n                                                     Ed25519 [RFC 8032] over SEAL and the first line
 *   size bytes                                                                  the image
 */

/** What a signature is made for, so that it is worth nothing for anything else. */
const SEAL = 'petiole firmware 1\n';
/** Longest first line. */
const MANIFEST_BYTES_MAX = 1024;
const SIGNATURE_CHARS = 86;

export interface Manifest {
  /** Which boards it is for: the hardware name that they give in HELLO. */
  readonly target: string;
  readonly version: string;
  /** Bytes of the image. */
  readonly size: number;
  /** Of the image, 64 hexadecimal digits: its name in the cache. */
  readonly sha256: string;
}

/** A file whose signature and hash are right. */
export interface SignedImage {
  readonly manifest: Manifest;
  /** 64 bytes: a board with a key of its own may look at it too. */
  readonly signature: Buffer;
  readonly image: Buffer;
}

/** Throws a GatewayError that says what is wrong: `firmware_refused`. `keys`: public keys as base64url of 32 bytes. */
export function openSigned(file: Buffer, keys: readonly string[]): SignedImage {
  const { line, signature, image } = partsOf(file);
  const sealed = Buffer.from(SEAL + line);
  if (keys.length === 0) {
    throw refused(
      'this box trusts no key',
      'add firmware.keys to its configuration: petiole firmware key makes a pair',
    );
  }
  if (!keys.some((key) => verify(null, sealed, publicKey(key), signature))) {
    throw refused('it is not signed by a key of firmware.keys', 'sign it with petiole firmware sign, or add the key');
  }
  const manifest = readManifest(line);
  if (image.length !== manifest.size) {
    throw refused(
      `it has ${image.length} bytes, and its manifest says ${manifest.size}`,
      'the file was cut: take it anew',
    );
  }
  if (sha256(image) !== manifest.sha256) throw refused('its hash is not that of its manifest', 'take the file anew');
  return { manifest, signature, image };
}

/** The signed file. `privateKey`: PEM of an Ed25519 key; throws `config_invalid` for another. */
export function sealImage(image: Buffer, target: string, version: string, privateKey: string): Buffer {
  const line = JSON.stringify({ target, version, size: image.length, sha256: sha256(image) });
  if (Buffer.byteLength(line) > MANIFEST_BYTES_MAX)
    throw refused('its manifest is too long', 'shorten target or version');
  readManifest(line);
  const signature = sign(null, Buffer.from(SEAL + line), privateKeyOf(privateKey)).toString('base64url');
  return Buffer.concat([Buffer.from(`${line}\n${signature}\n`), image]);
}

/** A new pair: the PEM text to keep secret, and the public key as `firmware.keys` takes it. */
export function makeKeys(): { privatePem: string; publicKey: string } {
  const { privateKey } = generateKeyPairSync('ed25519');
  const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { privatePem, publicKey: publicKeyOf(privatePem) };
}

/** The public half of a PEM text, as `firmware.keys` takes it. */
export function publicKeyOf(privatePem: string): string {
  return String(createPublicKey(privateKeyOf(privatePem)).export({ format: 'jwk' }).x);
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function partsOf(file: Buffer): { line: string; signature: Buffer; image: Buffer } {
  const end = file.subarray(0, MANIFEST_BYTES_MAX + 1).indexOf('\n');
  const imageAt = end + 1 + SIGNATURE_CHARS + 1;
  if (end < 2 || file[imageAt - 1] !== 0x0a) {
    throw refused('it is no signed image', 'make one with petiole firmware sign');
  }
  const signature = Buffer.from(file.toString('latin1', end + 1, imageAt - 1), 'base64url');
  return { line: file.toString('utf8', 0, end), signature, image: file.subarray(imageAt) };
}

function readManifest(line: string): Manifest {
  let fields: Partial<Record<keyof Manifest, unknown>>;
  try {
    fields = Object(JSON.parse(line));
  } catch {
    throw refused('its manifest is no JSON', 'make it with petiole firmware sign');
  }
  const { target, version, size, sha256: hash } = fields;
  // Both are shown, and told to the board.
  const isName = (value: unknown): value is string => typeof value === 'string' && /^[\x21-\x7e]{1,32}$/.test(value);
  const isSound =
    isName(target) &&
    isName(version) &&
    Number.isSafeInteger(size) &&
    Number(size) > 0 &&
    /^[0-9a-f]{64}$/.test(String(hash));
  if (!isSound) {
    throw refused(
      'its manifest lacks target, version, size or sha256',
      'target and version are 1 to 32 printable characters without spaces',
    );
  }
  return { target, version, size: Number(size), sha256: String(hash) };
}

function publicKey(key: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key }, format: 'jwk' });
}

function privateKeyOf(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below, as any other key.
  }
  const hint = 'make one with petiole firmware key, or openssl genpkey -algorithm ed25519';
  throw new GatewayError('config_invalid', 'this is no Ed25519 private key in PEM', { hint, retriable: false });
}

export function refused(why: string, hint: string): GatewayError {
  return new GatewayError('firmware_refused', `The image is refused: ${why}`, { hint, retriable: false });
}
