import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';

/** `up`: from the box to the hub; `down`: from the hub to the box. */
export type Direction = 'up' | 'down';

/** What is read from one side of a connection goes to the other. */
interface Half {
  readonly source: Socket;
  readonly sink: Socket;
  readonly direction: Direction;
  /** Bytes that wait for a delay or for their turn. */
  pending: number;
  /** Keeps delayed chunks in order. */
  line: Promise<void>;
}

/** More than this waiting in the proxy (slow reader, delay) pauses the sender, as a real link does. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;

/** One TCP link between a client and a server of the test, to be cut, slowed and silenced at will. */
export class TcpProxy {
  readonly #targetHost: string;
  readonly #targetPort: number;
  #server: Server | null = null;
  readonly #halves = new Set<Half>();
  readonly #silent = new Set<Direction>();
  readonly #swallowed = new Set<Direction>();
  #withheld: Buffer | null = null;
  #delayMs = 0;
  #bytesPerSecond = 0;
  port = 0;
  /** Connections taken so far; grows by one with every reconnect. */
  connections = 0;
  /** Bytes passed on so far. */
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  /** Bytes that `swallow()` threw away so far. */
  readonly lost: Record<Direction, number> = { up: 0, down: 0 };

  constructor(targetPort: number, targetHost: string) {
    this.#targetPort = targetPort;
    this.#targetHost = targetHost;
  }

  /** Live connections through the proxy. */
  get open(): number {
    return Math.ceil(this.#halves.size / 2);
  }

  async start(): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const server = createServer((near) => this.#join(near));
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }

  async stop(): Promise<void> {
    await this.refuse();
  }

  /** Destroys every connection; new ones are welcome. */
  cut(): void {
    for (const { source, sink } of this.#halves) {
      source.destroy();
      sink.destroy();
    }
    this.#halves.clear();
  }

  /** Cuts, and refuses new connections until `restore()`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.cut();
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  /**
   * A half-open link (no direction given: both): sockets stay open, new ones are accepted, and bytes wait unread, so
   * that the sender sees its window fill as on a dead radio link. Neither end hears of the other's close.
   */
  blackhole(...directions: Direction[]): void {
    for (const direction of directions.length === 0 ? (['up', 'down'] as const) : directions)
      this.#silent.add(direction);
    for (const { source, direction } of this.#halves) if (this.#silent.has(direction)) source.pause();
  }

  /** Reads and throws away what comes this way: `swallow('down')` then `cut()` loses the PubAcks under way. */
  swallow(...directions: Direction[]): void {
    for (const direction of directions) this.#swallowed.add(direction);
  }

  /** Takes these bytes out of what comes down, once, where one chunk has them all. */
  withhold(text: string): void {
    this.#withheld = Buffer.from(text);
  }

  /** Whether what was to be withheld has been. */
  get hasWithheld(): boolean {
    return this.#withheld === null;
  }

  /** One-way delay of each chunk; order is kept. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Bytes per second and direction for each connection; 0: no limit. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Takes back everything but `cut()`. */
  async restore(): Promise<void> {
    this.#silent.clear();
    this.#swallowed.clear();
    this.#delayMs = 0;
    this.#bytesPerSecond = 0;
    for (const { source, sink } of this.#halves) {
      if (sink.destroyed) source.destroy();
      else source.resume();
    }
    if (this.#server === null) await this.start();
  }

  #join(near: Socket): void {
    this.connections++;
    const far = connect(this.#targetPort, this.#targetHost);
    this.#pump({ source: near, sink: far, direction: 'up', pending: 0, line: Promise.resolve() });
    this.#pump({ source: far, sink: near, direction: 'down', pending: 0, line: Promise.resolve() });
  }

  #without(chunk: Buffer): Buffer {
    const withheld = this.#withheld;
    const at = withheld === null ? -1 : chunk.indexOf(withheld);
    if (withheld === null || at === -1) return chunk;
    this.#withheld = null;
    return Buffer.concat([chunk.subarray(0, at), chunk.subarray(at + withheld.length)]);
  }

  #pump(half: Half): void {
    const { source, sink, direction } = half;
    this.#halves.add(half);
    source.setNoDelay(true);
    source.on('data', (read: Buffer) => {
      const chunk = direction === 'down' ? this.#without(read) : read;
      if (this.#swallowed.has(direction)) {
        this.lost[direction] += chunk.length;
        return;
      }
      half.pending += chunk.length;
      if (half.pending === chunk.length && this.#delayMs === 0 && this.#bytesPerSecond === 0) {
        this.#pass(half, chunk);
        return;
      }
      if (half.pending >= PENDING_BYTES_MAX) source.pause();
      const dueAtMs = performance.now() + this.#delayMs;
      half.line = half.line.then(() => this.#passLater(half, chunk, dueAtMs));
    });
    sink.on('drain', () => {
      if (!this.#silent.has(direction)) source.resume();
    });
    if (this.#silent.has(direction)) source.pause();
    // The other side hears of a close or an error at once; the cause does not matter to a link.
    source.on('error', () => {});
    source.on('close', () => {
      this.#halves.delete(half);
      void half.line.then(() => this.#silent.has(direction) || sink.end());
    });
  }

  async #passLater(half: Half, chunk: Buffer, dueAtMs: number): Promise<void> {
    const waitMs = dueAtMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    if (this.#bytesPerSecond > 0) await sleep((chunk.length / this.#bytesPerSecond) * 1000);
    this.#pass(half, chunk);
  }

  #pass(half: Half, chunk: Buffer): void {
    const { source, sink, direction } = half;
    half.pending -= chunk.length;
    if (sink.destroyed) return;
    this.bytes[direction] += chunk.length;
    if (!sink.write(chunk)) source.pause();
    else if (source.isPaused() && !this.#silent.has(direction)) source.resume();
  }
}

/** A proxy on a port of its own that is gone when the scope ends. */
export async function startTcpProxy(scope: Scope, targetPort: number, targetHost = '127.0.0.1'): Promise<TcpProxy> {
  const proxy = new TcpProxy(targetPort, targetHost);
  atEnd(scope, () => proxy.stop());
  await proxy.start();
  return proxy;
}
