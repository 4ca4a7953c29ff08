import { connect, type Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';

/** Unacknowledged publishes that a sensor keeps to itself; a real one has no more memory either. */
const INFLIGHT_MAX = 20;
const RECONNECT_MS = 1_000;
const KEEP_ALIVE_S = 60;

/** A made-up MQTT device: a reading each period by QoS 1, sent again until it is acknowledged. */
export class DemoSensor {
  readonly #clientId: string;
  readonly #topic: string;
  readonly #reading: () => string;
  readonly #port: number;
  readonly #pending = new Map<number, string>();
  #socket: Socket | null = null;
  #isConnected = false;
  #messageId = 0;
  #timers: NodeJS.Timeout[] = [];
  acknowledged = 0;

  constructor(clientId: string, topic: string, port: number, reading: () => string) {
    this.#clientId = clientId;
    this.#topic = topic;
    this.#port = port;
    this.#reading = reading;
  }

  start(periodMs: number): void {
    this.#timers = [setInterval(() => this.#measure(), periodMs), setInterval(() => this.#connect(), RECONNECT_MS)];
    this.#connect();
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#socket) return;
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    this.#socket = socket;
    const parser = mqttPacket.parser();
    parser.on('packet', (packet) => this.#receive(packet));
    parser.on('error', () => socket.destroy());
    socket.on('data', (chunk) => parser.parse(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#socket = null;
      this.#isConnected = false;
    });
    socket.write(
      mqttPacket.generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        clientId: this.#clientId,
        keepalive: KEEP_ALIVE_S,
      }),
    );
  }

  #receive(packet: mqttPacket.Packet): void {
    if (packet.cmd === 'connack' && packet.returnCode === 0) {
      this.#isConnected = true;
      for (const messageId of this.#pending.keys()) this.#send(messageId, true);
    } else if (packet.cmd === 'puback' && this.#pending.delete(packet.messageId ?? 0)) {
      this.acknowledged++;
    }
  }

  #measure(): void {
    if (this.#pending.size >= INFLIGHT_MAX) return;
    this.#messageId = (this.#messageId % 65_535) + 1;
    this.#pending.set(this.#messageId, this.#reading());
    this.#send(this.#messageId, false);
  }

  #send(messageId: number, dup: boolean): void {
    const payload = this.#pending.get(messageId);
    if (!this.#isConnected || payload === undefined) return;
    const packet = { cmd: 'publish', topic: this.#topic, payload, qos: 1, dup, retain: false, messageId } as const;
    this.#socket?.write(mqttPacket.generate(packet));
  }
}
