import * as v from 'valibot';
import { isLoopback } from './address.ts';
import * as field from './fields.ts';
import { fileOrNull, type PathResolver } from './paths.ts';

/** Addresses of the MQTT and NATS edges. */

/** One box has a handful of networks. */
export const LISTENERS_MAX = 16;
/** The panels of a plant. */
const ORIGINS_MAX = 16;

const listenerTls = {
  cert: v.pipe(field.path(), v.metadata({ example: 'tls/server.pem' })),
  key: v.pipe(field.path(), v.metadata({ example: 'tls/server.key' })),
  /** The authorities that sign the certificates of clients. */
  ca: v.optional(field.path()),
  client_certificates: v.optional(field.choice(['none', 'optional', 'required']), 'none'),
};

/** `true` is short for the default path. */
const websocket = v.optional(
  field.map({
    path: v.optional(field.urlPath(), '/'),
    /** Of web pages that may connect; none: any, but on loopback only those of this machine. */
    origins: v.optional(field.list(field.origin(), 0, ORIGINS_MAX), []),
  }),
);

export const mqttListener = field.map({
  listen: v.pipe(field.listen(), v.metadata({ example: '127.0.0.1:1883' })),
  /** Whether one may connect as nobody: off loopback it must be written. */
  anonymous: v.optional(field.yesOrNo()),
  tls: v.optional(field.map(listenerTls)),
  websocket,
});

export const natsListener = field.map({
  listen: v.pipe(field.listen(), v.metadata({ example: '0.0.0.0:4223' })),
  anonymous: v.optional(field.yesOrNo()),
  tls: v.optional(
    field.map({
      ...listenerTls,
      /** TLS at once, instead of after INFO. */
      handshake_first: v.optional(field.yesOrNo(), false),
    }),
  ),
  websocket,
});

type ListenerValues = v.InferOutput<typeof mqttListener> | v.InferOutput<typeof natsListener>;

export function toListener({ listen, anonymous, tls, websocket }: ListenerValues, absolute: PathResolver) {
  return {
    ...listen,
    anonymous: anonymous ?? isLoopback(listen.host),
    tls: tls
      ? {
          cert: absolute(tls.cert),
          key: absolute(tls.key),
          ca: fileOrNull(tls.ca, absolute),
          clientCertificates: tls.client_certificates,
          first: 'handshake_first' in tls && tls.handshake_first,
        }
      : null,
    websocket: websocket ?? null,
  };
}
