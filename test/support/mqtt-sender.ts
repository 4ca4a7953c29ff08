import { connect, type Socket } from 'node:net';
import type { RecordableHistogram } from 'node:perf_hooks';
import {
  type AckReader,
  connectPacket,
  DUP,
  type MqttVersion,
  type PublishTemplate,
  publishTemplate,
  readAcks,
} from './mqtt-bytes.ts';
import { clockUs, createPayload, payloadBytesMin, stampPayload } from './payload.ts';
import { NumberSet } from './ranges.ts';

/** A little spread, so that 500 clients do not knock in the same millisecond after a restart of the box. */
const RECONNECT_MIN_MS = 20;
const RECONNECT_SPREAD_MS = 60;
const FREE = -1;

export interface SenderOptions {
  host: string;
  port: number;
  client: string;
  topic: string;
  /** Messages of this client. */
  messages: number;
  payloadBytes: number;
  window: number;
  version: MqttVersion;
  reconnect: boolean;
  /** False where a pacer calls `send` itself. */
  eager: boolean;
  username?: string;
  password?: string;
  latency: RecordableHistogram;
  onConnected: () => void;
  onDone: () => void;
  onError: (text: string) => void;
}

/** One client of the load: a window of PUBLISHes, refilled by PUBACKs, in one write per chunk read. */
export class Sender implements AckReader {
  readonly #options: SenderOptions;
  readonly #template: PublishTemplate;
  /** By packet identifier less one: which message it carries, and when that was first sent. */
  readonly #numbers: Int32Array;
  readonly #sentAtUs: Float64Array;
  readonly #freeIdentifiers: number[] = [];
  readonly #refused = new NumberSet();
  readonly acked = new NumberSet();
  #socket: Socket | null = null;
  #rest: Buffer | null = null;
  #window: number;
  #started = false;
  #stopped = false;
  #done = false;
  connected = false;
  connects = 0;
  /** `clockUs()` of the last packet read. */
  lastReadUs = 0;
  sent = 0;
  resent = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    const { client, payloadBytes, topic, version, window } = options;
    if (payloadBytes < payloadBytesMin(client))
      throw new Error(`the payload needs ${payloadBytesMin(client)} bytes at least`);
    this.#template = publishTemplate(topic, createPayload(client, payloadBytes), version);
    this.#numbers = new Int32Array(window).fill(FREE);
    this.#sentAtUs = new Float64Array(window);
    this.#window = window;
    for (let identifier = window; identifier >= 1; identifier--) this.#freeIdentifiers.push(identifier);
  }

  get client(): string {
    return this.#options.client;
  }

  get refused(): number {
    return this.#refused.size;
  }

  get inFlight(): number {
    return this.#numbers.length - this.#freeIdentifiers.length;
  }

  get complete(): boolean {
    return this.acked.size + this.#refused.size === this.#options.messages;
  }

  connect(): void {
    const socket = connect(this.#options.port, this.#options.host);
    this.#socket = socket;
    this.#rest = null;
    socket.setNoDelay(true);
    socket.on('connect', () => {
      const { client, version, username, password } = this.#options;
      socket.write(
        connectPacket({
          clientId: client,
          version,
          ...(username !== undefined && { username }),
          ...(password !== undefined && { password }),
        }),
      );
    });
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => {
      if (!this.#options.reconnect) this.#options.onError(`${this.client}: ${error.message}`);
    });
    socket.on('close', () => this.#closed());
  }

  /** From now on messages flow; all senders begin together. */
  begin(): void {
    this.#started = true;
    if (this.#options.eager) this.send(Number.MAX_SAFE_INTEGER);
  }

  /** Nothing new any more; what is in flight may still be acknowledged. */
  stop(): void {
    this.#stopped = true;
    if (this.inFlight === 0) this.#finish();
  }

  end(): void {
    this.#done = true;
    this.#socket?.end(Buffer.of(0xe0, 0));
  }

  /** Sends up to `count` new messages, as the window lets; returns how many. */
  send(count: number): number {
    if (!this.connected || !this.#started || this.#stopped) return 0;
    const batch = Math.min(count, this.#window - this.inFlight, this.#options.messages - this.sent);
    if (batch <= 0) return 0;
    const { bytes } = this.#template;
    const out = Buffer.allocUnsafe(batch * bytes.length);
    const nowUs = clockUs();
    for (let i = 0; i < batch; i++) {
      const identifier = this.#freeIdentifiers.pop() ?? 0;
      this.#numbers[identifier - 1] = this.sent++;
      this.#sentAtUs[identifier - 1] = nowUs;
      this.#write(out, i * bytes.length, identifier);
    }
    this.#socket?.write(out);
    return batch;
  }

  onConnAck(reasonCode: number, receiveMaximum: number): void {
    if (reasonCode !== 0) {
      this.#options.onError(`${this.client}: CONNACK 0x${reasonCode.toString(16)}`);
      return;
    }
    this.connected = true;
    this.connects++;
    this.#window = Math.min(this.#numbers.length, receiveMaximum);
    this.#resend();
    this.#options.onConnected();
    if (this.#options.eager) this.send(Number.MAX_SAFE_INTEGER);
  }

  onPubAck(identifier: number, reasonCode: number): void {
    const n = this.#numbers[identifier - 1] ?? FREE;
    if (n === FREE) {
      this.#options.onError(`${this.client}: PUBACK for packet identifier ${identifier}, which is not in flight`);
      return;
    }
    this.#options.latency.record(Math.max(1, this.lastReadUs - (this.#sentAtUs[identifier - 1] ?? 0)));
    this.#numbers[identifier - 1] = FREE;
    this.#freeIdentifiers.push(identifier);
    if (reasonCode < 0x80) this.acked.add(n);
    else this.#refused.add(n);
  }

  onDisconnect(reasonCode: number): void {
    this.#options.onError(`${this.client}: DISCONNECT 0x${reasonCode.toString(16)}`);
  }

  #read(chunk: Buffer): void {
    this.lastReadUs = clockUs();
    this.#rest = readAcks(this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]), this);
    if (this.complete || (this.#stopped && this.inFlight === 0)) this.#finish();
    else if (this.#options.eager) this.send(Number.MAX_SAFE_INTEGER);
  }

  #write(out: Buffer, at: number, identifier: number): void {
    const { bytes, identifierAt, payloadAt } = this.#template;
    bytes.copy(out, at);
    out.writeUInt16BE(identifier, at + identifierAt);
    stampPayload(
      out,
      at + payloadAt,
      this.client.length,
      this.#numbers[identifier - 1] ?? 0,
      this.#sentAtUs[identifier - 1] ?? 0,
    );
  }

  /** What the last connection left unacknowledged, in its order [MQTT-4.6.0-1]. */
  #resend(): void {
    const waiting: number[] = [];
    this.#numbers.forEach((n, slot) => {
      if (n !== FREE) waiting.push(slot + 1);
    });
    if (waiting.length === 0) return;
    waiting.sort((a, b) => (this.#numbers[a - 1] ?? 0) - (this.#numbers[b - 1] ?? 0));
    const { bytes } = this.#template;
    const out = Buffer.allocUnsafe(waiting.length * bytes.length);
    waiting.forEach((identifier, i) => {
      const at = i * bytes.length;
      this.#write(out, at, identifier);
      out[at] = (out[at] ?? 0) | DUP;
    });
    this.resent += waiting.length;
    this.#socket?.write(out);
  }

  #closed(): void {
    this.connected = false;
    if (this.#done) return;
    if (this.#options.reconnect) {
      setTimeout(() => this.#done || this.connect(), RECONNECT_MIN_MS + Math.random() * RECONNECT_SPREAD_MS);
    } else {
      this.#options.onError(`${this.client}: the connection closed`);
      this.#finish();
    }
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#options.onDone();
  }
}
