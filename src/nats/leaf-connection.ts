import type { Duplex } from 'node:stream';
import { GatewayError } from '../core/errors.ts';
import type { SingleUse } from '../core/keep-connected.ts';
import { connectFields } from './connect-fields.ts';
import { dial, type Line } from './dial.ts';
import type { HubAddress } from './hub-addresses.ts';
import {
  accountError,
  closedError,
  hubError,
  loopError,
  silentError,
  socketError,
  staleError,
  stoppingError,
} from './hub-error.ts';
import { type HubInfo, type LeafInfo, readInfo, toHubInfo } from './hub-info.ts';
import { HubInterest } from './hub-interest.ts';
import type { LeafConnectionEvents, LeafConnectionOptions } from './leaf-connection-types.ts';
import { Liveness } from './liveness.ts';
import { Output } from './output.ts';
import { type LeafOperations, LeafParser } from './parser.ts';
import { SubjectRules } from './permissions.ts';
import { type Proof, prove } from './proof.ts';

/** What a farewell may take before the socket is destroyed. */
const FAREWELL_MS = 1_000;

/**
 * One leaf connection, used once.
 *
 *     dial ──INFO, TLS──▶ greeting ──CONNECT, INFO──▶ announcing ──LS+…, PING, PONG──▶ up ──▶ ended
 */
export class LeafConnection implements SingleUse {
  readonly ended: Promise<GatewayError>;
  readonly address: HubAddress;
  readonly interest = new HubInterest();
  readonly #options: LeafConnectionOptions;
  readonly #events: LeafConnectionEvents;
  readonly #signal: AbortSignal;
  readonly #stream: Duplex;
  readonly #proof: Proof;
  readonly #output: Output;
  readonly #parser: LeafParser;
  readonly #liveness: Liveness;
  readonly #closed = Promise.withResolvers<GatewayError>();
  readonly #shaken = Promise.withResolvers<void>();
  #state: 'greeting' | 'announcing' | 'up' | 'ended' = 'greeting';
  #stepTimer: NodeJS.Timeout | undefined;
  #info: LeafInfo;
  #hub: HubInfo;
  #exports: SubjectRules;
  #imports: SubjectRules;

  /** Connects and shakes hands; rejects with a GatewayError. An abort of the signal ends the connection at any time. */
  static async open(
    options: LeafConnectionOptions,
    events: LeafConnectionEvents,
    signal: AbortSignal,
  ): Promise<LeafConnection> {
    const line = await dial(options.address, options, signal);
    const proof = await prove(options, line.info.nonce).catch((error: unknown) => {
      line.stream.destroy();
      throw error;
    });
    const connection = new LeafConnection(line, proof, options, events, signal);
    connection.#start(line.rest);
    await connection.#shaken.promise;
    return connection;
  }

