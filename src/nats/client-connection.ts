import type { Peer, Transport } from '../core/listen.ts';
import type { Message, Party } from '../core/message.ts';
import type { ConnectOptions } from './client-connect.ts';
import type { ClientContext, Greeting } from './client-context.ts';
import { ClientFault } from './client-fault.ts';
import { ClientOutput } from './client-output.ts';
import { ClientSession, type SessionPeer } from './client-session.ts';

/** A client that has been told why may read it for so long. */
const LINGER_MS = 1_000;
/** As long as a stock server waits for a client that takes nothing. */
const STALL_MS = 10_000;
/** Our PINGs without an answer, before the next one is due. */
const PINGS_UNANSWERED_MAX = 2;

/** As long as a stock server, at most, makes a publisher wait for a receiver; then the receiver is on its own. */
const BEHIND_MS_MAX = 1_000;

/** Why a connection is not read. */
type Pause = 'receipts' | 'login' | 'behind' | 'stop';

/**
 * One connection of a NATS client, used once: open until the first cause to end it, then closing while its last words go
 * out, then closed.
 */
export class ClientConnection implements SessionPeer {
  readonly context: ClientContext;
  readonly peer: Peer;
  readonly party: Party;
  readonly address: string;
  readonly remote: string;
  readonly openedAtMs: number;
  readonly #greeting: Greeting;
  readonly #socket: Transport;
  readonly #output: ClientOutput;
  readonly #session: ClientSession;
  readonly #paused = new Set<Pause>();
  /** Receivers that are behind, which this publisher lets catch up. */
  readonly #awaited = new Set<ClientConnection>();
  /** Publishers that let this receiver catch up. */
  readonly #waiting = new Set<ClientConnection>();
  /** It was let catch up, and did not. */
  #isLeftBehind = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #ended: () => void = () => {};
  #whenSettled: (() => void) | null = null;
  #nowMs: number;
  // On the monotonic clock.
  #since = performance.now();
  #activeAt = this.#since;
  #pingsUnanswered = 0;
  messagesOut = 0;

