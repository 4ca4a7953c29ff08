import type { Socket } from 'node:net';
import { isHeaderBlock, statusHeaders } from '../core/headers.ts';
import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import { hasWildcard, isSubject } from '../core/subject.ts';
import { beforeConnect, type ConnectOptions, info, readConnect, userInfo } from './client-connect.ts';
import type { ClientContext } from './client-context.ts';
import { ClientFault, fault } from './client-fault.ts';
import { ClientOutput } from './client-output.ts';
import { ClientParser } from './client-parser.ts';
import { ClientPublisher } from './client-publisher.ts';
import { ClientSubscriptions } from './client-subscriptions.ts';

/** A client that has been told why may read it for so long. */
const LINGER_MS = 1_000;
/** As long as a stock server waits for a client that takes nothing. */
const STALL_MS = 10_000;
/** Our PINGs without an answer, before the next one is due. */
const PINGS_UNANSWERED_MAX = 2;

const USER_INFO = '$SYS.REQ.USER.INFO';
/** Plumbing between servers. A publish to `_GR_.` is an answer to a request from another cluster, and may pass. */
const RESERVED_TO_PUBLISH = ['$LDS.', '$GR.'];
const RESERVED_REPLIES = ['$JS.ACK.', '_R_.', '_GR_.'];
const NO_RESPONDERS = statusHeaders(503);
const NOTHING = Buffer.alloc(0);
const BOX: Party = { kind: 'box', name: 'nats' };

/** Why a connection is not read. */
type Pause = 'receipts' | 'stop';

/**
 * One connection of a NATS client, used once: open until the first cause to end it, then closing while its last words go
 * out, then closed.
 */
export class ClientConnection {
  readonly context: ClientContext;
  readonly party: Party;
  readonly clientId: number;
  readonly remote: string;
  readonly openedAtMs: number;
  readonly #socket: Socket;
  readonly #output: ClientOutput;
  readonly #parser: ClientParser;
  readonly #publisher: ClientPublisher;
  readonly #address: string;
  readonly #subscriptions: ClientSubscriptions;
  readonly #paused = new Set<Pause>();
  #options: ConnectOptions = beforeConnect;
  #isConnected = false;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #ended: () => void = () => {};
  #whenSettled: (() => void) | null = null;
  #nowMs: number;
  // On the monotonic clock.
  #since = performance.now();
  #activeAt = this.#since;
  #pingsUnanswered = 0;
  messagesIn = 0;
  messagesOut = 0;

