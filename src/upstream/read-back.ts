import { GatewayError } from '../core/errors.ts';
import { headerValue } from '../core/headers.ts';
import { fieldsOf, type JetStream, type StreamInfo } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { NO_MESSAGE, sequenceIn } from './watermark.ts';

/** Messages asked for at once; only their headers travel. */
const FETCH = 500;
/** Longest silence within a fetch. */
const FETCH_TIMEOUT_MS = 5_000;
/** The hub forgets the consumer by itself after this, in nanoseconds as its API wants. */
const INACTIVE_NS = 30_000_000_000;
/** Requests under way at once when single messages are read. */
const GET_AT_ONCE = 64;

/** Answers of one fetch, handed in by the forwarder as they arrive on the box's inbox. */
export interface Fetching {
  take(headers: Buffer, payload: Buffer): void;
  /** No answer can come any more. */
  fail(reason: GatewayError): void;
}

export interface Inbox {
  /** Full reply subject of a fetch; its messages go to `fetching` until `close`. */
  open(fetching: Fetching): string;
  close(reply: string): void;
}

export interface ReadBack {
  /** Sequences of the lane's records that were found behind its cursor: never more than its doubt window. */
  found: Set<number>;
  /** Messages of the lane, also those that the cursor has passed. */
  ours: number;
  /** Messages that others put there. */
  foreign: number;
}

/**
 * Read beyond the end of the stream as it was told: what the hub had taken before it was asked, and stored after. In a busy
 * stream there are always more.
 */
const MORE_MAX = 64;

/**
 * A busy hub (seen with 2.9) may tell a consumer that there is no more while it has some; the next consumer gets all. Where
 * messages are deleted meanwhile it is never as many as were promised.
 */
const READS_MAX = 4;

/** One of three or five servers is drawn each time. */
const PLACES_MAX = 40;

/** What tells a lane's own messages in a stream. */
export interface Identity {
  /** `.<epoch>.<lane>.`: what a record id ends with before the sequence. */
  readonly idEnd: string;
  /** The same of epochs before, by which records up to `last` may be known. */
  readonly formers: readonly { readonly idEnd: string; readonly last: number }[];
  readonly cursor: number;
}

/**
 * Which records of one lane a stream holds behind `after`: the sequences found in their `Petiole-Id`. The epoch makes an
 * id unique, so a box that was renamed still knows its own. Messages that are consumed or deleted meanwhile are missed.
 */
export async function readBack(
  parts: { hub: Hub; jetStream: JetStream; inbox: Inbox },
  stream: StreamInfo,
  after: number,
  identity: Identity,
  filters: readonly string[],
): Promise<ReadBack> {
  const result: ReadBack = { found: new Set(), ours: 0, foreign: 0 };
  const from = Math.max(after + 1, stream.firstSequence, 1);
  const begin = () => {
    result.ours = 0;
    result.foreign = 0;
  };
  const take = (headers: Buffer) => {
    const { sequence, isGivenAgain } = recordOf(headers, identity);
    if (sequence === 0) result.foreign++;
    else result.ours++;
    if (sequence > identity.cursor && !isGivenAgain) result.found.add(sequence);
  };
  await readFrom(parts, stream, from, { filters, headersOnly: true, more: MORE_MAX }, begin, take);
  return result;
}

/** The lane's record that a message is, 0 for none; `isGivenAgain`: by an epoch before, and its number was given again. */
export function recordOf(headers: Buffer, { idEnd, formers }: Identity): { sequence: number; isGivenAgain: boolean } {
  const id = headerValue(headers, 'Petiole-Id');
  let sequence = sequenceIn(id, idEnd);
  let last = Infinity;
  for (let i = 0; sequence === 0 && i < formers.length; i++) {
    const former = formers[i] as Identity['formers'][number];
    sequence = sequenceIn(id, former.idEnd);
    last = former.last;
  }
  return { sequence, isGivenAgain: sequence > last };
}

export interface ReadOptions {
  readonly filters: readonly string[];
  readonly headersOnly: boolean;
  /** Messages that were not there at the beginning; default 0. */
  readonly more?: number;
}

/**
 * Hands over every message of the stream from sequence `from` on, in order; without payloads where only headers count.
 * `begin` is called before the first: also where it begins anew, because the hub gave fewer than it had promised.
 */
export async function readFrom(
  parts: { hub: Hub; jetStream: JetStream; inbox: Inbox },
  stream: StreamInfo,
  from: number,
  options: ReadOptions,
  begin: () => void,
  take: (headers: Buffer, payload: Buffer) => void,
): Promise<void> {
  for (let reads = 0; reads < READS_MAX; reads++) {
    begin();
    if (await readOnce(parts, stream, from, options, take)) return;
  }
}

/** False where they were fewer than the hub had promised. */
async function readOnce(
  parts: { hub: Hub; jetStream: JetStream; inbox: Inbox },
  stream: StreamInfo,
  from: number,
  options: ReadOptions,
  take: (headers: Buffer, payload: Buffer) => void,
): Promise<boolean> {
  const consumer = await consumerAtLeader(parts.jetStream, stream, from, options);
  if (consumer === null) {
    await readSingly(parts.jetStream, stream.name, from, stream.lastSequence, take);
    return true;
  }
  let left = consumer.pending;
  while (left > 0) {
    const got = await fetch(parts, stream.name, consumer.name, Math.min(left, FETCH), take);
    if (got === 0) break;
    left -= got;
  }
  for (let more = options.more ?? 0; more > 0; more--) {
    if ((await fetch(parts, stream.name, consumer.name, 1, take)) === 0) break;
  }
  void parts.jetStream.call(`CONSUMER.DELETE.${stream.name}.${consumer.name}`, '').catch(() => undefined);
  return left <= 0;
}

