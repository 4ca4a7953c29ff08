import type { Peer, Transport } from '../core/listen.ts';
import type { User } from '../core/users.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { countCause } from './counters.ts';
import { dispatch } from './dispatch.ts';
import { handleConnect } from './handle-connect.ts';
import { lastWords } from './last-words.ts';
import { type Flushable, Outbox } from './outbox.ts';
import type { ProtocolVersion } from './packet-decoder.ts';
import { PacketError } from './packet-error.ts';
import { PacketFramer } from './packet-framer.ts';
import { reason } from './reason-codes.ts';

/** A CONNECT has a will and a password (a token of some 2 KiB) at most; nobody has shown yet who they are. */
const CONNECT_BYTES_MAX = 16 * 1024;
/** A client may not answer, once its connection is ended: so long it may still read why. */
const LINGER_MS = 1_000;
/** How long a client of 3.1.1 is not read after a refusal: it paces those that send again at once. */
const STALL_MS = 5_000;
/** Answers (PUBACK, PINGRESP) above the bound for deliveries; beyond it a client that reads nothing is not read. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** And if it then takes nothing for so long, it is gone. */
const BLOCKED_MS = 60_000;

const NOTHING = Buffer.alloc(0);

/** Why a connection is not read; one bit each. */
const pause = { receipts: 1, output: 2, stall: 4, stop: 8, login: 16 } as const;

/**
 * One connection, used once: open until the first cause to end it, then closing while its last packet goes out, then
 * closed. Packets are handled one after the other, in full; nothing here waits, but for the check of a password.
 */
export class Connection implements Flushable {
  readonly context: Context;
  readonly remote: string;
  readonly peer: Peer;
  /** 0 until the CONNECT has said it: to such a peer nothing can be answered. */
  version: ProtocolVersion | 0 = 0;
  /** What the CONNECT says that the client takes; nothing larger is sent, not even a refusal [MQTT-3.1.2-24]. */
  packetBytesMax = Number.POSITIVE_INFINITY;
  /** Wall clock; `nowMs` is that of the chunk at hand. */
  readonly openedAtMs: number;
  nowMs: number;
  readonly #socket: Transport;
  /** Without the port. */
  readonly address: string;
  readonly #framer: PacketFramer;
  readonly #outbox = new Outbox();
  #client: Client | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #pauses = 0;
  #isFlushDue = false;
  #whenSettled: (() => void) | null = null;
  // On the monotonic clock: a step of the wall clock must not cut anybody.
  #activeAt: number;
  /** When it was opened, stalled or began to close: what the state waits for is counted from here. */
  #since: number;
  #blockedAt = 0;

  constructor(context: Context, peer: Peer) {
    const socket = peer.transport;
    this.context = context;
    this.peer = peer;
    this.#socket = socket;
    this.address = socket.remoteAddress ?? 'unknown';
    this.remote = `${this.address}:${socket.remotePort ?? 0}`;
    this.openedAtMs = context.clock();
    this.nowMs = this.openedAtMs;
    this.#since = performance.now();
    this.#activeAt = this.#since;
    this.#framer = new PacketFramer(Math.min(CONNECT_BYTES_MAX, context.options.packetBytesMax));
  }

  /** Null until the CONNECT, and again once it has left. */
  get client(): Client | null {
    return this.#client;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  /** What the client has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength + this.#outbox.bytes;
  }

  /** `ended` is called once, when the socket is gone. */
  start(ended: () => void): void {
    const socket = this.#socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('drain', () => this.#resume(pause.output));
    socket.on('end', () => this.destroy());
    // A peer that vanishes is no news; that its client is gone shows on the status page.
    socket.on('error', (error) =>
      this.context.log.debug({ remote: this.remote, reason: error.message }, 'socket error'),
    );
    socket.on('close', () => {
      this.#leave('closed');
      ended();
    });
  }

