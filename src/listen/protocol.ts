/** What a listener must know of the protocol that it takes connections for. */
export interface Protocol {
  readonly name: 'MQTT' | 'NATS';
  /** The keys of the configuration that say where it listens. */
  readonly setting: string;
  /** What else often has its port. */
  readonly rival: string;
  /** The subprotocol of its WebSockets; null where they have none. */
  readonly subprotocol: string | null;
  /** Its WebSockets may have text messages too. */
  readonly takesText: boolean;
  /** TLS begins after the greeting of the edge, unless `tls.first` says otherwise. */
  readonly greets: boolean;
}

/** [MQTT-6.0.0-1], [MQTT-6.0.0-3] */
export const mqtt: Protocol = {
  name: 'MQTT',
  setting: '`listen` under mqtt.listeners',
  rival: 'another MQTT broker',
  subprotocol: 'mqtt',
  takesText: false,
  greets: false,
};

/** As nats-server has it: no subprotocol, and clients may send text. */
export const nats: Protocol = {
  name: 'NATS',
  setting: 'nats.listen (or nats.listeners, or turn it off by `nats: off`)',
  rival: 'a nats-server',
  subprotocol: null,
  takesText: true,
  greets: true,
};
