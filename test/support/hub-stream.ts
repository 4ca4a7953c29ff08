import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';
import { WATERMARK } from '../../src/upstream/watermark.ts';
import type { Ranges } from './ranges.ts';
import { atEnd, type Scope } from './scope.ts';
import { type AuditReport, ID_HEADER, StreamAudit } from './stream-audit.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';

/** A request that a dying hub took with it must not hold up the wait for its successor. */
const REQUEST_TIMEOUT_MS = 1_000;
/** Messages asked for ahead by the ordered consumer; reading is bound by the client, not by round trips. */
const FETCH_AHEAD = 5_000;
/** Without a message for this long the stream has stopped to answer: better an error than a hanging test. */
const SILENCE_MAX_MS = 20_000;
/** Each attempt is a request with a time-out of its own. */
const CONSUMER_WAIT: WaitOptions = { timeoutMs: 60_000, intervalMs: 100 };

export interface HubMessage {
  subject: string;
  payload: Uint8Array;
  /** `Petiole-Id`, '' where there is none. */
  id: string;
  /** All header values of a name; [] where there is none. */
  header(name: string): string[];
  streamSequence: number;
}

/** An official client at the hub, closed when the scope ends. Reconnects for ever, as a hub under test goes and comes. */
export async function connectHub(scope: Scope, url: string, options: ConnectionOptions = {}): Promise<NatsConnection> {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100, ...options });
  atEnd(scope, () => connection.close());
  return connection;
}

/** Creates a file stream; `config` overrides (`num_replicas`, `duplicate_window` in nanoseconds, …). */
export async function createStream(
  connection: NatsConnection,
  name: string,
  subjects: string[],
  config: Partial<StreamConfig> = {},
): Promise<void> {
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name, subjects, storage: 'file', ...config });
}

/** Where the stream stands: how many messages it holds, and its first and last sequence. */
export async function streamState(
  connection: NatsConnection,
  name: string,
): Promise<{ messages: number; firstSequence: number; lastSequence: number; bytes: number }> {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_TIMEOUT_MS });
  const { state } = await manager.streams.info(name);
  return { messages: state.messages, firstSequence: state.first_seq, lastSequence: state.last_seq, bytes: state.bytes };
}

/** Waits until the stream holds at least `messages`; survives a hub that is away for a while. */
export async function waitForStream(
  connection: NatsConnection,
  name: string,
  messages: number,
  options: WaitOptions = {},
): Promise<void> {
  let held = 0;
  const enough = async () => {
    held = (await streamState(connection, name)).messages;
    return held >= messages;
  };
  await waitFor(`${messages} messages in ${name}`, enough, { timeoutMs: 60_000, intervalMs: 50, ...options }).catch(
    (error: unknown) => {
      throw new Error(`${name} holds ${held} of ${messages} messages`, { cause: error });
    },
  );
}

/** Visits every message that the stream holds now, in stream order. */
export async function readStream(
  connection: NatsConnection,
  name: string,
  visit: (message: HubMessage) => void,
): Promise<void> {
  const state = () => streamState(connection, name);
  const { messages, lastSequence } = await waitFor(`the state of ${name}`, state, CONSUMER_WAIT);
  if (messages === 0) return;
  const consumers = jetstream(connection, { checkAPI: false }).consumers;
  // A cluster that has just lost servers may be without a leader for consumers while its stream is well already.
  const consumer = await waitFor(`a consumer of ${name}`, () => consumers.get(name), CONSUMER_WAIT);
  const reading = await consumer.consume({ max_messages: FETCH_AHEAD });
  const silence = setTimeout(() => reading.stop(), SILENCE_MAX_MS);
  let reached = 0;
  try {
    for await (const message of reading) {
      silence.refresh();
      reached = message.seq;
      visit({
        subject: message.subject,
        payload: message.data,
        id: message.headers?.get(ID_HEADER) ?? '',
        header: (header) => message.headers?.values(header) ?? [],
        streamSequence: message.seq,
      });
      if (reached >= lastSequence) break;
    }
  } finally {
    clearTimeout(silence);
    await consumer.delete();
  }
  if (reached < lastSequence) throw new Error(`reading ${name} stopped at ${reached} of ${lastSequence}`);
}

/**
 * Reads the whole stream and judges it against what the senders saw acknowledged. A healthy run has `lost`,
 * `duplicated` and `outOfOrder` 0; see AuditReport for what each one means and for what is no fault.
 */
export async function auditStream(
  connection: NatsConnection,
  name: string,
  ackedRanges: Record<string, Ranges>,
): Promise<AuditReport> {
  const audit = new StreamAudit();
  await readStream(connection, name, ({ payload, id, header }) => {
    if (header(WATERMARK).length === 0) audit.add(payload, id);
  });
  return audit.report(ackedRanges);
}