  /** Not read until it is known who the CONNECT comes from; `admit` may throw a PacketError, as a handler may. */
  waitForLogin(login: Promise<User | null>, admit: (user: User | null) => void): void {
    // The time until the CONNECT is over; now the login has as long.
    this.#since = performance.now();
    this.#pause(pause.login);
    void login.then((user) => {
      if (this.#state !== 'open') return;
      try {
        admit(user);
      } catch (error) {
        if (!(error instanceof PacketError)) throw error;
        this.fail(error);
      }
      this.#resume(pause.login);
    });
  }

  /** The CONNECT was accepted. */
  accept(client: Client): void {
    this.#client = client;
    this.#framer.bytesMax = this.context.options.packetBytesMax;
    this.#framer.isMinimal = client.version === 5;
    this.context.clients.set(client.party.name, this);
    this.context.lost.forget(client.party.name);
  }

  send(packet: Buffer): void {
    this.#outbox.add(packet);
    this.flushSoon();
  }

  /** An answer to a client, after the PUBACKs that are due; one larger than the client takes is not sent [MQTT-3.1.2-24]. */
  answer(packet: Buffer): void {
    this.#addPubacks();
    if (packet.length <= this.packetBytesMax) this.send(packet);
  }

  /** Calls back once the system has taken all that was sent up to now, or will take no more. */
  whenTaken(done: () => void): void {
    this.flush();
    // Behind everything that waits: its end is theirs.
    this.#socket.write(NOTHING, () => done());
  }

  flushSoon(): void {
    if (this.#isFlushDue || this.#state !== 'open') return;
    this.#isFlushDue = true;
    this.context.round.add(this);
  }

  flush(): void {
    this.#isFlushDue = false;
    if (this.#state !== 'open') return;
    this.#addPubacks();
    this.#outbox.flush(this.#socket);
    if (this.#socket.writableLength > this.context.options.outboundBytesMax + ANSWER_BYTES_MAX) {
      this.#blockedAt = performance.now();
      this.#pause(pause.output);
    }
    const inbound = this.#client?.inbound;
    if ((this.#pauses & pause.receipts) !== 0 && !inbound?.isFull) this.#resume(pause.receipts);
    if (this.#whenSettled !== null && inbound?.isSettled) this.#whenSettled();
  }

  #addPubacks(): void {
    const pubacks = this.#client?.inbound.takePubacks() ?? null;
    if (pubacks !== null) this.#outbox.add(pubacks);
  }

  /** Not read until there is room for more messages without a receipt. */
  pauseForReceipts(): void {
    this.#pause(pause.receipts);
  }

  /** Not read any more, and closed after a while. */
  stall(): void {
    if ((this.#pauses & pause.stall) !== 0) return;
    this.#since = performance.now();
    this.#pause(pause.stall);
  }

  /** Not read any more; resolves once every message has its receipt. */
  settle(): Promise<void> {
    if (this.#state !== 'open' || this.#client === null) return Promise.resolve();
    this.#pause(pause.stop);
    return new Promise((resolve) => {
      this.#whenSettled = resolve;
      this.flushSoon();
    });
  }

  /** Ends the connection for what the client did, in the words of its protocol. */
  fail(error: PacketError): void {
    if (this.#state !== 'open') return;
    const { context, version } = this;
    countCause(context.counters, error.reasonCode);
    const name = this.#client?.party.name ?? '';
    if (context.notices.isNew(name === '' ? this.address : name, error.message)) {
      const reasonCode = `0x${error.reasonCode.toString(16)}`;
      context.log.warn({ client: name, remote: this.remote, reasonCode, hint: error.hint }, error.message);
    }
    this.end(lastWords(error, version, this.#client !== null, this.packetBytesMax));
  }

  /** Ends the connection after a last packet. The client leaves at once; the socket lingers until it has read that. */
  end(last: Buffer | null): void {
    if (this.#state !== 'open') return;
    this.#addPubacks();
    if (last !== null && last.length <= this.packetBytesMax) this.#outbox.add(last);
    this.#outbox.flush(this.#socket);
    this.#leave('closing');
    this.#since = performance.now();
    // Read on, into nothing: unread bytes would turn the close into a reset, which can overtake the last packet.
    this.#socket.resume();
    this.#socket.end();
  }

  /** Ends the socket now. */
  destroy(): void {
    this.#leave('closed');
    this.#socket.destroy();
  }

  #leave(next: 'closing' | 'closed'): void {
    const client = this.#client;
    this.#state = next;
    this.#client = null;
    this.#outbox.clear();
    this.#whenSettled?.();
    client?.leave();
  }

  /** Once in a while for every connection: a timer for each would cost more than all of this. */
  sweep(now: number): void {
    const { options, counters } = this.context;
    if (this.#state === 'closing') {
      if (now - this.#since > LINGER_MS) this.destroy();
    } else if (this.#client === null) {
      if (now - this.#since < options.connectTimeoutMs) return;
      counters.connectTimeouts++;
      this.destroy();
    } else if ((this.#pauses & pause.stall) !== 0) {
      if (now - this.#since > STALL_MS) this.end(null);
    } else if ((this.#pauses & pause.output) !== 0) {
      if (now - this.#blockedAt < BLOCKED_MS) return;
      counters.stalledClients++;
      this.destroy();
    } else if (this.#pauses === 0) this.#checkKeepAlive(now, this.#client.keepAliveMs);
  }

  /** [MQTT-3.1.2-22]; whom we do not read cannot show that it lives. */
  #checkKeepAlive(now: number, keepAliveMs: number): void {
    if (keepAliveMs === 0 || now - this.#activeAt <= 1.5 * keepAliveMs) return;
    const message = `nothing was heard for one and a half times the keep alive of ${keepAliveMs / 1000} s`;
    this.fail(new PacketError(reason.keepAliveTimeout, message));
  }

  #pause(why: number): void {
    this.#pauses |= why;
    this.#socket.pause();
  }

  #resume(why: number): void {
    if ((this.#pauses & why) === 0) return;
    this.#pauses &= ~why;
    if (this.#pauses !== 0 || this.#state !== 'open') return;
    this.#activeAt = performance.now();
    this.#work();
    if (this.#pauses === 0) this.#socket.resume();
  }

  #read(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.nowMs = this.context.clock();
    this.#activeAt = performance.now();
    this.#framer.push(chunk);
    this.#work();
  }

  /** Handles what is complete, until something asks for a pause. */
  #work(): void {
    try {
      while (this.#pauses === 0 && this.#state === 'open' && this.#framer.next()) this.#handle();
    } catch (error) {
      if (!(error instanceof PacketError)) throw error;
      this.fail(error);
    }
  }

  #handle(): void {
    const client = this.#client;
    if (client === null) handleConnect(this, this.#framer);
    else dispatch(client, this.#framer);
  }
}
