import { connect, type Socket } from 'node:net';
import { connectPacket, packet, publishPacket, readVarint, subscribePacket, u16 } from './mqtt-packets.ts';

const RETRY_MS = 20;
const QOS_2 = 0x04;
const DUP = 0x08;
const type = { connack: 2, publish: 3, pubrec: 5, pubrel: 6, pubcomp: 7, suback: 9 } as const;

/** A 3.1.1 client with a session that outlives its connections: it reconnects for as long as it is not stopped. */
abstract class SessionClient {
  readonly #port: number;
  readonly #clientId: string;
  #socket: Socket | null = null;
  #rest: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  #isStopped = true;
  connects = 0;

  constructor(port: number, clientId: string) {
    this.#port = port;
    this.#clientId = clientId;
  }

  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#open();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #open(): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('connect', () => socket.write(connectPacket({ clientId: this.#clientId, clean: false })));
    // What an old connection still has is not read: the client has forgotten it.
    socket.on('data', (chunk) => {
      if (socket === this.#socket && !this.#isStopped) this.#read(chunk);
    });
    socket.on('close', () => {
      if (!this.#isStopped && socket === this.#socket) this.#timer = setTimeout(() => this.#open(), RETRY_MS);
    });
  }

  #read(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const length = readVarint(bytes, 1);
      if (length === null || bytes.length < length.end + length.value) break;
      const end = length.end + length.value;
      this.#handle(bytes.subarray(0, end), length.end);
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }

  #handle(bytes: Buffer, body: number): void {
    const kind = (bytes[0] ?? 0) >> 4;
    if (kind === type.connack) {
      if (bytes[3] !== 0) return;
      this.connects++;
      this.connected(bytes[2] === 1);
    } else this.got(kind, bytes, body);
  }

  protected send(...packets: Buffer[]): void {
    if (packets.length > 0) this.#socket?.write(Buffer.concat(packets));
  }

  protected abstract connected(isPresent: boolean): void;
  protected abstract got(kind: number, bytes: Buffer, body: number): void;
}

/** Publishes numbers at QoS 2, `window` at a time, each with a packet identifier until its PUBCOMP. */
export class Qos2Sender extends SessionClient {
  readonly #topics: readonly string[];
  readonly #window: number;
  readonly #count: number;
  /** By packet identifier, in the order of the PUBLISHes. */
  readonly #open = new Map<number, { number: number; isReleased: boolean }>();
  #next = 1;
  /** Numbers whose PUBREC has come: the box has promised them. */
  readonly promised = new Set<number>();

  constructor(port: number, topics: readonly string[], count: number, window: number) {
    super(port, 'qos2-sender');
    this.#topics = topics;
    this.#count = count;
    this.#window = window;
  }

  get isDone(): boolean {
    return this.#next > this.#count && this.#open.size === 0;
  }

  protected connected(): void {
    for (const [id, { number, isReleased }] of this.#open) {
      this.send(isReleased ? packet(0x62, u16(id)) : this.#publish(id, number, DUP));
    }
    this.#fill();
  }

  protected got(kind: number, bytes: Buffer, body: number): void {
    const id = bytes.readUInt16BE(body);
    const message = this.#open.get(id);
    if (message === undefined) return;
    if (kind === type.pubrec) {
      message.isReleased = true;
      this.promised.add(message.number);
      this.send(packet(0x62, u16(id)));
    } else if (kind === type.pubcomp && message.isReleased) {
      this.#open.delete(id);
      this.#fill();
    }
  }

  #fill(): void {
    const packets: Buffer[] = [];
    // The lowest free identifier: the same few come again and again, as with most libraries.
    for (let id = 1; this.#open.size < this.#window && this.#next <= this.#count; id++) {
      if (this.#open.has(id)) continue;
      const number = this.#next++;
      this.#open.set(id, { number, isReleased: false });
      packets.push(this.#publish(id, number, 0));
    }
    this.send(...packets);
  }

  #publish(id: number, number: number, dup: number): Buffer {
    const topic = this.#topics[number % this.#topics.length] ?? '';
    return publishPacket({ topic, payload: String(number), id, flags: QOS_2 | dup });
  }
}

/** Subscribes at QoS 2, and takes each message once as the specification has it: by its packet identifier. */
export class Qos2Receiver extends SessionClient {
  readonly #filter: string;
  readonly #held = new Set<number>();
  #isSubscribed = false;
  /** By topic, in order. */
  readonly taken = new Map<string, number[]>();
  count = 0;

  constructor(port: number, clientId: string, filter: string) {
    super(port, clientId);
    this.#filter = filter;
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  protected connected(isPresent: boolean): void {
    if (isPresent) return;
    // The specification: without a session of the server, the client forgets its own.
    this.#held.clear();
    this.send(subscribePacket(4, 1, [[this.#filter, 2]]));
  }

  protected got(kind: number, bytes: Buffer, body: number): void {
    if (kind === type.suback) this.#isSubscribed = true;
    else if (kind === type.pubrel) {
      const id = bytes.readUInt16BE(body);
      this.#held.delete(id);
      this.send(packet(0x70, u16(id)));
    } else if (kind === type.publish) {
      const topicEnd = body + 2 + bytes.readUInt16BE(body);
      const id = bytes.readUInt16BE(topicEnd);
      if (!this.#held.has(id)) {
        this.#held.add(id);
        this.#take(bytes.toString('utf8', body + 2, topicEnd), Number(bytes.toString('utf8', topicEnd + 2)));
      }
      this.send(packet(0x50, u16(id)));
    }
  }

  #take(topic: string, number: number): void {
    const numbers = this.taken.get(topic) ?? [];
    numbers.push(number);
    this.taken.set(topic, numbers);
    this.count++;
  }
}
