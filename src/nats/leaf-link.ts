import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { hubBackoff } from '../core/backoff.ts';
import { describeError, GatewayError } from '../core/errors.ts';
import { KeepConnected } from '../core/keep-connected.ts';
import type { Log } from '../core/log.ts';
import { NO_HEADERS } from '../core/message.ts';
import { once, type Service } from '../core/service.ts';
import { isFilter } from '../core/subject.ts';
import { splitAckReply } from './ack-reply.ts';
import { FailureLog } from './failure-log.ts';
import { HubAddresses, hubsOf } from './hub-addresses.ts';
import { leavingError, limitOf, notSentError } from './hub-error.ts';
import { HubOutlet } from './hub-outlet.ts';
import { LameDuckWatch } from './lame-duck-watch.ts';
import { LeafConnection } from './leaf-connection.ts';
import type { LeafConnectionEvents } from './leaf-connection-types.ts';
import type { LeafListener, LeafOptions, LeafStatus, PublishResult } from './leaf-types.ts';
import { LocalInterest } from './local-interest.ts';
import { Mount } from './mount.ts';
import { OncePerTick } from './once-per-tick.ts';
import { isAlwaysWanted, mayAnnounce, prohibitions, type SubjectRules } from './permissions.ts';
import { ReconnectPolicy } from './reconnect-policy.ts';
import { type Answer, RequestTable } from './request-table.ts';

const NO_NAMES: readonly string[] = [];

/** The box's place in the hub's cluster: an ordinary leaf node. Owns the one loop that makes new connections. */
export class LeafLink implements Service {
  readonly #options: LeafOptions;
  readonly #listener: LeafListener;
  readonly #log: Log;
  readonly #failures: FailureLog;
  readonly #addresses: HubAddresses;
  readonly #signIn: { readonly user: string | null; readonly password: string | null };
  readonly #mount: Mount;
  /** Subjects as the box has them, on top of the hub's own permissions. */
  readonly #mayImport: SubjectRules;
  readonly #local = new LocalInterest();
  readonly #requests = new RequestTable();
  readonly #keeper: KeepConnected<LeafConnection>;
  readonly #policy: ReconnectPolicy;
  readonly #lameDuck = new LameDuckWatch();
  readonly #inbox: string;
  readonly #loopSubject = `$LDS.${randomBytes(16).toString('base64url')}`;
  #connection: LeafConnection | null = null;
  #epoch = 0;
  #url: string | null = null;
  #sinceMs = Date.now();
  #lastError: GatewayError | null = null;
  readonly #announceSoon = new OncePerTick(() => this.#announce());
  readonly #tellSoon = new OncePerTick(() => this.up && this.#listener.interestChanged());
  readonly #in = { messages: 0, bytes: 0 };
  readonly #outlet: HubOutlet;
  readonly #refused = { oversize: 0, denied: 0 };

