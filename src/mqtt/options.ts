import type { ListenerOptions } from '../core/listen.ts';

export interface MqttOptions {
  readonly listeners: readonly ListenerOptions[];
  readonly connectionsMax: number;
  /** Largest packet, with its fixed header. */
  readonly packetBytesMax: number;
  /** From the connection to the whole CONNECT. */
  readonly connectTimeoutMs: number;
  /** What an MQTT 5 client with a longer keep alive, or none, is told to use. */
  readonly keepAliveMaxS: number;
  /** Topic filters of one client. */
  readonly subscriptionsMax: number;
  readonly topicLevelsMax: number;
  /** Of a topic name or filter; default 2048, more than which no subject may have. */
  readonly topicBytesMax?: number;
  /** CONNECTs per second; 0 (default): as many as come. */
  readonly connectsPerS?: number;
  /** And of one address. */
  readonly connectsPerAddressS?: number;
  /** Messages of one client without a receipt: the Receive Maximum of MQTT 5; a client of 3.1.1 is read no further. */
  readonly inflightMax: number;
  /** Bytes that may wait for one client; beyond it QoS 0 messages are dropped. Default 1 MiB. */
  readonly outboundBytesMax?: number;
  /** QoS 1 and 2 messages that may be on their way to one session, there or away; more are dropped and counted. */
  readonly sessionQueueMax?: number;
  /** And their bytes. */
  readonly sessionQueueBytesMax?: number;
  /** Persistent sessions; a client beyond them gets one that ends with its connection. */
  readonly sessionsMax?: number;
  /** The longest Session Expiry Interval in seconds, and that of 3.1.1. */
  readonly sessionExpiryMaxS?: number;
}

/** Of what may be left out. */
export const optionDefaults = {
  topicBytesMax: 2048,
  connectsPerS: 0,
  connectsPerAddressS: 0,
  // Four of the largest packets of the default configuration, or a second of a slow LTE line.
  outboundBytesMax: 1024 * 1024,
  sessionQueueMax: 1000,
  sessionQueueBytesMax: 1024 * 1024,
  sessionsMax: 10_000,
  sessionExpiryMaxS: 7 * 24 * 3600,
} as const;