  private constructor(
    { stream, info, isSecure, receivedBytes }: Line,
    proof: Proof,
    options: LeafConnectionOptions,
    events: LeafConnectionEvents,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#events = events;
    this.#signal = signal;
    this.#stream = stream;
    this.#proof = proof;
    // A hub that insisted on TLS speaks for a cluster that does: its other members are held to it.
    this.address = { ...options.address, tls: isSecure };
    this.ended = this.#closed.promise;
    this.#output = new Output(stream, () => this.#state === 'up' && events.drained());
    this.#parser = new LeafParser(this.#operations());
    this.#liveness = new Liveness(
      {
        sendPing: () => {
          this.#output.encoder.ping();
          this.#output.schedule();
        },
        receivedBytes,
        dead: (unansweredMs) => this.end(staleError(this.address.url, unansweredMs)),
      },
      options.pingIntervalMs,
    );
    this.#info = info;
    this.#hub = toHubInfo(info, options.address.url);
    this.#exports = new SubjectRules(info.export);
    this.#imports = new SubjectRules(info.import);
  }

  get hub(): HubInfo {
    return this.#hub;
  }

  /** The hub has said that it is about to shut down. */
  get isLeaving(): boolean {
    return this.#info.isLeaving;
  }

  /** `host:port` of the hub's other members. */
  get leafUrls(): readonly string[] {
    return this.address.path === null ? this.#info.leafUrls : this.#info.webSocketUrls;
  }

  /** What the box may send. */
  get exports(): SubjectRules {
    return this.#exports;
  }

  /** What the box may receive. */
  get imports(): SubjectRules {
    return this.#imports;
  }

  get rttMs(): number | null {
    return this.#liveness.rttMs;
  }

  /** Bound it from outside: `queuedBytes` and `writable` say how full it is. Whoever encodes calls `schedule`. */
  get output(): Output {
    return this.#output;
  }

  /** Ends it, once; the first reason counts. `down` is called before this returns. */
  end(reason: GatewayError): void {
    if (this.#state === 'ended') return;
    const wasUp = this.#state === 'up';
    this.#state = 'ended';
    this.#parser.stop();
    this.#liveness.stop();
    clearTimeout(this.#stepTimer);
    this.#signal.removeEventListener('abort', this.#abort);
    // What the far end can still hear is said; a dead line is not waited for.
    const isHeard = !this.#stream.destroyed && (reason.code === 'stopping' || reason.code === 'hub_loop');
    if (isHeard) {
      this.#output.flush();
      this.#stream.end();
      const timer = setTimeout(() => this.#stream.destroy(), FAREWELL_MS);
      this.#stream.once('close', () => clearTimeout(timer));
    } else {
      this.#stream.destroy();
    }
    this.#output.close();
    if (this.#stream.closed) this.#closed.resolve(reason);
    else this.#stream.once('close', () => this.#closed.resolve(reason));
    if (wasUp) this.#events.down(reason);
    else this.#shaken.reject(reason);
  }

  readonly #abort = (): void => this.end(stoppingError());

  #start(rest: Buffer): void {
    this.#signal.addEventListener('abort', this.#abort);
    this.#stream.on('error', (error) => this.end(socketError(error, this.address.url, this.#during())));
    this.#stream.on('close', () => this.end(this.#closedByHub()));
    this.#stream.on('data', (chunk) => this.#read(chunk));
    if (this.#signal.aborted) {
      this.#abort();
      return;
    }
    this.#step();
    this.#output.encoder.connect({ ...connectFields(this.#options), ...this.#proof.fields });
    this.#output.flush();
    // Hubs before 2.8 send no second INFO.
    if (!this.#info.infoOnConnect) this.#accepted();
    this.#read(rest);
    this.#stream.resume();
  }

  #read(chunk: Buffer): void {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.end(error);
    }
  }

  #operations(): LeafOperations {
    return {
      message: (subject, reply, queues, headers, payload) => {
        // A message can only answer one of our LS+, which the hub reads after it has queued its own interest: all that
        // the first PONG would say is known, and whoever gets the message can already reply.
        if (this.#state === 'announcing') this.#up();
        if (this.#state === 'up') this.#events.message(subject, reply, queues, headers, payload);
      },
      oversize: (subject, bytes) => this.#events.oversize(subject, bytes),
      subscribe: (filter, queue) => this.#hubSubscribes(filter, queue),
      unsubscribe: (filter, queue) => {
        this.interest.remove(filter, queue);
        if (this.#state !== 'up') return;
        this.#events.interestChanged();
        this.#events.interestWithdrawn(this);
      },
      ping: () => {
        this.#output.encoder.pong();
        this.#output.schedule();
      },
      pong: () => {
        this.#liveness.pong();
        if (this.#state === 'announcing') this.#up();
      },
      info: (json) => this.#informed(readInfo(json)),
      error: (text) => {
        const reason = hubError(text, this.address.url);
        if (reason === null) this.#events.complaint(text);
        else this.end(isRefusal(reason) ? this.#proof.explain(reason) : reason);
      },
    };
  }

  #informed(info: LeafInfo): void {
    this.#info = { ...info, nonce: this.#info.nonce };
    this.#hub = toHubInfo(info, this.address.url);
    this.#exports = new SubjectRules(info.export);
    this.#imports = new SubjectRules(info.import);
    if (this.#state === 'greeting' && info.connectInfo) {
      const { account } = this.#options;
      if (account === null || account === info.remoteAccount) this.#accepted();
      else this.end(accountError(this.address.url, account, info.remoteAccount));
    } else if (this.#state !== 'greeting') this.#events.infoChanged(this);
  }

  #accepted(): void {
    this.#state = 'announcing';
    this.#step();
    this.#output.encoder.subscribe(this.#options.loopSubject, '', 1);
    this.#events.accepted(this);
    this.#liveness.ping();
    this.#liveness.start();
  }

  #up(): void {
    this.#state = 'up';
    clearTimeout(this.#stepTimer);
    this.#events.up(this);
    this.#shaken.resolve();
  }

  #hubSubscribes(filter: string, queue: string): void {
    if (filter === this.#options.loopSubject) {
      this.#output.encoder.error('Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s');
      this.end(loopError(this.address.url));
      return;
    }
    this.interest.add(filter, queue);
    if (this.#state === 'up') this.#events.interestChanged();
  }

  /** Each step of the handshake has the whole bound: a slow line needs several round trips. */
  #step(): void {
    clearTimeout(this.#stepTimer);
    const { connectTimeoutMs } = this.#options;
    this.#stepTimer = setTimeout(() => {
      const hint = 'The hub took the connection and fell silent: look at its log and load.';
      this.end(silentError(this.address.url, connectTimeoutMs, this.#during(), hint));
    }, connectTimeoutMs);
  }

  #during(): string {
    if (this.#state === 'greeting') return 'waiting for the answer to CONNECT';
    if (this.#state === 'announcing') return 'waiting for the first PONG';
    return 'linked';
  }

  #closedByHub(): GatewayError {
    const isRefusal = this.#state === 'greeting' && this.#info.tlsRequired && this.#options.tls.cert !== null;
    const hint = isRefusal ? 'The hub may not accept the client certificate; its log says why.' : undefined;
    return closedError(this.address.url, this.#during(), hint);
  }
}

/** The hub does not take the box's papers, and its words do not tell why. */
function isRefusal({ code }: GatewayError): boolean {
  return code === 'authorization_failed' || code === 'credentials_expired';
}
