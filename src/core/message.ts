/** The only thing that moves inside the box; outside it is a packet, an operation or a frame. */
export interface Message {
  /** NATS subject, without wildcards. */
  readonly subject: string;
  /** Reply subject; '' when nobody waits for an answer. */
  readonly reply: string;
  /** A whole NATS header block (`NATS/1.0\r\n…\r\n\r\n`) passed on byte for byte; NO_HEADERS when there is none. */
  readonly headers: Buffer;
  /** Opaque. Nobody writes to it after publish, so every party may keep a reference. */
  readonly payload: Buffer;
  /** Wall clock of arrival at the box, milliseconds since 1970. */
  readonly receivedAtMs: number;
  /**
   * The subject that a NATS subscriber is shown; absent where it is `subject`. They differ for a message of a JetStream
   * consumer, which the hub sends to the consumer's inbox under the subject that it has in the stream.
   */
  readonly shownAs?: string;
  /** Who published it: for no-echo rules and so that what came from the hub never goes back there. */
  readonly origin: Party;
  /** Its publisher asked for it to be retained: subscribers with Retain As Published see that. */
  readonly retain?: boolean;
  /** Quality of Service that its publisher chose, 0 to 2; absent where its protocol has none. */
  readonly qos?: number;
}

/** Somebody who publishes or subscribes: one MQTT connection, one NATS client, one port, the hub, the box itself. */
export interface Party {
  readonly kind: 'mqtt' | 'nats' | 'serial' | 'hub' | 'box';
  /** Client identifier, port name or the like; for logs and the status page. */
  readonly name: string;
}

export const NO_HEADERS: Buffer = Buffer.alloc(0);
