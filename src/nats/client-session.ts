import { isHeaderBlock, statusHeaders } from '../core/headers.ts';
import type { Peer } from '../core/listen.ts';
import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import { hasWildcard, isSubject } from '../core/subject.ts';
import type { User } from '../core/users.ts';
import { beforeConnect, type ConnectOptions, readConnect } from './client-connect.ts';
import type { ClientContext } from './client-context.ts';
import { ClientFault, fault } from './client-fault.ts';
import { userInfo } from './client-info.ts';
import { login } from './client-login.ts';
import { type ClientOperations, ClientParser } from './client-parser.ts';
import { ClientPermits } from './client-permits.ts';
import { ClientPublisher } from './client-publisher.ts';
import { ClientSubscriptions } from './client-subscriptions.ts';

const DOLLAR = 0x24;
const USER_INFO = '$SYS.REQ.USER.INFO';
/** Plumbing between servers. A publish to `_GR_.` is an answer to a request from another cluster, and may pass. */
const RESERVED_TO_PUBLISH = ['$LDS.', '$GR.'];
const RESERVED_REPLIES = ['$JS.ACK.', '_R_.', '_GR_.'];
const NO_RESPONDERS = statusHeaders(503);
const NOTHING = Buffer.alloc(0);
const BOX: Party = { kind: 'box', name: 'nats' };

/** The connection, as what its client says sees it. */
export interface SessionPeer {
  readonly context: ClientContext;
  readonly party: Party;
  readonly peer: Peer;
  readonly address: string;
  /** What INFO asked to be signed; '' where it did not. */
  readonly nonce: string;
  /** Wall clock of what is being read, milliseconds since 1970. */
  readonly nowMs: number;
  /** A whole operation to the client: +OK, -ERR, PONG. */
  say(text: string): void;
  /** False where the connection has ended. */
  deliver(message: Message, sid: string): boolean;
  /** Not to be read until `resume`. */
  pause(why: 'receipts' | 'login'): void;
  resume(why: 'receipts' | 'login'): void;
  ponged(): void;
  /** Every receipt that will come has come. */
  settled(): void;
  /** Ends it. */
  fail(cause: ClientFault): void;
  /** One line of the log for each fault of each client. */
  note(reason: string): void;
}

/** What one client says, and what comes of it: its login, its rights, its subscriptions and its publishes. */
export class ClientSession implements ClientOperations {
  readonly #connection: SessionPeer;
  readonly #parser: ClientParser;
  readonly #publisher: ClientPublisher;
  readonly #subscriptions: ClientSubscriptions;
  #options: ConnectOptions = beforeConnect;
  #permits: ClientPermits | null = null;
  #isConnected = false;
  messagesIn = 0;

  constructor(connection: SessionPeer) {
    this.#connection = connection;
    const { payloadBytesMax, controlLineBytesMax } = connection.context.options;
    this.#parser = new ClientParser(this, payloadBytesMax, controlLineBytesMax);
    if (!connection.peer.isAnonymousAllowed) this.#parser.lock();
    this.#subscriptions = new ClientSubscriptions(this);
    this.#publisher = new ClientPublisher(this);
  }

  get context(): ClientContext {
    return this.#connection.context;
  }

  get party(): Party {
    return this.#connection.party;
  }

  get options(): ConnectOptions {
    return this.#options;
  }

  get user(): User | null {
    return this.#permits?.user ?? null;
  }

  /** CONNECT has been taken. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  get echo(): boolean {
    return this.#options.echo;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /** Every receipt that will come has come. */
  get isSettled(): boolean {
    return this.#publisher.isSettled;
  }

  /** What the client has sent. Ends the connection for what it may not send. */
  read(chunk: Buffer): void {
    this.#guard(() => this.#parser.push(chunk));
  }

