import { type ErrorCode, GatewayError } from '../core/errors.ts';
import { headerEntries } from '../core/headers.ts';

/** What JetStream answers to a publish that it does not store. */
export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

/** `{"stream":"S","seq":n}`, with `"duplicate":true` where it was there before. */
export function pubAck(stream: string, sequence: number, isDuplicate: boolean): Buffer {
  const tail = isDuplicate ? ',"duplicate":true' : '';
  return Buffer.from(`{"stream":${JSON.stringify(stream)},"seq":${sequence}${tail}}`);
}

export function pubAckError(stream: string, error: ApiError): Buffer {
  return Buffer.from(JSON.stringify({ error, stream, seq: 0 }));
}

const WHY = 'only the hub can judge it, and the box answers before the hub has the message';
const expectation = (err_code: number, description: string): ApiError => ({ code: 400, err_code, description });

/** What a stream would say where it can't do what a header asks for. */
const refusals: readonly (readonly [prefix: string, error: ApiError])[] = [
  ['Nats-Expected-Stream', expectation(10060, `expected stream does not match: ${WHY}`)],
  ['Nats-Expected-Last-Msg-Id', expectation(10070, `wrong last msg ID: ${WHY}`)],
  ['Nats-Expected-', expectation(10071, `wrong last sequence: ${WHY}`)],
  // The upload is one message at a time: a part of a batch would wait in vain for the others.
  ['Nats-Batch-', expectation(10174, `atomic publish is disabled: ${WHY}`)],
  ['Nats-TTL', expectation(10166, `per-message TTL is disabled: ${WHY}`)],
  // It would delete from the stream the records that say how far the box is.
  ['Nats-Rollup', { code: 500, err_code: 10111, description: `rollup not permitted: ${WHY}` }],
];

/** The refusal of a publish whose headers ask for what only the hub can judge; null where they don't. */
export function refusalOf(headers: Buffer): ApiError | null {
  for (const [key] of headerEntries(headers)) {
    if (!key.startsWith('Nats-')) continue;
    for (const [prefix, error] of refusals) if (key.startsWith(prefix)) return error;
  }
  return null;
}

/** 10158: the first publish with this id waits for its commit. */
export const IN_PROCESS: ApiError = {
  code: 409,
  err_code: 10158,
  description: 'duplicate message id is in process',
};

const full = (description: string): ApiError => ({ code: 503, err_code: 10077, description });

const failures: Partial<Record<ErrorCode, ApiError>> = {
  lane_full: full('maximum bytes exceeded'),
  disk_full: { code: 500, err_code: 10047, description: 'insufficient storage resources available' },
  queue_full: { code: 429, err_code: 10167, description: 'too many requests' },
  stopping: { code: 503, err_code: 10008, description: 'JetStream system temporarily unavailable' },
};

/** The box could not keep the message. */
export function failureOf(error: Error): ApiError {
  const known = error instanceof GatewayError ? failures[error.code] : undefined;
  const { description, ...codes } = known ?? full('store failed');
  return { ...codes, description: `${description}: ${error.message}` };
}
