import mqtt, { type MqttClient } from 'mqtt';
import { NumberSet } from '../support/ranges.ts';
import { waitFor } from '../support/wait-for.ts';

export interface FleetOptions {
  url: string;
  clients: number;
  /** Of all. */
  messagesPerS: number;
  /** Of one device, on average. */
  crashEveryS: number;
}

type Qos = 0 | 1 | 2;
const QOS: readonly Qos[] = [0, 1, 2];

/** What one device has sent at one QoS, and where that has arrived. */
class Track {
  sent = 0;
  readonly acked = new NumberSet();
  readonly atDevice = new NumberSet();
  readonly atProgram = new NumberSet();
  deviceTwice = 0;
  programTwice = 0;

  get lostAtDevice(): number {
    return this.#missing(this.atDevice);
  }

  get lostAtProgram(): number {
    return this.#missing(this.atProgram);
  }

  #missing(arrived: NumberSet): number {
    let missing = 0;
    for (let n = 0; n < this.sent; n++) if (this.acked.has(n) && !arrived.has(n)) missing++;
    return missing;
  }
}

/** Devices in a ring: each publishes to the next one, loses its connection now and then, and comes back to its session. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #clients: MqttClient[] = [];
  readonly #tracks: Track[][];
  #ticking: NodeJS.Timeout | undefined;
  #crashes = 0;
  #connects = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#tracks = Array.from({ length: options.clients }, () => QOS.map(() => new Track()));
  }

  get size(): number {
    return this.#clients.length;
  }

  async start(): Promise<void> {
    const { clients, url } = this.#options;
    for (let i = 0; i < clients; i++) {
      const version = i % 2 === 0 ? 4 : 5;
      const client = mqtt.connect(url, {
        clientId: `soak-${i}`,
        protocolVersion: version,
        clean: false,
        resubscribe: false,
        keepalive: 30,
        reconnectPeriod: 200 + ((i * 37) % 1_800),
        ...(version === 5 && { properties: { sessionExpiryInterval: 3_600 } }),
      });
      this.#clients.push(client);
      client.on('error', () => {});
      client.on('connect', () => void this.#connects++);
      client.on('message', (_topic, payload) => this.#arrived(payload.toString()));
      if (i % 50 === 49) await waitFor('connections', () => this.#clients.every(({ connected }) => connected));
    }
    await waitFor('connections', () => this.#clients.every(({ connected }) => connected));
    await Promise.all(this.#clients.map((client, i) => client.subscribeAsync(`soak/${i}`, { qos: 2 })));
  }

  /** Publishes and crashes until `settle`. */
  publish(): void {
    const { clients, messagesPerS, crashEveryS } = this.#options;
    const tickMs = 20;
    let due = 0;
    let crashesDue = 0;
    this.#ticking = setInterval(() => {
      due += (messagesPerS * tickMs) / 1000;
      for (; due >= 1; due--) this.#send(Math.floor(Math.random() * clients));
      crashesDue += (clients / crashEveryS) * (tickMs / 1000);
      for (; crashesDue >= 1; crashesDue--) this.#crash(Math.floor(Math.random() * clients));
    }, tickMs);
  }

  #send(i: number): void {
    const client = this.#clients[i];
    // What is published while it is away would only pile up in the client.
    if (!client?.connected) return;
    const qos = QOS[Math.floor(Math.random() * QOS.length)] ?? 0;
    const track = this.#tracks[i]?.[qos];
    if (track === undefined) return;
    const n = track.sent++;
    client.publish(`soak/${(i + 1) % this.#clients.length}`, `${i} ${qos} ${n}`, { qos }, (error) => {
      if (!error && qos > 0) track.acked.add(n);
    });
  }

  /** No DISCONNECT and no FIN. */
  #crash(i: number): void {
    const client = this.#clients[i];
    if (!client?.connected) return;
    this.#crashes++;
    client.stream.destroy();
  }

  #arrived(text: string): void {
    const { track, qos, n } = this.#read(text);
    if (track !== undefined && !track.atDevice.add(n) && qos === 2) track.deviceTwice++;
  }

  /** The program at the NATS port got this. */
  heard(text: string): void {
    const { track, qos, n } = this.#read(text);
    if (track !== undefined && !track.atProgram.add(n) && qos === 2) track.programTwice++;
  }

  #read(text: string): { track: Track | undefined; qos: number; n: number } {
    const [i = 0, qos = 0, n = 0] = text.split(' ').map(Number);
    return { track: this.#tracks[i]?.[qos], qos, n };
  }

  /** Publishes no more, and waits until all that was acknowledged has arrived; what has not by then is lost. */
  async settle(timeoutMs: number): Promise<void> {
    clearInterval(this.#ticking);
    const isDone = (): boolean =>
      this.#clients.every(({ connected }) => connected) && this.report()['acknowledged and lost'] === 0;
    await waitFor('what is on its way', isDone, { timeoutMs, intervalMs: 500 }).catch(() => {});
  }

  line(): string {
    const of = (read: (track: Track) => number): number => this.#sum(QOS, read);
    return `${of(({ sent }) => sent)} sent, ${of(({ acked }) => acked.size)} acknowledged, ${of(({ atDevice }) => atDevice.size)} arrived, ${this.#crashes} crashes, ${this.#connects} connects`;
  }

  report() {
    const atDevice = this.#sum([1, 2], ({ lostAtDevice }) => lostAtDevice);
    const atProgram = this.#sum([1, 2], ({ lostAtProgram }) => lostAtProgram);
    const twiceAtDevice = this.#sum([2], ({ deviceTwice }) => deviceTwice);
    const twiceAtProgram = this.#sum([2], ({ programTwice }) => programTwice);
    return {
      'lost at devices': atDevice,
      'lost at the program': atProgram,
      'acknowledged and lost': atDevice + atProgram,
      'QoS 2 twice at devices': twiceAtDevice,
      'QoS 2 twice at the program': twiceAtProgram,
      'QoS 2 twice': twiceAtDevice + twiceAtProgram,
      'QoS 0 sent': this.#sum([0], ({ sent }) => sent),
      'QoS 0 arrived': this.#sum([0], ({ atDevice: { size } }) => size),
    };
  }

  #sum(qos: readonly Qos[], read: (track: Track) => number): number {
    return this.#tracks.reduce(
      (sum, tracks) => sum + qos.reduce<number>((own, q) => own + read(tracks[q] as Track), 0),
      0,
    );
  }

  async end(): Promise<void> {
    clearInterval(this.#ticking);
    await Promise.all(this.#clients.map((client) => client.endAsync(true)));
  }
}
