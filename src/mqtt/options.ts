export interface ListenerAddress {
  /** An address or a name; '::' for all. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
}

export interface ListenerOptions extends ListenerAddress {
  /** Whether one may connect without a user name or a certificate. */
  readonly anonymous: boolean;
  readonly tls?: ListenerTls | null;
  readonly websocket?: { readonly path: string } | null;
}

/** Paths of PEM files, read once at start. */
export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Authorities of client certificates; null where none are asked for. */
  readonly ca: string | null;
  readonly clientCertificates: 'none' | 'optional' | 'required';
}

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
  /** Messages of one client without a receipt: the Receive Maximum of MQTT 5; a client of 3.1.1 is read no further. */
  readonly inflightMax: number;
  /** Bytes that may wait for one client; beyond it QoS 0 messages are dropped. Default 1 MiB. */
  readonly outboundBytesMax?: number;
}

/** Four of the largest packets of the default configuration, or a second of a slow LTE line. */
export const OUTBOUND_BYTES_MAX = 1024 * 1024;
