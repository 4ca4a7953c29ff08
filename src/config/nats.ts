import * as v from 'valibot';
import * as field from './fields.ts';
import { LISTENERS_MAX, natsListener, toListener } from './listeners.ts';
import type { PathResolver } from './paths.ts';

/** The port of every NATS server; where nobody wrote it, the box does without if another program has it. */
export const NATS_LISTEN = { host: '127.0.0.1', port: 4222 };

export const nats = field.map({
  /** Without a default here: a written address must be had, the default one need not. */
  listen: v.optional(v.pipe(field.listenOrOff(), v.metadata({ example: '127.0.0.1:4222' }))),
  anonymous: v.optional(field.yesOrNo()),
  /** Further addresses, or with `listen: off` all of them. */
  listeners: v.optional(field.list(natsListener, 0, LISTENERS_MAX), []),
  /** A handful of programs on the box, and what a mistake of one of them may cost. */
  connections_max: v.optional(field.count(1, 10_000), 200),
  /** Headers and payload. As mqtt.packet_max: what is accepted here also fits at the hub, with the headers of the box. */
  payload_max: v.optional(field.size('1KiB', '64MiB'), '256KiB'),
  /** Of one client; a filter costs about 1 KiB. */
  subscriptions_max: v.optional(field.count(1, 50_000), 5000),
  /** As nats-server: a subject, an sid and the JSON of CONNECT have to fit. */
  control_line_max: v.optional(field.size('1KiB', '64KiB'), '4KiB'),
  /** How long a new connection may take until its login is done. */
  connect_timeout: v.optional(field.duration('1s', '5m'), '10s'),
  /** Of one client that does not read: a second of a slow LTE line, or sixteen of the largest messages. */
  pending_max: v.optional(field.size('64KiB', '256MiB'), '4MiB'),
  /** Of all clients together: what a small box can spare. */
  pending_total_max: v.optional(field.size('64KiB', '1GiB'), '32MiB'),
  /** Two of ours unanswered end a connection. */
  ping_interval: v.optional(field.duration('1s', '1h'), '2m'),
  /** How long a Nats-Msg-Id is remembered: as long as a stream does by default. */
  duplicate_window: v.optional(field.duration('1s', '1h'), '2m'),
});

/** Null: no port for NATS clients. */
export function toNats(file: v.InferOutput<typeof nats>, absolute: PathResolver) {
  const first = file.listen === undefined ? NATS_LISTEN : file.listen;
  const listeners = [
    ...(first ? [{ listen: first, anonymous: file.anonymous, tls: undefined, websocket: undefined }] : []),
    ...file.listeners,
  ].map((one) => toListener(one, absolute));
  if (listeners.length === 0) return null;
  return {
    listeners,
    isDefault: file.listen === undefined,
    connectionsMax: file.connections_max,
    payloadBytesMax: file.payload_max,
    subscriptionsMax: file.subscriptions_max,
    controlLineBytesMax: file.control_line_max,
    connectTimeoutMs: file.connect_timeout,
    pendingBytesMax: file.pending_max,
    pendingBytesTotalMax: file.pending_total_max,
    pingIntervalMs: file.ping_interval,
    duplicateWindowMs: file.duplicate_window,
  };
}
