import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type ConnectFields,
  connectPacket,
  hex,
  PINGREQ,
  PINGRESP,
  type PropertyValue,
  readProperties,
  readVarint,
  type Version,
} from './mqtt-packets.ts';
import { atEnd, type Scope } from './scope.ts';

const DEADLINE_MS = 5_000;

/** What a CONNACK of version 5 says; properties by their identifier. */
export interface ConnAck {
  sessionPresent: boolean;
  reasonCode: number;
  properties: ReadonlyMap<number, PropertyValue>;
}

/** One raw MQTT connection: writes any bytes, reads whole packets as bytes, each wait with a deadline. */
export class Wire {
  readonly socket: Socket;
  /** For messages of failed waits. */
  readonly name: string;
  readonly #packets: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket, name: string) {
    this.socket = socket;
    this.name = name;
    socket.on('data', (chunk) => this.#read(chunk));
    // A refused connection may be reset; the test waits for its end in either case.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Packets that have arrived and were not taken yet. */
  get waiting(): number {
    return this.#packets.length;
  }

  /** All in one write. */
  send(...packets: Buffer[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  /** In pieces of `size` bytes, each in a turn of the event loop of its own. */
  async sendInPieces(bytes: Buffer, size = 1): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#closed; at += size) {
      this.socket.write(bytes.subarray(at, at + size));
      await nextTurn();
    }
  }

  /** The next packet; rejects when the connection ends first. */
  async next(what = 'a packet', timeoutMs = DEADLINE_MS): Promise<Buffer> {
    await this.#until(what, () => this.#packets.length > 0, timeoutMs);
    const packet = this.#packets.shift();
    assert.ok(packet, `${this.name}: the connection ended before ${what}`);
    return packet;
  }

  /** The next packets are these and no others, byte for byte. */
  async expect(...expected: Buffer[]): Promise<void> {
    for (const packet of expected) {
      const seen = await this.next(hex(packet.subarray(0, 20)));
      assert.equal(hex(seen), hex(packet), `${this.name}: not the expected packet`);
    }
  }

  /** The next packets are these, in an order that the specification leaves open. */
  async expectInAnyOrder(...expected: Buffer[]): Promise<void> {
    const seen: Buffer[] = [];
    while (seen.length < expected.length) seen.push(await this.next(`packet ${seen.length + 1} of ${expected.length}`));
    assert.deepEqual(seen.map(hex).sort(), expected.map(hex).sort(), `${this.name}: not the expected packets`);
  }

  /**
   * The server answers, and has nothing else to say: every earlier packet has been handled by then. Asked twice, because
   * the first answer may overtake what is written in the same turn.
   */
  async expectQuiet(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      this.send(PINGREQ);
      await this.expect(PINGRESP);
    }
  }

  /** The connection ends without another packet. */
  async expectClosed(timeoutMs = DEADLINE_MS): Promise<void> {
    await this.#until('the end of the connection', () => this.#closed, timeoutMs);
    assert.deepEqual(this.#packets.map(hex), [], `${this.name}: packets before the end`);
  }

  /** A version 5 DISCONNECT with this reason code (or one of them), then the end; resolves with its properties. */
  async expectDisconnect(
    reasonCodes: number | readonly number[],
    timeoutMs = DEADLINE_MS,
  ): Promise<ReadonlyMap<number, PropertyValue>> {
    const wanted = [reasonCodes].flat().map((code) => code.toString(16));
    const packet = await this.next(`DISCONNECT ${wanted}`, timeoutMs);
    assert.equal(packet[0], 0xe0, `${this.name}: no DISCONNECT ${wanted}: ${hex(packet)}`);
    const seen = (packet[2] ?? 0).toString(16);
    assert.ok(wanted.includes(seen), `${this.name}: DISCONNECT ${seen} in place of ${wanted}: ${hex(packet)}`);
    const { entries, end } = packet.length > 3 ? readProperties(packet, 3) : { entries: [], end: 3 };
    assert.equal(end, packet.length, `${this.name}: bytes behind the DISCONNECT: ${hex(packet)}`);
    await this.expectClosed();
    return new Map(entries);
  }

  /** A version 5 CONNACK, whatever its reason code is. */
  async connAck(): Promise<ConnAck> {
    const packet = await this.next('CONNACK');
    assert.equal(packet[0], 0x20, `${this.name}: no CONNACK: ${hex(packet)}`);
    const at = readVarint(packet, 1)?.end ?? 0;
    const { entries, end } = readProperties(packet, at + 2);
    assert.equal(end, packet.length, `${this.name}: bytes behind the CONNACK: ${hex(packet)}`);
    const named = new Map(entries);
    assert.equal(named.size, entries.length, `${this.name}: a property twice: ${hex(packet)}`);
    const flags = packet.readUInt8(at);
    assert.ok(flags <= 1, `${this.name}: reserved CONNACK flags: ${hex(packet)}`);
    return { sessionPresent: flags === 1, reasonCode: packet.readUInt8(at + 1), properties: named };
  }

  /** Stops reading: what the server sends stays in the kernel's buffers, then with the server. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Sends what is written, then FIN. */
  end(): void {
    this.socket.end();
  }

  /** No FIN but RST: as a device that lost its power answers. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #until(what: string, isDone: () => boolean, timeoutMs: number): Promise<void> {
    if (isDone() || this.#closed) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = () => {};
        reject(new Error(`${this.name}: waited ${timeoutMs} ms for ${what}; ${this.#packets.length} packets waiting`));
      }, timeoutMs);
      this.#wake = () => {
        if (!isDone() && !this.#closed) return;
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const length = readVarint(bytes, 1);
      if (length === null || bytes.length < length.end + length.value) break;
      this.#packets.push(bytes.subarray(0, length.end + length.value));
      bytes = bytes.subarray(length.end + length.value);
    }
    this.#rest = bytes;
    this.#wake();
  }
}

/** A TCP connection that has said nothing yet; it is gone when the scope ends. */
export async function openWire(scope: Scope, port: number, name = 'wire'): Promise<Wire> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  atEnd(scope, () => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return new Wire(socket, name);
}

/** A connection whose CONNECT was accepted. */
export async function connectWire(
  scope: Scope,
  port: number,
  fields: ConnectFields & { version: Version },
): Promise<Wire> {
  const wire = await openWire(scope, port, fields.clientId ?? 'c1');
  wire.send(connectPacket(fields));
  if (fields.version === 5) assert.equal((await wire.connAck()).reasonCode, 0);
  else await wire.expect(Buffer.of(0x20, 2, 0, 0));
  return wire;
}
