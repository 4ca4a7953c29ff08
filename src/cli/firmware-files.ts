import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { GatewayError } from '../core/errors.ts';
import { makeKeys, sealImage } from '../serial/bridge/firmware/image.ts';
import { type FirmwareOptions, needed } from './firmware-options.ts';

/** `petiole firmware key FILE`. */
export async function key({ argument }: FirmwareOptions): Promise<number> {
  const { privatePem, publicKey } = makeKeys();
  try {
    // Never over a key that is there already: what it has signed could be signed no more.
    writeFileSync(argument, privatePem, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'is there already' : `cannot be written: ${message}`;
    throw new GatewayError('store_failed', `${argument} ${why}`, { hint: 'Name a new file', cause });
  }
  process.stdout.write(`${argument}: keep it secret, and a copy of it\nfirmware:\n  keys: [${publicKey}]\n`);
  return 0;
}

/** `petiole firmware sign FILE`. */
export async function sign(options: FirmwareOptions): Promise<number> {
  const { target, version, key: keyFile, out } = needed(options, 'target', 'version', 'key', 'out');
  const [image, privatePem] = [await fileOf(options.argument), await fileOf(keyFile)];
  const signed = sealImage(image, target, version, privatePem.toString('utf8'));
  writeFileSync(out, signed);
  process.stdout.write(`${out}: ${target} ${version}, ${image.length} bytes\n`);
  return 0;
}

/** Rejects with `config_invalid`, naming the file. */
export async function fileOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { message } = cause as Error;
    throw new GatewayError('config_invalid', `${path} cannot be read: ${message}`, { cause, retriable: false });
  }
}
