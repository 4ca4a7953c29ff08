import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type Box, type BoxConfig, startBox } from './box.ts';
import { endsWithPacket, type FuzzCase, FuzzCases, packetTypes } from './mqtt-mutations.ts';
import {
  connectPacket,
  hex,
  PINGREQ,
  pubackPacket,
  publishPacket,
  readVarint,
  subackPacket,
  subscribePacket,
  type Version,
} from './mqtt-packets.ts';
import { connectWire, type Wire } from './mqtt-wire.ts';
import type { Scope } from './scope.ts';

/*
 * Sends the cases to a real box over real sockets, many at once, and looks at three things: that what comes back is MQTT
 * with a right reason code, that a good client is served after every batch, and that the memory of the box is bounded.
 *
 * A connection serves for several cases while it lives: a case that ends with a whole packet is followed by a PINGREQ,
 * and once that is answered the next case follows; after any other case the connection is ended.
 */

export interface FuzzOptions {
  cases: number;
  seed: number;
  /** The first case; default 0. */
  first?: number;
  batch?: number;
  connections?: number;
  /** Called after every batch. */
  progress?: (done: number) => void;
}

export interface FuzzResult {
  cases: number;
  casesPerSecond: number;
  connections: number;
  /** Reason codes of DISCONNECT and CONNACK of version 5, by how often. */
  reasonCodes: ReadonlyMap<number, number>;
  /** Resident memory of the box: after its start, at most, at the end. */
  memoryMiB: { start: number; most: number; end: number };
  failures: string[];
}

const BATCH = 2_000;
const CONNECTIONS = 48;
/** Source addresses: each has its own ports, and a port of a closed connection is not free for a minute. */
const ADDRESSES = 200;
/** What a box of this configuration needs at most, whatever is sent to it; 10 million cases must not need more. */
const MEMORY_MIB_MAX = 260;
const ANSWER_TIMEOUT_MS = 30_000;
const FAILURES_MAX = 10;
const SENT_MAX = 60;

/** Bounds small enough to be reached, so that what lies behind them is fuzzed as well. */
const config: BoxConfig = {
  mqtt: {
    listeners: [{ listen: '127.0.0.1:0' }],
    connections_max: 500,
    connect_rate: 0,
    connect_rate_per_address: 0,
    packet_max: '256KiB',
    retained_max: 200,
    retained_bytes_max: '1MiB',
  },
  lanes: [{ name: 'default', subjects: ['>'], max_bytes: '16MiB', full: 'drop-oldest' }],
};