  constructor(context: ClientContext, peer: Peer, greeting: Greeting) {
    const { transport } = peer;
    this.context = context;
    this.peer = peer;
    this.#greeting = greeting;
    this.#socket = transport;
    this.party = { kind: 'nats', name: `nats-${greeting.clientId}` };
    this.address = transport.remoteAddress ?? 'unknown';
    this.remote = `${this.address}:${transport.remotePort ?? 0}`;
    this.openedAtMs = Date.now();
    this.#nowMs = this.openedAtMs;
    this.#output = new ClientOutput(transport, context.pool, context.pending, context.options.pendingBytesMax / 2, () =>
      this.#caughtUp(),
    );
    this.#session = new ClientSession(this);
  }

  get clientId(): number {
    return this.#greeting.clientId;
  }

  get nonce(): string {
    return this.#greeting.nonce;
  }

  get options(): ConnectOptions {
    return this.#session.options;
  }

  /** Its user's name; '' for an anonymous client. */
  get user(): string {
    return this.#session.user?.name ?? '';
  }

  get isConnected(): boolean {
    return this.#session.isConnected;
  }

  get subscriptions(): number {
    return this.#session.subscriptions;
  }

  get messagesIn(): number {
    return this.#session.messagesIn;
  }

  /** Bytes that the client has not taken yet. */
  get pendingBytes(): number {
    return this.#state === 'open' ? this.#output.bytes : 0;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** `ended` is called once, when the socket is gone. */
  start(ended: () => void): void {
    this.#ended = ended;
    const socket = this.#socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('end', () => this.end());
    // A client that vanishes is no news; that it is gone shows on the status page.
    socket.on('error', (error) => this.context.log.debug({ remote: this.remote, reason: error.message }, 'socket'));
    socket.on('close', () => {
      this.#leave('closed');
      this.#ended();
    });
    if (!this.#greeting.isSaid) this.#output.text(this.#greeting.info(false));
  }

  fail({ message, counter }: ClientFault): void {
    if (this.#state !== 'open') return;
    this.context.counters[counter]++;
    this.note(message);
    this.#output.text(`-ERR '${message}'\r\n`);
    this.end();
  }

  /** Says what is queued and ends it; the socket lingers until the client has read that. */
  end(): void {
    if (this.#state !== 'open') return;
    this.#output.flush();
    this.#leave('closing');
    this.#since = performance.now();
    // Read on, into nothing: unread bytes would turn the close into a reset, which can overtake the last words.
    this.#socket.resume();
    this.#socket.end();
  }

  /** A client that does not read what it asked for. It gets no word: there is no room for one. */
  cutAsSlow(): void {
    if (this.#state !== 'open') return;
    this.context.counters.slowConsumers++;
    this.note(`slow consumer: ${this.#output.bytes} bytes wait for it`);
    this.destroy();
  }

  /** Lame duck: the client is told, nothing more is read; resolves once every publish has its receipt. */
  settle(): Promise<void> {
    if (this.#state !== 'open') return Promise.resolve();
    if (this.options.protocol >= 1) this.#output.text(this.#greeting.info(true));
    this.pause('stop');
    if (this.#session.isSettled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled = resolve;
    });
  }

  destroy(): void {
    this.#leave('closed');
    this.#socket.destroy();
  }

  /** Once in a while for every connection: a timer for each would cost more than all of this. */
  sweep(now: number): void {
    const { options } = this.context;
    if (this.#awaited.size > 0 && now - this.#activeAt > BEHIND_MS_MAX) this.#leaveBehind();
    if (this.#state === 'closing') {
      if (now - this.#since > LINGER_MS) this.destroy();
    } else if (!this.isConnected && now - this.#since >= options.connectTimeoutMs) {
      this.fail(new ClientFault('Authentication Timeout', 'connectTimeouts'));
    } else if (this.#output.stalledMs(now) > STALL_MS) {
      this.cutAsSlow();
    } else if (this.#paused.size === 0 && now - this.#activeAt >= options.pingIntervalMs) {
      this.#activeAt = now;
      if (++this.#pingsUnanswered > PINGS_UNANSWERED_MAX)
        this.fail(new ClientFault('Stale Connection', 'staleConnections'));
      else this.#output.text('PING\r\n');
    }
  }

  // What the session asks of the connection.

  say(text: string): void {
    this.#output.text(text);
  }

  deliver(message: Message, sid: string): boolean {
    if (this.#state !== 'open') return false;
    this.#output.message(message, sid, this.options.headers);
    this.messagesOut++;
    const { counters, options, pending } = this.context;
    counters.messagesOut++;
    if (this.#output.bytes > options.pendingBytesMax) this.cutAsSlow();
    else if (pending.bytes > options.pendingBytesTotalMax) this.context.relieve();
    else if (this.#output.isBehind && !this.#isLeftBehind) this.context.behind.add(this);
    return true;
  }

  pause(why: Pause): void {
    this.#paused.add(why);
    if (this.#state === 'open') this.#socket.pause();
  }

  resume(why: Pause): void {
    if (!this.#paused.delete(why) || this.#paused.size > 0 || this.#state !== 'open') return;
    this.#activeAt = performance.now();
    this.#socket.resume();
  }

  ponged(): void {
    this.#pingsUnanswered = 0;
  }

  settled(): void {
    this.#whenSettled?.();
  }

  note(reason: string): void {
    const { name } = this.options;
    const client = name === '' ? this.address : name;
    if (this.context.isNew(client, reason.replace(/["\d].*/s, ''))) {
      const user = this.user === '' ? {} : { user: this.user };
      this.context.log.warn({ client: name, ...user, remote: this.remote, reason }, 'a NATS client has a fault');
    }
  }

  #read(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.#nowMs = Date.now();
    this.#activeAt = performance.now();
    this.#pingsUnanswered = 0;
    const { behind } = this.context;
    behind.clear();
    this.#session.read(chunk);
    if (behind.size > 0) this.#letCatchUp(behind);
    // Answers count as well: a client that only asks and never reads is as slow as any.
    if (this.pendingBytes > this.context.options.pendingBytesMax) this.cutAsSlow();
  }

  // A publisher that is faster than who listens to it is read no further for a while, as a stock server does.

  #letCatchUp(behind: ReadonlySet<ClientConnection>): void {
    if (this.#state !== 'open') return;
    this.context.counters.publishersSlowed++;
    for (const receiver of behind) {
      if (receiver.#state !== 'open') continue;
      this.#awaited.add(receiver);
      receiver.#waiting.add(this);
    }
    if (this.#awaited.size > 0) this.pause('behind');
  }

  #caughtUp(): void {
    this.#isLeftBehind = false;
    for (const publisher of this.#waiting) {
      publisher.#awaited.delete(this);
      if (publisher.#awaited.size === 0) publisher.resume('behind');
    }
    this.#waiting.clear();
  }

  #leaveBehind(): void {
    for (const receiver of this.#awaited) {
      receiver.#isLeftBehind = true;
      receiver.#waiting.delete(this);
    }
    this.#awaited.clear();
    this.resume('behind');
  }

  #leave(next: 'closing' | 'closed'): void {
    this.#state = next;
    for (const receiver of this.#awaited) receiver.#waiting.delete(this);
    this.#awaited.clear();
    this.#caughtUp();
    this.#output.close();
    this.#whenSettled?.();
    this.#session.end();
  }
}
