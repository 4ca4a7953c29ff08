import * as v from 'valibot';
import * as field from './fields.ts';
import { LISTENERS_MAX, mqttListener, toListener } from './listeners.ts';
import type { PathResolver } from './paths.ts';

export const mqtt = field.map({
  listeners: v.optional(field.list(mqttListener, 0, LISTENERS_MAX), [{ listen: '127.0.0.1:1883' }]),
  /** A connection costs some 20 KiB; a Pi has sockets and memory for a few thousand. */
  connections_max: v.optional(field.count(1, 100_000), 1000),
  /** A quarter of a hub's default max_payload (1 MiB), so that what is accepted here also fits there. */
  packet_max: v.optional(field.size('1KiB', '64MiB'), '256KiB'),
  /** How long a new connection may take until its CONNECT is complete. */
  connect_timeout: v.optional(field.duration('1s', '5m'), '10s'),
  /** Longer ones, and none, are lowered to it (MQTT 5 Server Keep Alive): how long a dead peer can hold its place. */
  keep_alive_max: v.optional(field.duration('10s', '65535s'), '1h'),
  /** Topic filters of one client. */
  subscriptions_max: v.optional(field.count(1, 10_000), 100),
  topic_levels_max: v.optional(field.count(1, 255), 32),
  /** A subject of more than 2048 bytes would cut the link to a hub. */
  topic_bytes_max: v.optional(field.count(16, 2048), 2048),
  /** Clients that may connect in a second, and ten seconds' worth at once; 0: no limit. A Pi 4 takes some 1,000. */
  connect_rate: v.optional(field.count(0, 100_000), 500),
  /** And of one address, loopback left out: behind one may be a router with a whole plant. */
  connect_rate_per_address: v.optional(field.count(0, 100_000), 100),
  /** QoS 1 publishes of one client that are not acknowledged yet (receive maximum). */
  inflight_max: v.optional(field.count(1, 65_535), 1000),
  /** Retained messages. */
  retained: v.optional(field.choice(['on', 'off']), 'on'),
  /** One for each topic of a plant's sensors. All are in memory, at some 800 bytes each beside their payload. */
  retained_max: v.optional(field.count(1, 1_000_000), 10_000),
  retained_bytes_max: v.optional(field.size('64KiB', '1GiB'), '16MiB'),
  /** Persistent sessions, each some 2 KiB of memory; their queues are on the disk. */
  sessions_max: v.optional(field.count(1, 1_000_000), 10_000),
  /** The longest Session Expiry Interval, and that of 3.1.1. 0: a session ends with its connection. */
  session_expiry_max: v.optional(field.duration('0', '3650d'), '7d'),
  /** QoS 1 and 2 messages on their way to one client, there or away. */
  session_queue_max: v.optional(field.count(1, 65_535), 1000),
  session_queue_bytes_max: v.optional(field.size('16KiB', '1GiB'), '1MiB'),
  /** And of all persistent sessions together, on the disk. */
  sessions_bytes_max: v.optional(field.size('64KiB', '64GiB'), '64MiB'),
});

export function toMqtt(file: v.InferOutput<typeof mqtt>, absolute: PathResolver) {
  return {
    listeners: file.listeners.map((one) => toListener(one, absolute)),
    connectionsMax: file.connections_max,
    packetBytesMax: file.packet_max,
    connectTimeoutMs: file.connect_timeout,
    keepAliveMaxS: Math.floor(file.keep_alive_max / 1000),
    subscriptionsMax: file.subscriptions_max,
    topicLevelsMax: file.topic_levels_max,
    topicBytesMax: file.topic_bytes_max,
    connectsPerS: file.connect_rate,
    connectsPerAddressS: file.connect_rate_per_address,
    inflightMax: file.inflight_max,
    sessionsMax: file.sessions_max,
    sessionExpiryMaxS: Math.floor(file.session_expiry_max / 1000),
    sessionQueueMax: file.session_queue_max,
    sessionQueueBytesMax: file.session_queue_bytes_max,
    sessions: file.session_expiry_max > 0 ? { bytesMax: file.sessions_bytes_max } : null,
    retained: file.retained === 'on' ? { countMax: file.retained_max, bytesMax: file.retained_bytes_max } : null,
  };
}
