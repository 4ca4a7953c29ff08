import * as v from 'valibot';
import { isLoopback } from './address.ts';
import * as field from './fields.ts';
import type { PathResolver } from './paths.ts';

/** The status page: its keys, and what becomes of them. */

export const status = field.map({
  listen: v.optional(field.listenOrOff(), '127.0.0.1:8080'),
  /** Who reads without signing in; to change something one always signs in. */
  viewer: v.optional(field.choice(['signed-in', 'loopback', 'local-network', 'anyone'])),
  /** The older way to say `viewer: anyone`. */
  anonymous: v.optional(field.yesOrNo()),
  /** `tls: off` is short for `mode: off`. auto: with the files, else off loopback with a certificate of its own making. */
  tls: v.optional(
    field.map({
      mode: v.optional(field.choice(['auto', 'off']), 'auto'),
      cert: v.optional(field.path()),
      key: v.optional(field.path()),
    }),
    {},
  ),
});

type StatusValues = v.InferOutput<typeof status>;

/** Null where it is off. `data`: where a certificate of its own is kept. */
export function toStatus({ listen, viewer, anonymous, tls }: StatusValues, data: string, absolute: PathResolver) {
  if (listen === null) return null;
  const { mode, cert, key } = tls;
  const files = cert === undefined || key === undefined ? null : { cert: absolute(cert), key: absolute(key) };
  const isTls = mode !== 'off' && (files !== null || !isLoopback(listen.host));
  return {
    ...listen,
    viewer: viewer ?? (anonymous === undefined ? 'loopback' : anonymous ? 'anyone' : 'signed-in'),
    tls: !isTls
      ? null
      : files === null
        ? { kind: 'self-made' as const, folder: data }
        : { kind: 'files' as const, ...files },
  };
}