/**
 * A consumer has one server, any of those that have the stream, and reads what that one has: a follower may be behind, and
 * what it lacks would be taken for missing and be sent twice. So it must be on the server that leads the stream.
 */
async function consumerAtLeader(
  jetStream: JetStream,
  { name: stream, leader }: StreamInfo,
  from: number,
  options: ReadOptions,
): Promise<Consumer | null> {
  for (let attempt = 0; attempt < PLACES_MAX; attempt++) {
    const consumer = await createConsumer(jetStream, stream, from, options);
    if (consumer === null || leader === undefined || consumer.server === leader) return consumer;
    void jetStream.call(`CONSUMER.DELETE.${stream}.${consumer.name}`, '').catch(() => undefined);
  }
  throw new GatewayError('hub_error', `stream ${stream} can't be read where it is led (${leader || 'no leader'})`, {
    hint: 'the cluster is choosing a leader, or is short of servers; the box tries again',
  });
}

interface Consumer {
  readonly name: string;
  readonly pending: number;
  /** The server that has it; '' outside of a cluster. */
  readonly server: string;
}

/** Null where the stream takes no such consumer (a work queue). */
async function createConsumer(
  jetStream: JetStream,
  stream: string,
  from: number,
  { filters, headersOnly }: ReadOptions,
): Promise<Consumer | null> {
  const config = {
    deliver_policy: 'by_start_sequence',
    opt_start_seq: from,
    ack_policy: 'none',
    replay_policy: 'instant',
    headers_only: headersOnly,
    inactive_threshold: INACTIVE_NS,
    mem_storage: true,
    num_replicas: 1,
    ...(filters.length === 1 ? { filter_subject: filters[0] } : {}),
  };
  const answer = await jetStream.call(`CONSUMER.CREATE.${stream}`, JSON.stringify({ stream_name: stream, config }));
  if (answer.error) {
    // A filter may not fit the stream's subjects: without one it only takes longer.
    return filters.length > 0 ? createConsumer(jetStream, stream, from, { filters: [], headersOnly }) : null;
  }
  const { name, num_pending, cluster } = answer.body;
  if (typeof name !== 'string' || typeof num_pending !== 'number') {
    throw new GatewayError('protocol_violation', `the hub made a consumer on ${stream} without a name or a count`);
  }
  return { name, pending: num_pending, server: String(fieldsOf(cluster).leader ?? '') };
}

/** Asks for `count` messages; resolves with how many came before the hub said that there are no more. */
function fetch(
  { hub, inbox }: { hub: Hub; inbox: Inbox },
  stream: string,
  consumer: string,
  count: number,
  take: (headers: Buffer, payload: Buffer) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let got = 0;
    let timer: NodeJS.Timeout;
    const end = (error: GatewayError | null) => {
      clearTimeout(timer);
      inbox.close(reply);
      if (error) reject(error);
      else resolve(got);
    };
    const expect = () => {
      timer = setTimeout(() => {
        end(new GatewayError('request_timeout', `the hub stopped in the middle of reading back stream ${stream}`));
      }, FETCH_TIMEOUT_MS);
    };
    const reply = inbox.open({
      fail: end,
      take(headers, payload) {
        // A status line instead of a message: there is nothing more.
        const isStatus = headers.length >= 12 && headers[8] === 0x20;
        if (!isStatus) {
          take(headers, payload);
          got++;
        }
        clearTimeout(timer);
        if (isStatus || got === count) end(null);
        else expect();
      },
    });
    expect();
    const body = Buffer.from(JSON.stringify({ batch: count, no_wait: true }));
    const result = hub.forward(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, reply, NO_BLOCK, body, []);
    if (result !== 'sent') end(new GatewayError('not_connected', `cannot read stream ${stream} back: ${result}`));
  });
}

const NO_BLOCK = Buffer.alloc(0);

/** Message by message, for streams that take no second consumer. */
async function readSingly(
  jetStream: JetStream,
  stream: string,
  from: number,
  to: number,
  take: (headers: Buffer, payload: Buffer) => void,
): Promise<void> {
  for (let next = from; next <= to; next += GET_AT_ONCE) {
    const sequences = Array.from({ length: Math.min(GET_AT_ONCE, to - next + 1) }, (_, i) => next + i);
    const answers = await Promise.all(
      sequences.map((seq) => jetStream.call(`STREAM.MSG.GET.${stream}`, JSON.stringify({ seq }))),
    );
    for (const { body, error, errorCode } of answers) {
      // Only this one means that it is not there; after any other refusal nobody knows.
      if (errorCode === NO_MESSAGE) continue;
      if (error) throw error;
      const { hdrs, data } = fieldsOf(body.message);
      take(
        typeof hdrs === 'string' ? Buffer.from(hdrs, 'base64') : NO_BLOCK,
        typeof data === 'string' ? Buffer.from(data, 'base64') : NO_BLOCK,
      );
    }
  }
}
