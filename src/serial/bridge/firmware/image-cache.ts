import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError } from '../../../core/errors.ts';
import { type Manifest, openSigned, type SignedImage, sha256 } from './image.ts';

const SUFFIX = '.pfw';

/** What tells a signed image from all others: two kinds of boards may have the same bytes. */
export type ImageName = Pick<Manifest, 'target' | 'version' | 'sha256'>;

/** The name of its file. */
export function imageKey({ target, version, sha256: hash }: ImageName): string {
  return sha256(Buffer.from(`${target} ${version} ${hash}`));
}

/**
 * Signed images in a folder of the box's data, each under a hash of its manifest. Written whole or not at all, and checked
 * again whenever one is read: a card may forget, and a key may have been taken out of the configuration.
 */
export class ImageCache {
  readonly #folder: string;
  readonly #keys: readonly string[];
  readonly #bytesMax: number;
  /** By key, in the order in which they came. */
  readonly #images = new Map<string, { manifest: Manifest; bytes: number }>();

  constructor(folder: string, keys: readonly string[], bytesMax: number) {
    this.#folder = folder;
    this.#keys = keys;
    this.#bytesMax = bytesMax;
  }

  /** What is there from earlier runs; files that are no good go. */
  async start(): Promise<void> {
    const found: { at: number; key: string }[] = [];
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const path = join(this.#folder, name);
      if (name.endsWith(SUFFIX)) found.push({ at: (await stat(path)).mtimeMs, key: name.slice(0, -SUFFIX.length) });
      else await rm(path, { force: true, recursive: true });
    }
    for (const { key } of found.sort((a, b) => a.at - b.at)) {
      const file = await readFile(this.#path(key));
      const signed = this.#opened(key, file);
      if (signed === null) await rm(this.#path(key), { force: true });
      else this.#images.set(key, { manifest: signed.manifest, bytes: file.length });
    }
  }

  get manifests(): Manifest[] {
    return Array.from(this.#images.values(), ({ manifest }) => manifest);
  }

  /**
   * Keeps a signed file. Rejects with `firmware_refused` where it is no good or larger than the cache, `disk_full` or
   * `store_failed` where it can't be written. `isUsed`: images that must stay.
   */
  async put(file: Buffer, isUsed: (key: string) => boolean): Promise<Manifest> {
    const { manifest } = openSigned(file, this.#keys);
    const key = imageKey(manifest);
    if (this.#images.has(key)) return manifest;
    await this.#makeRoom(file.length, isUsed);
    const path = this.#path(key);
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const handle = await open(`${path}.new`, 'w', 0o600);
      try {
        await handle.writeFile(file);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.new`, path);
      const folder = await open(this.#folder);
      await folder.sync().finally(() => folder.close());
    } catch (cause) {
      await rm(`${path}.new`, { force: true });
      const { code, message } = cause as NodeJS.ErrnoException;
      const kind = code === 'ENOSPC' ? 'disk_full' : 'store_failed';
      throw new GatewayError(kind, `The image could not be kept in ${this.#folder}: ${message}`, { cause });
    }
    this.#images.set(key, { manifest, bytes: file.length });
    return manifest;
  }

  /** An image, checked; null where it is not there or no good any more. */
  async read(name: ImageName): Promise<SignedImage | null> {
    const key = imageKey(name);
    const file = await readFile(this.#path(key)).catch(() => null);
    const signed = file === null ? null : this.#opened(key, file);
    if (signed === null) this.#images.delete(key);
    return signed;
  }

  async #makeRoom(bytes: number, isUsed: (key: string) => boolean): Promise<void> {
    let total = [...this.#images.values()].reduce((sum, image) => sum + image.bytes, bytes);
    for (const [key, image] of this.#images) {
      if (total <= this.#bytesMax) return;
      if (isUsed(key)) continue;
      this.#images.delete(key);
      await rm(this.#path(key), { force: true });
      total -= image.bytes;
    }
    if (total <= this.#bytesMax) return;
    const hint = 'Raise firmware.cache_max, or let the transfers under way come to their end';
    throw new GatewayError('firmware_refused', `The image of ${bytes} bytes has no room in the cache`, { hint });
  }

  #opened(key: string, file: Buffer): SignedImage | null {
    try {
      const signed = openSigned(file, this.#keys);
      return imageKey(signed.manifest) === key ? signed : null;
    } catch (error) {
      if (error instanceof GatewayError) return null;
      throw error;
    }
  }

  /** `key` is hexadecimal digits, or the name of a file in the folder. */
  #path(key: string): string {
    return join(this.#folder, `${key}${SUFFIX}`);
  }
}
