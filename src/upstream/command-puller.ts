import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';
import { fieldsOf, type JetStream } from './jetstream.ts';
import type { Hub } from './ports.ts';

export interface CommandSource {
  readonly stream: string;
  readonly durable: string;
  /** As the hub names it. */
  readonly filterAtHub: string;
  /** Commands in hand at the most: not acknowledged yet. */
  readonly window: number;
}

/** The hub sends again what was not acknowledged for so long; what is held here is said to be in progress long before. */
export const ACK_WAIT_MS = 5_000;
/** Longest life of one request for messages. */
const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 5_000;
/** Two heartbeats and some more without a sign: the request is gone. */
const SILENT_MS = 13_000;
const NS_PER_MS = 1_000_000;

const STREAM_NOT_FOUND = 10059;
/** The durable exists and differs in what can't be changed. */
const DIFFERS: readonly number[] = [10012, 10013, 10148];

/** What CONSUMER.INFO says. */
export interface ConsumerInfo {
  /** Delivered and not acknowledged. */
  readonly ackPending: number;
  /** Consumer sequence of the latest delivery. */
  readonly delivered: number;
  readonly pending: number;
  /** The hub's clock, milliseconds since 1970; null from hubs before 2.10. */
  readonly hubMs: number | null;
}

/** The durable consumer at the hub: made, asked for messages without a pause, and asked how it stands. */
export class CommandPuller {
  readonly #source: CommandSource;
  readonly #hub: Hub;
  readonly #jetStream: JetStream;
  /** Inbox of the requests, without their number. */
  readonly #inbox: string;
  #pull = 0;
  #outstanding = 0;
  #heardAtMs = 0;

  constructor(source: CommandSource, hub: Hub, jetStream: JetStream, inbox: string) {
    this.#source = source;
    this.#hub = hub;
    this.#jetStream = jetStream;
    this.#inbox = inbox;
  }

  /** Makes the consumer where it is missing. Rejects with no_stream, stream_refused or what the link says. */
  async open(): Promise<{ created: string; lastSequence: number }> {
    const { stream, durable, filterAtHub, window } = this.#source;
    const info = await this.#jetStream.call(`STREAM.INFO.${stream}`, '');
    if (info.errorCode === STREAM_NOT_FOUND) {
      throw new GatewayError('no_stream', `the hub has no stream ${stream}, which upstream.commands names`, {
        hint: `nats stream add ${stream} --subjects '${filterAtHub}' --defaults, or list it in upstream.streams`,
      });
    }
    if (info.error) throw info.error;
    const config = {
      durable_name: durable,
      filter_subject: filterAtHub,
      deliver_policy: 'all',
      ack_policy: 'explicit',
      ack_wait: ACK_WAIT_MS * NS_PER_MS,
      max_ack_pending: window,
      max_deliver: -1,
      replay_policy: 'instant',
    };
    const body = JSON.stringify({ stream_name: stream, config });
    const made = await this.#jetStream.call(`CONSUMER.DURABLE.CREATE.${stream}.${durable}`, body);
    if (made.error) {
      if (!DIFFERS.includes(made.errorCode)) throw made.error;
      throw new GatewayError('stream_refused', made.error.message, {
        hint: `stream ${stream} has another consumer ${durable}: nats consumer rm ${stream} ${durable}, or choose another durable`,
      });
    }
    const state = fieldsOf(info.body.state);
    return { created: String(info.body.created ?? ''), lastSequence: Number(state.last_seq ?? 0) };
  }

  async info(): Promise<ConsumerInfo> {
    const { stream, durable } = this.#source;
    const { body, error } = await this.#jetStream.call(`CONSUMER.INFO.${stream}.${durable}`, '');
    if (error) throw error;
    const hubMs = Date.parse(String(body.ts ?? ''));
    return {
      ackPending: Number(body.num_ack_pending ?? 0),
      delivered: Number(fieldsOf(body.delivered).consumer_seq ?? 0),
      pending: Number(body.num_pending ?? 0),
      hubMs: Number.isNaN(hubMs) ? null : hubMs,
    };
  }

  /** Asks for messages where no request is open; `room` is how many more may be in hand. */
  pull(room: number): void {
    const isSilent = performance.now() - this.#heardAtMs > SILENT_MS;
    if (room <= 0 || (this.#outstanding > 0 && !isSilent)) return;
    const { stream, durable } = this.#source;
    const request = { batch: room, expires: EXPIRES_MS * NS_PER_MS, idle_heartbeat: HEARTBEAT_MS * NS_PER_MS };
    const reply = `${this.#inbox}.${++this.#pull}`;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    const result = this.#hub.forward(subject, reply, NO_HEADERS, Buffer.from(JSON.stringify(request)), []);
    this.#outstanding = result === 'sent' ? room : 0;
    this.#heardAtMs = performance.now();
  }

  /** The link fell, and with it whatever was asked. */
  forget(): void {
    this.#outstanding = 0;
  }

  /** A message of request number `pull` has come. */
  took(pull: number): void {
    this.#heardAtMs = performance.now();
    if (pull === this.#pull && this.#outstanding > 0) this.#outstanding--;
  }

  /**
   * A status in the place of a message. 'ended': ask again. 'later': the hub has a reason not to serve it now (a change of
   * leaders), which asking at once would only repeat. 'gone': the consumer must be opened again.
   */
  status(pull: number, headers: Buffer): 'going-on' | 'ended' | 'later' | 'gone' {
    if (pull !== this.#pull) return 'going-on';
    this.#heardAtMs = performance.now();
    const [, status = '', text = ''] = /^NATS\/1\.0 (\d{3})(?: ([^\r\n]*))?/.exec(headers.toString('latin1')) ?? [];
    if (status === '100') return 'going-on';
    this.#outstanding = 0;
    if (status === '503' || /consumer deleted|consumer is push|bad request/i.test(text)) return 'gone';
    return status === '408' ? 'ended' : 'later';
  }
}
