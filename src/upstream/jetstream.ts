import { GatewayError } from '../core/errors.ts';
import type { Hub } from './ports.ts';

/** Longest wait for an answer of the JetStream API; a busy R3 hub elects a leader within it. */
const API_TIMEOUT_MS = 5_000;

export interface StreamInfo {
  name: string;
  created: string;
  subjects: readonly string[];
  firstSequence: number;
  lastSequence: number;
  /** Headers and payload of a message at the most; Infinity where the stream has no bound of its own. */
  messageBytesMax: number;
  /** Whether a batch may be committed as one, and what its watermark may ask for; null where it may not. */
  atomic: { rollup: boolean; ttl: boolean } | null;
  /** The server that leads a stream of several replicas; absent for one that has a single replica. */
  leader?: string;
}

/** The few calls of the JetStream API that the box makes at the hub. */
export class JetStream {
  readonly #hub: Hub;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  /** Null where the hub has no such stream. */
  async streamInfo(stream: string): Promise<StreamInfo | null> {
    const answer = await this.call(`STREAM.INFO.${stream}`, '');
    if (answer.errorCode === STREAM_NOT_FOUND) return null;
    if (answer.error) throw answer.error;
    const config = fieldsOf(answer.body.config);
    const state = fieldsOf(answer.body.state);
    if (config.no_ack === true) {
      throw new GatewayError('stream_refused', `stream ${stream} acknowledges nothing (no_ack)`, {
        hint: `turn no_ack of stream ${stream} off at the hub: without PubAcks nobody knows what it has`,
      });
    }
    return {
      name: stream,
      created: String(answer.body.created ?? ''),
      subjects: Array.isArray(config.subjects) ? config.subjects.map(String) : [],
      firstSequence: Number(state.first_seq ?? 0),
      lastSequence: Number(state.last_seq ?? 0),
      messageBytesMax: Number(config.max_msg_size) > 0 ? Number(config.max_msg_size) : Infinity,
      atomic: atomicOf(config),
      ...(Number(config.num_replicas ?? 1) > 1 ? { leader: String(fieldsOf(answer.body.cluster).leader ?? '') } : {}),
    };
  }

  /** The stream that takes this subject, null for none. */
  async streamOf(subject: string): Promise<string | null> {
    const answer = await this.call('STREAM.NAMES', JSON.stringify({ subject }));
    if (answer.error) throw answer.error;
    const { streams } = answer.body;
    return Array.isArray(streams) && streams.length > 0 ? String(streams[0]) : null;
  }

  /** Every stream that takes something of this filter. */
  async streamsOf(filter: string): Promise<string[]> {
    const answer = await this.call('STREAM.NAMES', JSON.stringify({ subject: filter }));
    if (answer.error) throw answer.error;
    const { streams } = answer.body;
    return Array.isArray(streams) ? streams.map(String) : [];
  }

  /** One API request. A refusal by the API is in `error`; no answer at all rejects. */
  async call(call: string, body: string): Promise<ApiAnswer> {
    let payload: Buffer;
    try {
      ({ payload } = await this.#hub.request(`$JS.API.${call}`, body, API_TIMEOUT_MS));
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== 'request_timeout') throw error;
      throw new GatewayError('hub_no_jetstream', `the hub does not answer $JS.API.${call}`, {
        cause: error,
        hint: 'enable JetStream at the hub for this account, and let the user of the box publish to $JS.API.>',
      });
    }
    return readAnswer(call, payload);
  }
}

export interface ApiAnswer {
  body: Fields;
  errorCode: number;
  error: GatewayError | null;
}

/** A JSON object from outside: nothing is known of its values. */
export type Fields = Readonly<Record<string, unknown>>;

/** Without fields where it is no object. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

const STREAM_NOT_FOUND = 10059;

/** `allow_atomic` came with 2.12; where messages are consumed away, a watermark would be too. */
function atomicOf({ allow_atomic, retention, allow_rollup_hdrs, allow_msg_ttl }: Fields): StreamInfo['atomic'] {
  if (allow_atomic !== true || retention !== 'limits') return null;
  return { rollup: allow_rollup_hdrs === true, ttl: allow_msg_ttl === true };
}

function readAnswer(call: string, payload: Buffer): ApiAnswer {
  let body: Fields;
  try {
    body = fieldsOf(JSON.parse(payload.toString('utf8')));
  } catch (cause) {
    throw new GatewayError('protocol_violation', `the hub's answer to $JS.API.${call} is not JSON`, { cause });
  }
  if (!body.error) return { body, errorCode: 0, error: null };
  const fields = fieldsOf(body.error);
  const code = Number(fields.code ?? 0);
  const err_code = Number(fields.err_code ?? 0);
  const description = String(fields.description ?? '');
  const hint =
    err_code === NOT_ENABLED || err_code === NOT_ENABLED_FOR_ACCOUNT
      ? 'enable JetStream at the hub for the account of the box'
      : '';
  const error = new GatewayError(
    hint === '' ? 'stream_refused' : 'hub_no_jetstream',
    `the hub refuses $JS.API.${call}: ${description} (${err_code || code})`,
    { hint },
  );
  return { body, errorCode: err_code, error };
}

const NOT_ENABLED = 10076;
const NOT_ENABLED_FOR_ACCOUNT = 10039;