  /** Throws a GatewayError `config_invalid` for a URL it can't use. */
  constructor(options: LeafOptions, listener: LeafListener, log: Log) {
    assert(options.urls.length > 0, 'at least one URL');
    const { addresses, user, password } = hubsOf(options);
    this.#options = options;
    this.#mount = new Mount(options.prefix);
    this.#outlet = new HubOutlet(this.#mount, prohibitions(options.denyExports), () => {
      // A party that subscribes and then asks must have its inbox announced ahead of the question.
      if (this.#local.hasChanges) this.#announce();
    });
    this.#mayImport = prohibitions(options.denyImports);
    this.#listener = listener;
    this.#log = log;
    this.#failures = new FailureLog(log);
    this.#addresses = new HubAddresses(addresses);
    this.#signIn = { user, password };
    const backoff = options.backoff ?? hubBackoff;
    this.#policy = new ReconnectPolicy(backoff, this.#addresses);
    this.#inbox = `${options.inboxPrefix}.`;
    this.#local.set(`${this.#inbox}>`, '', 1);
    this.#keeper = new KeepConnected<LeafConnection>({
      connect: (signal, epoch) => this.#connect(signal, epoch),
      delayMs: (reason, failures) => this.#policy.delayMs(reason, failures),
      waiting: (reason, delayMs) => {
        this.#lastError = reason;
        this.#failures.report(reason, delayMs);
      },
      stableMs: backoff.firstMs,
    });
  }

  get up(): boolean {
    return this.#connection !== null;
  }

  /** Number of the latest connection that came up; a late answer of an earlier one is recognised by it. */
  get epoch(): number {
    return this.#epoch;
  }

  /** False once the output is above its high mark, until `drained()`; also while not connected. */
  get writable(): boolean {
    return this.#connection?.output.writable ?? false;
  }

  /** Live messages have lately gone up or come down: a backlog should leave them room. */
  get isShared(): boolean {
    return this.#connection?.output.isShared ?? false;
  }

  /** Begins to connect and returns at once. */
  async start(): Promise<void> {
    this.#keeper.start();
  }

  /** Sends what is queued as far as the line takes it within a second, then closes. */
  readonly stop = once(async () => {
    this.#lameDuck.stop();
    await this.#keeper.stop();
    this.#requests.failAll(new GatewayError('stopping', 'stopping'));
  });

  /**
   * Local interest in a filter; `members` counts the local members of the queue group (any positive number for a plain
   * filter, queue ''), 0 means that the last one has gone. Kept over reconnects, written once per tick.
   */
  interest(filter: string, queue: string, members: number): void {
    assert(isFilter(filter), 'local filters have been checked');
    if (this.#mayImport.deniesAll(filter) || this.#mount.isUnreachable(filter)) return;
    this.#local.set(this.#mount.toHub(filter), queue, members);
    if (this.up) this.#announceSoon.schedule();
  }

  /** Whether anybody at the hub wants it. True for JetStream's own prefixes, whose interest hubs do not announce. */
  wants(subject: string): boolean {
    const atHub = this.#mount.toHub(subject);
    return this.#connection !== null && (isAlwaysWanted(atHub) || this.#connection.interest.wants(atHub));
  }

  /** Whether the hub's permissions and the configuration let the box publish it; false while not connected. */
  mayPublish(subject: string): boolean {
    return this.#connection !== null && this.#outlet.mayPublish(this.#connection, subject);
  }

  /** A subject of the hub, as the box knows it. */
  nameHere(subject: string): string {
    return this.#mount.toBox(subject);
  }

  /** A subject or a filter of the box, as the hub knows it. */
  nameAtHub(subject: string): string {
    return this.#mount.toHub(subject);
  }

  /**
   * Sends a live message. `served` are the queue groups that had a local member: one copy per group in all, so those
   * are not named to the hub.
   */
  publish(subject: string, reply: string, headers: Buffer, payload: Buffer, served: readonly string[]): PublishResult {
    return this.#outlet.send(this.#connection, subject, reply, headers, payload, served, 'live');
  }

  /** The same for journaled messages: finds room where live messages are already dropped. Look at `writable` first. */
  forward(subject: string, reply: string, headers: Buffer, payload: Buffer, served: readonly string[]): PublishResult {
    return this.#outlet.send(this.#connection, subject, reply, headers, payload, served, 'kept');
  }

  /**
   * A request of the box itself. Rejects with a GatewayError: `not_connected`, `request_timeout` (also where nobody
   * listens), `permission_denied`, `payload_too_large`, `queue_full`, or why the link fell meanwhile.
   */
  request(subject: string, payload: Buffer | string, timeoutMs: number): Promise<Answer> {
    if (this.#requests.isFull) return Promise.reject(this.#requests.fullError());
    const token = this.#requests.token();
    const answer = this.#requests.wait(token, subject, timeoutMs);
    const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const inbox = this.#inbox + token;
    const result = this.#outlet.send(this.#connection, subject, inbox, NO_HEADERS, body, NO_NAMES, 'kept');
    if (result !== 'sent') this.#requests.fail(token, notSentError(subject, result));
    return answer;
  }

  /** Ends the present connection, if any; the loop makes a new one. */
  cut(reason: GatewayError): void {
    this.#connection?.end(reason);
  }

  status(): LeafStatus {
    const connection = this.#connection;
    const { state, attempts, epoch, retryInMs } = this.#keeper;
    return {
      state: connection === null ? (state === 'up' ? 'connecting' : state) : 'up',
      url: this.#url,
      hub: connection?.hub ?? null,
      sinceMs: this.#sinceMs,
      epoch: this.#epoch,
      rttMs: connection?.rttMs ?? null,
      lastError: this.#lastError === null ? null : describeError(this.#lastError),
      attempts,
      reconnects: Math.max(0, epoch - 1),
      retryInMs,
      in: { ...this.#in },
      out: { ...this.#outlet.sent },
      drops: { ...this.#outlet.drops, ...this.#refused },
      interest: {
        local: this.#local.size,
        announced: connection === null ? 0 : this.#local.announced,
        hub: connection?.interest.size ?? 0,
      },
      queuedBytes: connection?.output.bytes ?? 0,
    };
  }

  #announce(): void {
    const connection = this.#connection;
    if (connection !== null) this.#announceTo(connection);
  }

  #announceTo({ output, imports }: LeafConnection): void {
    if (this.#local.announce(output.encoder, (filter) => mayAnnounce(filter, imports))) output.schedule();
  }

  #connect(signal: AbortSignal, epoch: number): Promise<LeafConnection> {
    const address = this.#addresses.next();
    this.#url = address.url;
    this.#log.debug({ url: address.url }, 'connecting to the hub');
    const known = {
      ...this.#options,
      address,
      ...this.#signIn,
      denied: this.#options.denyImports.map((filter) => this.#mount.toHub(filter)),
      loopSubject: this.#loopSubject,
    };
    return LeafConnection.open(known, this.#events(epoch), signal);
  }

  #events(epoch: number): LeafConnectionEvents {
    return {
      accepted: (connection) => {
        this.#local.reset();
        this.#announceTo(connection);
      },
      up: (connection) => this.#isUp(connection, epoch),
      message: (subject, reply, queues, headers, payload) => this.#message(subject, reply, queues, headers, payload),
      oversize: (subject, bytes) => {
        this.#refused.oversize++;
        this.#log.warn({ subject, bytes }, 'a message of the hub was larger than the box takes');
      },
      interestChanged: () => this.#tellSoon.schedule(),
      infoChanged: (connection) => {
        this.#addresses.announce(connection.leafUrls, connection.address);
        this.#local.recheck();
        this.#announceTo(connection);
        this.#tellSoon.schedule();
        if (connection.isLeaving) this.#leave(connection);
      },
      interestWithdrawn: (connection) => {
        if (this.#addresses.size < 2 || this.#options.proxy !== null) return;
        this.#lameDuck.suspect(connection.address, () => this.#leave(connection));
      },
      drained: () => this.#listener.drained(),
      complaint: (text) => this.#log.warn({ url: this.#url, says: text }, 'the hub complains'),
      down: (reason) => this.#isDown(reason),
    };
  }

  /** To another member of the cluster, while there is time; with no other address the box stays to the end. */
  #leave(connection: LeafConnection): void {
    if (this.#addresses.size < 2 || connection !== this.#connection) return;
    this.#addresses.postpone(connection.address);
    connection.end(leavingError(connection.address.url));
  }

  #isUp(connection: LeafConnection, epoch: number): void {
    const { hub } = connection;
    this.#connection = connection;
    this.#epoch = epoch;
    this.#sinceMs = Date.now();
    this.#lastError = limitOf(hub, this.#options.isolate);
    this.#failures.recovered();
    this.#addresses.announce(connection.leafUrls, connection.address);
    this.#log.info({ url: hub.url, hub: hub.serverName, version: hub.version, epoch }, 'linked to the hub');
    if (this.#lastError !== null) this.#log.warn(describeError(this.#lastError), 'the link is limited');
    // What local parties asked for since the hub accepted the link.
    this.#announce();
    this.#listener.up(hub, epoch);
  }

  #isDown(reason: GatewayError): void {
    this.#connection = null;
    this.#sinceMs = Date.now();
    this.#policy.lost();
    this.#requests.failAll(new GatewayError('not_connected', `the link fell: ${reason.message}`, { cause: reason }));
    this.#listener.down(reason);
  }

  #message(subject: string, reply: string, queues: readonly string[], headers: Buffer, payload: Buffer): void {
    this.#in.messages++;
    this.#in.bytes += headers.length + payload.length;
    if (subject.startsWith(this.#inbox)) {
      const token = subject.slice(this.#inbox.length);
      if (token.startsWith('r.')) this.#requests.answer(token, headers, payload);
      else {
        const ack = reply === '' ? null : splitAckReply(reply);
        this.#listener.inbox(token, headers, payload, ack?.reply ?? '', ack?.subject ?? '');
      }
      return;
    }
    const here = this.#mount.toBox(subject);
    if (!this.#mayImport.allows(here)) {
      this.#refused.denied++;
      return;
    }
    this.#connection?.output.noteLive();
    const ack = splitAckReply(reply);
    if (ack === null) this.#listener.message(here, this.#mount.toBox(reply), headers, payload, queues, here);
    else this.#listener.message(here, ack.reply, headers, payload, queues, ack.subject);
  }
}
