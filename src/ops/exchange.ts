import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type ErrorCode, GatewayError } from '../core/errors.ts';
import type { Visitor } from './access.ts';
import { BODY_BYTES_MAX, SECURITY_HEADERS } from './guard.ts';

export const TEXT = 'text/plain; charset=utf-8';
export const JSON_TYPE = 'application/json; charset=utf-8';

/** One request with its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly visitor: Visitor;
}

/** What a request is answered with when it is not done. */
export class ApiFault extends Error {
  readonly statusCode: number;
  readonly code: string;
  readonly hint: string;
  readonly headers: OutgoingHttpHeaders;
  /** Beside `error` in the body. */
  readonly more: Record<string, unknown>;

  constructor(
    statusCode: number,
    code: string,
    message: string,
    hint = '',
    { headers = {}, more = {} }: { headers?: OutgoingHttpHeaders; more?: Record<string, unknown> } = {},
  ) {
    super(message);
    this.name = 'ApiFault';
    this.statusCode = statusCode;
    this.code = code;
    this.hint = hint;
    this.headers = headers;
    this.more = more;
  }
}

/** A failure of the world is the asker's to mend, or will pass: by its code. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  permission_denied: 403,
  request_timeout: 504,
  not_connected: 503,
  lane_full: 503,
  queue_full: 503,
  disk_full: 503,
  retained_full: 503,
  store_failed: 503,
  paused: 503,
  stopping: 503,
  payload_too_large: 413,
};

/** Null for a mistake of ours. */
export function faultOf(error: unknown): ApiFault | null {
  if (error instanceof ApiFault) return error;
  if (!(error instanceof GatewayError)) return null;
  return new ApiFault(STATUS_OF[error.code] ?? 400, error.code, error.message, error.hint);
}

export function answer(
  response: ServerResponse,
  statusCode: number,
  type: string,
  body: string | Buffer,
  headers: OutgoingHttpHeaders = {},
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const length = Buffer.byteLength(body);
  response.writeHead(statusCode, { ...SECURITY_HEADERS, ...headers, 'Content-Type': type, 'Content-Length': length });
  response.end(body);
}

export function answerJson(response: ServerResponse, body: unknown, statusCode = 200, headers?: OutgoingHttpHeaders) {
  answer(response, statusCode, JSON_TYPE, `${JSON.stringify(body)}\n`, headers);
}

export function answerFault(response: ServerResponse, fault: ApiFault): void {
  const { statusCode, code, message, hint, headers, more } = fault;
  answerJson(response, { error: { code, message, hint }, ...more }, statusCode, headers);
}

/** The object that a POST carries. Throws ApiFault for anything else. */
export async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new ApiFault(413, 'body_too_large', `more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = bytes === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new ApiFault(400, 'body_invalid', 'The body is no JSON object', 'See /api/openapi.json');
}

/** A text of the body; throws ApiFault where it is something else, or longer. */
export function textIn(
  body: Record<string, unknown>,
  key: string,
  fallback: string | null,
  charactersMax: number,
): string {
  const value = body[key] ?? fallback;
  if (typeof value === 'string' && value.length <= charactersMax) return value;
  throw invalid(key, `a text of at most ${charactersMax} characters`);
}

export function numberIn(
  body: Record<string, unknown>,
  key: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = body[key] ?? fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw invalid(key, `a number from ${min} to ${max}`);
}

/** A whole number of the query. */
export function countIn({ searchParams }: URL, key: string, fallback: number, min: number, max: number): number {
  const text = searchParams.get(key) ?? '';
  if (text === '') return fallback;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= min && value <= max) return value;
  throw invalid(key, `a whole number from ${min} to ${max}`);
}

/** One of these words of the query. */
export function choiceIn<T extends string>({ searchParams }: URL, key: string, choices: readonly T[], fallback: T): T {
  const text = searchParams.get(key) ?? '';
  if (text === '') return fallback;
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw invalid(key, choices.join(', '));
}

export function invalid(key: string, expected: string): ApiFault {
  return new ApiFault(400, 'request_invalid', `${key} is not as expected`, `Give ${expected}`);
}