/** Reason codes of a server: DISCONNECT (table 3-10), CONNACK (table 3-1) and the acknowledgements. */
const codesOf: Readonly<Record<number, ReadonlySet<number>>> = {
  2: new Set([
    0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
    0x9d, 0x9f,
  ]),
  4: new Set([0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
  5: new Set([0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
  6: new Set([0, 0x92]),
  7: new Set([0, 0x92]),
  14: new Set([
    0, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ]),
};

/** Packet types that a server sends. */
const serverTypes = new Set([2, 3, 4, 5, 6, 7, 9, 11, 13, 14]);

export async function fuzz(scope: Scope, options: FuzzOptions): Promise<FuzzResult> {
  const box = await startBox(scope, { config });
  return new Fuzzer(box, options).run(scope);
}

/** In lines: the figures, and each failure with what replays it. */
export function report({ cases, casesPerSecond, connections, reasonCodes, memoryMiB, failures }: FuzzResult): string[] {
  const { start, most, end } = memoryMiB;
  const codes = [...reasonCodes].sort(([a], [b]) => a - b).map(([code, count]) => `0x${code.toString(16)}: ${count}`);
  return [
    `${cases} cases, ${casesPerSecond}/s on ${connections} connections, ${failures.length} failures`,
    `resident memory of the box: ${start} MiB at its start, at most ${most}, ${end} at the end`,
    `reason codes of version 5: ${codes.join(', ')}`,
    ...failures.map((failure) => `FAILED ${failure}`),
  ];
}

const NOTHING = Buffer.alloc(0);
const connects = {
  4: connectPacket({ version: 4, clientId: '' }),
  5: connectPacket({ version: 5, clientId: '' }),
};

type Kind = 'whole' | Version;
const kinds: readonly Kind[] = ['whole', 4, 5];

class Fuzzer {
  readonly #box: Box;
  readonly #options: Required<FuzzOptions>;
  readonly #cases: FuzzCases;
  readonly #failures: string[] = [];
  readonly #reasonCodes = new Map<number, number>();
  /** Cases of the batch that were not sent yet, by the connection that they need. */
  #waiting: Record<Kind, FuzzCase[]> = { whole: [], 4: [], 5: [] };
  #connections = 0;
  #goodClients = 0;
  /** Looking for the case that did it: what else is wrong is known already. */
  #isSearching = false;

  constructor(box: Box, options: FuzzOptions) {
    this.#box = box;
    this.#options = { first: 0, batch: BATCH, connections: CONNECTIONS, progress: () => {}, ...options };
    this.#cases = new FuzzCases(options.seed);
  }

  async run(scope: Scope): Promise<FuzzResult> {
    const { cases, first, batch, progress } = this.#options;
    const last = first + cases;
    let from = first;
    const bystanders = [await this.#goodClient(scope, 4), await this.#goodClient(scope, 5)];
    const memory = { start: this.#memoryMiB(), most: 0, end: 0 };
    const startedAtMs = performance.now();
    while (from < last && this.#failures.length < FAILURES_MAX) {
      const end = Math.min(last, from + batch);
      const known = this.#failures.length;
      await this.#send(from, end);
      try {
        for (const [i, wire] of bystanders.entries()) await roundTrip(wire, i === 0 ? 4 : 5);
        for (const version of [4, 5] as const) {
          const wire = await this.#goodClient(scope, version);
          await roundTrip(wire, version);
          wire.reset();
        }
        memory.end = this.#memoryMiB();
        memory.most = Math.max(memory.most, memory.end);
        if (memory.end > MEMORY_MIB_MAX) throw new Error(`the box takes ${memory.end} MiB`);
      } catch (error) {
        const log = this.#box.running ? '' : '; the box has ended';
        // What the other connections saw of that end is no fault of theirs.
        if (!this.#box.running) this.#failures.length = known;
        const culprits = await this.#bisect(scope, from, end);
        this.#failures.push(`cases ${from} to ${end - 1}: ${(error as Error).message}${log}\n${culprits}`);
        break;
      }
      from = end;
      progress(from - first);
    }
    const seconds = (performance.now() - startedAtMs) / 1000;
    const done = from - first;
    return {
      cases: done,
      casesPerSecond: Math.round(done / seconds),
      connections: this.#connections,
      reasonCodes: this.#reasonCodes,
      memoryMiB: memory,
      failures: this.#failures,
    };
  }

  /** Which single cases of a batch a fresh box does not survive. */
  async #bisect(scope: Scope, from: number, end: number): Promise<string> {
    this.#isSearching = true;
    let low = from;
    let high = end;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (await this.#survives(scope, low, middle)) low = middle;
      else high = middle;
    }
    const alone = !(await this.#survives(scope, low, low + 1));
    const { seed } = this.#options;
    return alone
      ? `case ${low} alone does it: --seed ${seed} --case ${low}`
      : `no single case does it; replay the batch: --seed ${seed} --first ${from} --cases ${end - from}`;
  }

  async #survives(scope: Scope, from: number, end: number): Promise<boolean> {
    if (this.#box.running) await this.#box.kill9();
    await this.#box.start();
    await this.#send(from, end);
    try {
      await roundTrip(await this.#goodClient(scope, 5), 5);
      return this.#box.running && this.#memoryMiB() <= MEMORY_MIB_MAX;
    } catch {
      return false;
    }
  }

  #goodClient(scope: Scope, version: Version): Promise<Wire> {
    return connectWire(scope, this.#port, { version, clientId: `good-${version}-${this.#goodClients++}` });
  }

  get #port(): number {
    return this.#box.mqttPorts[0] ?? 0;
  }

  async #send(from: number, end: number): Promise<void> {
    this.#waiting = { whole: [], 4: [], 5: [] };
    for (let number = end - 1; number >= from; number--) {
      const one = this.#cases.get(number);
      this.#waiting[one.isWhole ? 'whole' : one.version].push(one);
    }
    await Promise.all(Array.from({ length: Math.min(this.#options.connections, end - from) }, () => this.#work()));
  }

  /** One connection after the other, until the batch has no case left. */
  async #work(): Promise<void> {
    while ((this.#isSearching || this.#failures.length < FAILURES_MAX) && this.#box.running) {
      const kind = kinds.find((one) => this.#waiting[one].length > 0);
      const first = kind === undefined ? undefined : this.take(kind);
      if (kind === undefined || first === undefined) return;
      await new Promise<void>((resolve) => {
        new Conversation(this.#open(), kind, first, this, resolve).start();
      });
    }
  }

  take(kind: Kind): FuzzCase | undefined {
    return this.#waiting[kind].pop();
  }

  #open(): Socket {
    const index = this.#connections++;
    return connect({ port: this.#port, host: '127.0.0.1', localAddress: `127.0.${1 + (index % ADDRESSES)}.1` });
  }

  countReason(code: number): void {
    this.#reasonCodes.set(code, (this.#reasonCodes.get(code) ?? 0) + 1);
  }

  failed({ number, what, bytes }: FuzzCase, why: string): void {
    if (this.#isSearching || this.#failures.length >= FAILURES_MAX) return;
    const sent = `${hex(bytes.subarray(0, SENT_MAX))}${bytes.length > SENT_MAX ? ' …' : ''}`;
    this.#failures.push(`case ${number} (${what}): ${why}\n  sent: ${sent}`);
  }

  #memoryMiB(): number {
    const status = readFileSync(`/proc/${this.#box.pid}/status`, 'utf8');
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }
}

/** One connection and the cases on it. */
class Conversation {
  readonly #socket: Socket;
  readonly #kind: Kind;
  readonly #fuzzer: Fuzzer;
  readonly #done: () => void;
  #case: FuzzCase;
  #rest: Buffer = Buffer.alloc(0);
  #isConnected = false;
  #isEnding = false;
  #lastCode: number | null = null;
  /** PINGRESPs that are still to come for the case at hand. */
  #pings = 0;

  constructor(socket: Socket, kind: Kind, first: FuzzCase, fuzzer: Fuzzer, done: () => void) {
    this.#socket = socket;
    this.#kind = kind;
    this.#case = first;
    this.#fuzzer = fuzzer;
    this.#done = done;
  }

  start(): void {
    const socket = this.#socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => {});
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      this.#fail('no answer, and no end of the connection');
      socket.destroy();
    });
    socket.on('close', () => {
      this.#judgeEnd();
      this.#done();
    });
    // In one write with the CONNECT: a round trip less.
    if (this.#kind === 'whole') this.#send(this.#case);
    else this.#send(this.#case, connects[this.#kind]);
  }

  #send(next: FuzzCase, connect: Buffer = NOTHING): void {
    this.#case = next;
    this.#lastCode = null;
    if (!next.isWhole && next.codes === null && endsWithPacket(next.bytes)) {
      this.#pings = 1 + packetTypes(next.bytes).filter((type) => type === 12).length;
      this.#socket.write(Buffer.concat([connect, next.bytes, PINGREQ]));
      return;
    }
    this.#pings = 0;
    this.#socket.write(connect.length === 0 ? next.bytes : Buffer.concat([connect, next.bytes]));
    // What a foretold answer comes to must not be cut off by our own end.
    if (next.codes === null) this.#end();
  }

  #end(): void {
    this.#isEnding = true;
    this.#socket.end();
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 2) {
      const length = readVarint(bytes, 1);
      if (length === null || bytes.length < length.end + length.value) break;
      this.#hear(bytes.subarray(0, length.end + length.value), length.end);
      bytes = bytes.subarray(length.end + length.value);
    }
    this.#rest = bytes;
  }

  #hear(packet: Buffer, body: number): void {
    const first = packet[0] ?? 0;
    const type = first >> 4;
    if (!serverTypes.has(type)) this.#fail(`the server sends ${hex(packet.subarray(0, 20))}`);
    if (type !== 3 && (first & 0x0f) !== (type === 6 ? 2 : 0)) this.#fail(`flags: ${hex(packet.subarray(0, 20))}`);
    if (this.#kind === 5 || (this.#kind === 'whole' && this.#case.codes !== null)) this.#judgeCode(type, packet, body);
    if (type === 2) this.#hearConnack(packet, body);
    else if (!this.#isConnected) this.#fail(`before the CONNACK: ${hex(packet.subarray(0, 20))}`);
    if (type === 13 && --this.#pings === 0) this.#goOn();
  }

  #hearConnack(packet: Buffer, body: number): void {
    if (this.#isConnected) this.#fail('a second CONNACK');
    this.#isConnected = packet[body + 1] === 0;
    if (this.#kind !== 'whole' && !this.#isConnected) this.#fail(`a good CONNECT is refused: ${hex(packet)}`);
  }

  #judgeCode(type: number, packet: Buffer, body: number): void {
    const codes = codesOf[type];
    if (codes === undefined) return;
    const at = type === 2 ? body + 1 : type === 14 ? body : body + 2;
    const code = packet.length > at ? (packet[at] ?? 0) : 0;
    if (!codes.has(code)) this.#fail(`reason code 0x${code.toString(16)} in packet type ${type}`);
    if (type !== 2 && type !== 14) return;
    this.#fuzzer.countReason(code);
    this.#lastCode = code;
  }

  /** The case was survived: the next one, where it can use this connection. */
  #goOn(): void {
    const next = this.#isEnding ? undefined : this.#fuzzer.take(this.#kind);
    if (next === undefined) this.#end();
    else this.#send(next);
  }

  #judgeEnd(): void {
    const current = this.#case;
    const heard = this.#lastCode === null ? 'nothing' : `0x${this.#lastCode.toString(16)}`;
    if (current.codes !== null) {
      if (this.#lastCode === null || !current.codes.includes(this.#lastCode)) {
        const wanted = current.codes.map((code) => `0x${code.toString(16)}`).join(' or ');
        this.#fail(`answered with ${heard}, and not ${wanted}`);
      }
      return;
    }
    if (this.#isEnding || this.#kind !== 5 || !this.#isConnected || this.#pings === 0) return;
    // The server ended it, in the middle of a case: a client of version 5 is told why, unless it has said goodbye.
    const saysGoodbye = packetTypes(current.bytes).includes(14);
    if (!saysGoodbye && (this.#lastCode === null || this.#lastCode < 0x80)) this.#fail(`closed, and heard ${heard}`);
  }

  #fail(why: string): void {
    this.#fuzzer.failed(this.#case, why);
  }
}

/** A good client publishes, and gets its message. */
async function roundTrip(wire: Wire, version: Version): Promise<void> {
  const topic = `good/${wire.name}`;
  wire.send(subscribePacket(version, 1, [[topic, 0]]));
  await wire.expect(subackPacket(version, 1, 0));
  wire.send(publishPacket({ version, topic, payload: 'good', id: 2 }));
  await wire.expectInAnyOrder(publishPacket({ version, topic, payload: 'good' }), pubackPacket(2));
}