  /** The connection is over. */
  end(): void {
    this.#parser.stop();
    this.#subscriptions.clear();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ClientFault)) throw error;
      this.#connection.fail(error);
    }
  }

  // What the client may say.

  connect(json: string): void {
    const { options, credentials } = readConnect(json);
    this.#options = options;
    // Who it is stays as it was settled; only its options may change.
    if (this.#isConnected) {
      this.#ok();
      return;
    }
    const { context, peer, address, nonce } = this.#connection;
    const found = login(context.authenticator, { peer, address, nonce, name: options.name }, credentials);
    if (found instanceof Promise) void this.#await(found);
    else this.#welcome(found);
  }

  ping(): void {
    this.#connection.say('PONG\r\n');
  }

  pong(): void {
    this.#connection.ponged();
  }

  publish(subject: string, reply: string, headers: Buffer, payload: Buffer): void {
    const { context } = this.#connection;
    this.messagesIn++;
    context.counters.messagesIn++;
    if (headers.length > 0) {
      if (!this.#options.headers) throw new ClientFault('message headers not supported');
      if (!isHeaderBlock(headers)) throw fault.unknownOperation();
    }
    // A filter in the subject of a consumer's creation is meant literally.
    const isLegal = isSubject(subject);
    if (!isLegal || (this.#options.pedantic && hasWildcard(subject))) this.#complain('Invalid Publish Subject');
    const violation = this.#violationOf(subject, reply);
    if (violation !== null) {
      this.#violate(violation);
      return;
    }
    this.#ok();
    if (!isLegal) return;
    const receivedAtMs = this.#connection.nowMs;
    if (subject === USER_INFO && reply !== '') {
      const { id, name } = context.server;
      this.#answer(reply, NO_HEADERS, userInfo(id, name, this.user));
    } else {
      this.#publisher.publish({ subject, reply, headers, payload, receivedAtMs, origin: this.party });
    }
  }

  #violationOf(subject: string, reply: string): string | null {
    const first = subject.charCodeAt(0);
    if (reply !== '' && startsWithAny(reply, RESERVED_REPLIES)) {
      return `Permissions Violation for Publish with Reply of "${reply}"`;
    }
    if (first === DOLLAR && startsWithAny(subject, RESERVED_TO_PUBLISH)) {
      return `Permissions Violation for Publish to "${subject}"`;
    }
    // To be told of oneself is everybody's right.
    if (this.#permits === null || subject === USER_INFO || this.#permits.mayPublish(subject)) return null;
    return `Permissions Violation for Publish to "${subject}"`;
  }

  subscribe(filter: string, queue: string, sid: string): void {
    const refusal = this.#subscriptions.add(filter, queue, sid);
    if (refusal === null) this.#ok();
    else if (refusal.startsWith('Permissions')) this.#violate(refusal);
    else this.#complain(refusal);
  }

  unsubscribe(sid: string, max: number): void {
    this.#subscriptions.end(sid, max);
    this.#ok();
  }

  // What the subscriptions ask.

  deliver(message: Message, sid: string): boolean {
    if (this.#permits !== null && message.reply !== '') this.#permits.delivered(message.reply, performance.now());
    return this.#connection.deliver(message, sid);
  }

  // What the publisher asks.

  noResponders(reply: string): void {
    if (!this.#options.noResponders) return;
    this.context.counters.noResponders++;
    this.#answer(reply, NO_RESPONDERS, NOTHING);
  }

  pause(): void {
    this.#connection.pause('receipts');
  }

  resume(): void {
    this.#connection.resume('receipts');
  }

  settled(): void {
    this.#connection.settled();
  }

  notKept(reason: string): void {
    this.#connection.note(`a message is not kept: ${reason}`);
  }

  /** What the client sends meanwhile waits, unread. */
  async #await(found: Promise<User | null>): Promise<void> {
    this.#parser.hold();
    this.#connection.pause('login');
    try {
      this.#welcome(await found);
    } catch (error) {
      if (!(error instanceof ClientFault)) throw error;
      this.#connection.fail(error);
      return;
    }
    this.#guard(() => this.#parser.release());
    this.#connection.resume('login');
  }

  #welcome(user: User | null): void {
    this.#isConnected = true;
    this.#permits = user === null ? null : new ClientPermits(user);
    this.#parser.unlock();
    this.#ok();
  }

  /** To the client's own subscription, as a server does what nobody else is to see. */
  #answer(reply: string, headers: Buffer, payload: Buffer): void {
    const receivedAtMs = this.#connection.nowMs;
    this.#subscriptions
      .find(reply)
      ?.deliver({ subject: reply, reply: '', headers, payload, receivedAtMs, origin: BOX });
  }

  #ok(): void {
    if (this.#options.verbose) this.#connection.say('+OK\r\n');
  }

  /** The client is told and stays. */
  #complain(text: string): void {
    this.context.counters.operationsRefused++;
    this.#tell(text);
  }

  #violate(text: string): void {
    this.context.counters.permissionViolations++;
    this.#tell(text);
  }

  #tell(text: string): void {
    this.#connection.note(text);
    this.#connection.say(`-ERR '${text}'\r\n`);
  }
}

function startsWithAny(subject: string, prefixes: readonly string[]): boolean {
  for (const prefix of prefixes) if (subject.startsWith(prefix)) return true;
  return false;
}
