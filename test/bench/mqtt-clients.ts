import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connectPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { waitFor } from '../support/wait-for.ts';

const CONNACK_BYTES = 4;
const SUBACK_BYTES = 5;
const PUBACK_BYTES = 4;
/** Handshakes under way at the same time. */
const OPENING_MAX = 100;

/** Opens a connection of MQTT 3.1.1 and, with a filter, subscribes. Reads no more than the answers. */
export async function openClient(port: number, clientId: string, filter = '', qos = 0, clean = true): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  await exchange(socket, connectPacket({ version: 4, clientId, clean }), CONNACK_BYTES);
  if (filter !== '') await exchange(socket, subscribePacket(4, 1, [[filter, qos]]), SUBACK_BYTES);
  return socket;
}

export async function openClients(port: number, count: number, filter = '', qos = 0): Promise<Socket[]> {
  const sockets: Socket[] = [];
  let next = 0;
  const open = async (): Promise<void> => {
    while (next < count) sockets.push(await openClient(port, `bench-${next++}`, filter, qos));
  };
  await Promise.all(Array.from({ length: Math.min(count, OPENING_MAX) }, open));
  return sockets;
}

/** One packet out, so many bytes in. */
async function exchange(socket: Socket, packet: Buffer, bytes: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let seen = 0;
    const read = (chunk: Buffer): void => {
      seen += chunk.length;
      if (seen < bytes) return;
      socket.off('data', read);
      socket.off('close', gone);
      resolve();
    };
    const gone = (): void => reject(new Error('the broker closed a connection of the benchmark'));
    socket.on('data', read);
    socket.on('close', gone);
    socket.write(packet);
  });
}

/** Counts packets of one size, and acknowledges those of QoS 1. */
export class PacketCounter {
  readonly #bytes: number;
  /** Of the packet identifier; -1 at QoS 0. */
  readonly #identifierAt: number;
  /** Of a packet that is not complete: at QoS 0 only its length counts. */
  #leftBytes = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(packetBytes: number, identifierAt: number) {
    this.#bytes = packetBytes;
    this.#identifierAt = identifierAt;
  }

  /** Packets that are complete with this chunk; at QoS 1 their PUBACKs are written. */
  read(socket: Socket, chunk: Buffer): number {
    if (this.#identifierAt < 0) {
      const bytes = this.#leftBytes + chunk.length;
      this.#leftBytes = bytes % this.#bytes;
      return Math.floor(bytes / this.#bytes);
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const count = Math.floor(bytes.length / this.#bytes);
    const pubacks = Buffer.allocUnsafe(count * 4);
    for (let i = 0; i < count; i++) {
      pubacks.writeUInt16BE(0x4002, i * 4);
      bytes.copy(pubacks, i * 4 + 2, i * this.#bytes + this.#identifierAt, i * this.#bytes + this.#identifierAt + 2);
    }
    this.#rest = bytes.subarray(count * this.#bytes);
    if (count > 0) socket.write(pubacks);
    return count;
  }
}

const BURST = 500;

/** Publishes at QoS 1, `ahead` without their PUBACK at the most before the next burst; resolves once all have it. */
export async function publishAll(
  client: Socket,
  count: number,
  packet: (n: number, packetIdentifier: number) => Buffer,
  { ahead, timeoutMs }: { ahead: number; timeoutMs: number },
): Promise<void> {
  let acked = 0;
  client.on('data', (chunk: Buffer) => {
    acked += chunk.length / PUBACK_BYTES;
  });
  for (let sent = 0; sent < count; ) {
    const parts: Buffer[] = [];
    for (let i = 0; i < BURST && sent < count; i++, sent++) parts.push(packet(sent, (sent % 65_535) + 1));
    client.write(Buffer.concat(parts));
    await waitFor('PUBACKs', () => acked >= sent - ahead, { timeoutMs, intervalMs: 1 });
  }
  await waitFor('the last PUBACK', () => acked >= count, { timeoutMs });
}
