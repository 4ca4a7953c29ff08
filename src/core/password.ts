import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/*
 * Password hashes, `$scrypt$ln=14,r=8,p=1$salt$hash`: the form of passlib and libxcrypt's relatives, base64 without
 * padding. Computed on a thread of libuv, never on the event loop.
 */

/** 2^14 blocks of 1 KiB: 16 MiB and some 50 ms of a PC, 150 ms of a Pi 4. */
const LOG_COST = 14;
const BLOCK_SIZE = 8;
const PARALLELIZATION = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** What a hash of somebody else's making may ask for: beyond it one login would take the memory of a small box. */
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;
const PARALLELIZATION_MAX = 4;
/** A CONNECT may carry a token of some 2 KiB as its password. */
export const PASSWORD_BYTES_MAX = 4096;

interface Cost {
  readonly logCost: number;
  readonly blockSize: number;
  readonly parallelization: number;
}

interface PasswordHash extends Cost {
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** Whether it is a hash that this box can check, within its bounds. */
export function isPasswordHash(text: string): boolean {
  return parse(text) !== null;
}

/** A new hash, with a salt of its own. */
export async function hashPassword(password: string): Promise<string> {
  const cost = { logCost: LOG_COST, blockSize: BLOCK_SIZE, parallelization: PARALLELIZATION };
  const salt = randomBytes(SALT_BYTES);
  return format(cost, salt, await derive(password, salt, HASH_BYTES, cost));
}

/** Whether the hash was made from this password. False for a hash of another form. */
export async function verifyPassword(password: string | Uint8Array, text: string): Promise<boolean> {
  const parsed = parse(text);
  if (parsed === null) return false;
  return timingSafeEqual(await derive(password, parsed.salt, parsed.hash.length, parsed), parsed.hash);
}

/** A hash that no password fits and that takes as long to check as any: for users that do not exist. */
export function unmatchedHash(): string {
  const cost = { logCost: LOG_COST, blockSize: BLOCK_SIZE, parallelization: PARALLELIZATION };
  return format(cost, randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));
}

function parse(text: string): PasswordHash | null {
  const [, ln, r, p, salt = '', hash = ''] = FORM.exec(text) ?? [];
  const [logCost, blockSize, parallelization] = [Number(ln), Number(r), Number(p)];
  if (!(logCost >= 1 && blockSize >= 1 && parallelization >= 1 && parallelization <= PARALLELIZATION_MAX)) return null;
  if (memoryBytes({ logCost, blockSize, parallelization }) > MEMORY_BYTES_MAX) return null;
  return {
    logCost,
    blockSize,
    parallelization,
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  };
}

function format({ logCost, blockSize, parallelization }: Cost, salt: Buffer, hash: Buffer): string {
  const [saltText, hashText] = [salt, hash].map((bytes) => bytes.toString('base64').replace(/=+$/, ''));
  return `$scrypt$ln=${logCost},r=${blockSize},p=${parallelization}$${saltText}$${hashText}`;
}

function memoryBytes({ logCost, blockSize, parallelization }: Cost): number {
  return 128 * blockSize * (2 ** logCost + parallelization);
}

function derive(password: string | Uint8Array, salt: Buffer, bytes: number, cost: Cost): Promise<Buffer> {
  const options = {
    N: 2 ** cost.logCost,
    r: cost.blockSize,
    p: cost.parallelization,
    // Node refuses what needs more than this, and counts a little more than the arrays.
    maxmem: 2 * memoryBytes(cost),
  };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
