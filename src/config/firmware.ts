import * as v from 'valibot';
import * as field from './fields.ts';

/** `firmware:`, images for boards on serial ports. What each key means stands in serial/bridge/firmware/options.ts. */

/** Those who sign for one fleet, and their successors. */
const KEYS_MAX = 16;
const WINDOWS_MAX = 16;

export const firmware = field.map({
  /** Ed25519 public keys of those who sign; `petiole firmware key` makes a pair. Without any no image is taken. */
  keys: v.optional(field.list(field.signingKey(), 0, KEYS_MAX), []),
  /** Bucket of the hub's object store in which images are looked for. */
  bucket: v.optional(field.streamName()),
  approve: v.optional(field.choice(['by-hand', 'at-once']), 'by-hand'),
  /** Minutes in which a transfer may begin and go on, by the local time of the box; none: always. */
  windows: v.optional(field.list(field.cron(), 0, WINDOWS_MAX), []),
  /** Also a version below the one that the board has. */
  allow_older: v.optional(field.yesOrNo(), false),
  /** Longer than any microcontroller's flash. */
  image_max: v.optional(field.size('1KiB', '64MiB'), '4MiB'),
  /** All images that are kept; the one that was offered first goes first. */
  cache_max: v.optional(field.size('1KiB', '1TiB'), '64MiB'),
  /** A board on trial that has not said its new hash by then has failed. */
  confirm_timeout: v.optional(field.duration('1s', '1d'), '2m'),
});

export function toFirmware(file: v.InferOutput<typeof firmware>) {
  return {
    keys: file.keys,
    bucket: file.bucket ?? null,
    isApprovedAtOnce: file.approve === 'at-once',
    windows: file.windows,
    allowsOlder: file.allow_older,
    imageBytesMax: file.image_max,
    cacheBytesMax: file.cache_max,
    confirmTimeoutMs: file.confirm_timeout,
  };
}