  constructor(context: ClientContext, socket: Socket, clientId: number) {
    this.context = context;
    this.#socket = socket;
    this.clientId = clientId;
    this.party = { kind: 'nats', name: `nats-${clientId}` };
    this.#address = socket.remoteAddress ?? 'unknown';
    this.remote = `${this.#address}:${socket.remotePort ?? 0}`;
    this.openedAtMs = Date.now();
    this.#nowMs = this.openedAtMs;
    this.#output = new ClientOutput(socket, context.pool, context.pending);
    this.#subscriptions = new ClientSubscriptions(this);
    this.#publisher = new ClientPublisher(this);
    this.#parser = new ClientParser(
      {
        connect: (json) => this.#connect(json),
        publish: (subject, reply, headers, payload) => this.#publish(subject, reply, headers, payload),
        subscribe: (subject, queue, sid) => this.#subscribe(subject, queue, sid),
        unsubscribe: (sid, max) => this.#unsubscribe(sid, max),
        ping: () => this.#output.text('PONG\r\n'),
        pong: () => {
          this.#pingsUnanswered = 0;
        },
      },
      context.options.payloadBytesMax,
    );
  }

  get options(): ConnectOptions {
    return this.#options;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get echo(): boolean {
    return this.#options.echo;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
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

  get lastSeenMs(): number {
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
    this.#output.text(this.#info(false));
  }

  /** Ends it for what the client did. */
  fail({ message, counter }: ClientFault): void {
    if (this.#state !== 'open') return;
    this.context.counters[counter]++;
    this.#note(message);
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
    this.#note(`slow consumer: ${this.#output.bytes} bytes wait for it`);
    this.#destroy();
  }

  /** Lame duck: the client is told, nothing more is read; resolves once every publish has its receipt. */
  settle(): Promise<void> {
    if (this.#state !== 'open') return Promise.resolve();
    if (this.#options.protocol >= 1) this.#output.text(this.#info(true));
    this.#pause('stop');
    if (this.#publisher.isSettled) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled = resolve;
    });
  }

  destroy(): void {
    this.#destroy();
  }

  /** Once in a while for every connection: a timer for each would cost more than all of this. */
  sweep(now: number): void {
    const { options } = this.context;
    if (this.#state === 'closing') {
      if (now - this.#since > LINGER_MS) this.#destroy();
    } else if (!this.#isConnected && now - this.#since >= options.connectTimeoutMs) {
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

  // What the subscriptions ask of the connection.

  deliver(message: Message, sid: string): boolean {
    if (this.#state !== 'open') return false;
    this.#output.message(message, sid, this.#options.headers);
    this.messagesOut++;
    const { counters, options, pending } = this.context;
    counters.messagesOut++;
    if (this.#output.bytes > options.pendingBytesMax) this.cutAsSlow();
    else if (pending.bytes > options.pendingBytesTotalMax) this.context.relieve();
    return true;
  }

  // What the publisher asks of the connection.

  noResponders(reply: string): void {
    if (!this.#options.noResponders) return;
    this.context.counters.noResponders++;
    this.#answer(reply, NO_RESPONDERS, NOTHING);
  }

  pause(): void {
    this.#pause('receipts');
  }

  resume(): void {
    if (!this.#paused.delete('receipts') || this.#paused.size > 0 || this.#state !== 'open') return;
    this.#activeAt = performance.now();
    this.#socket.resume();
  }

  settled(): void {
    this.#whenSettled?.();
  }

  notKept(reason: string): void {
    this.#note(`a message is not kept: ${reason}`);
  }

  #pause(why: Pause): void {
    this.#paused.add(why);
    if (this.#state === 'open') this.#socket.pause();
  }

  #read(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.#nowMs = Date.now();
    this.#activeAt = performance.now();
    this.#pingsUnanswered = 0;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof ClientFault)) throw error;
      this.fail(error);
    }
    // Answers count as well: a client that only asks and never reads is as slow as any.
    if (this.pendingBytes > this.context.options.pendingBytesMax) this.cutAsSlow();
  }

  #connect(json: string): void {
    this.#options = readConnect(json);
    this.#isConnected = true;
    this.#ok();
  }

  #publish(subject: string, reply: string, headers: Buffer, payload: Buffer): void {
    this.messagesIn++;
    this.context.counters.messagesIn++;
    const { verbose, pedantic } = this.#options;
    if (headers.length > 0) {
      if (!this.#options.headers) throw new ClientFault('message headers not supported');
      if (!isHeaderBlock(headers)) throw fault.unknownOperation();
    }
    if (verbose) this.#ok();
    if (!isSubject(subject)) {
      this.#complain('Invalid Publish Subject');
      return;
    }
    // A filter in the subject of a consumer's creation is meant literally.
    if (pedantic && hasWildcard(subject)) this.#complain('Invalid Publish Subject');
    if (startsWithAny(subject, RESERVED_TO_PUBLISH)) {
      this.#complain(`Permissions Violation for Publish to "${subject}"`);
    } else if (reply !== '' && startsWithAny(reply, RESERVED_REPLIES)) {
      this.#complain(`Permissions Violation for Publish with Reply of "${reply}"`);
    } else if (subject === USER_INFO && reply !== '') {
      const { id, name } = this.context.server;
      this.#answer(reply, NO_HEADERS, userInfo(id, name));
    } else {
      this.#publisher.publish({ subject, reply, headers, payload, receivedAtMs: this.#nowMs, origin: this.party });
    }
  }

  #subscribe(filter: string, queue: string, sid: string): void {
    const refusal = this.#subscriptions.add(filter, queue, sid);
    if (refusal === null) this.#ok();
    else this.#complain(refusal);
  }

  #unsubscribe(sid: string, max: number): void {
    this.#subscriptions.end(sid, max);
    this.#ok();
  }

  /** To the client's own subscription, as a server does what nobody else is to see. */
  #answer(reply: string, headers: Buffer, payload: Buffer): void {
    const message = { subject: reply, reply: '', headers, payload, receivedAtMs: this.#nowMs, origin: BOX };
    this.#subscriptions.find(reply)?.deliver(message);
  }

  #ok(): void {
    if (this.#options.verbose) this.#output.text('+OK\r\n');
  }

  /** The client is told and stays. */
  #complain(text: string): void {
    this.context.counters.operationsRefused++;
    this.#note(text);
    this.#output.text(`-ERR '${text}'\r\n`);
  }

  /** One line of the log for each fault of each client. */
  #note(reason: string): void {
    const { name } = this.#options;
    const client = name === '' ? this.#address : name;
    if (this.context.isNew(client, reason.replace(/["\d].*/s, ''))) {
      this.context.log.warn({ client: name, remote: this.remote, reason }, 'a NATS client has a fault');
    }
  }

  #info(isLameDuck: boolean): string {
    const { server, options } = this.context;
    return info({
      serverId: server.id,
      serverName: server.name,
      host: this.#socket.localAddress ?? options.host,
      port: this.#socket.localPort ?? options.port,
      payloadBytesMax: options.payloadBytesMax,
      jetstream: server.jetstream,
      clientId: this.clientId,
      clientIp: this.#address,
      isLameDuck,
    });
  }

  #destroy(): void {
    this.#leave('closed');
    this.#socket.destroy();
  }

  #leave(next: 'closing' | 'closed'): void {
    this.#state = next;
    this.#parser.stop();
    this.#output.close();
    this.#whenSettled?.();
    this.#subscriptions.clear();
  }
}

function startsWithAny(subject: string, prefixes: readonly string[]): boolean {
  for (const prefix of prefixes) if (subject.startsWith(prefix)) return true;
  return false;
}
