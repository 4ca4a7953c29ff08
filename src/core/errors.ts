/**
 * The one catalogue of what the world can do to us. A mistake of ours is an assertion (`node:assert`), never one of
 * these. Decide by `code` or `retriable`, never by the text.
 */
export const errorCodes = [
  'config_invalid',
  'address_in_use',
  'address_not_available',
  'listen_denied',
  'name_not_found',
  'connection_refused',
  'connection_timeout',
  'connection_closed',
  'tls_failed',
  'authorization_failed',
  'credentials_invalid',
  'credentials_expired',
  'proxy_refused',
  'wrong_account',
  'wrong_port',
  'protocol_violation',
  'hub_error',
  'hub_loop',
  'hub_duplicate',
  'hub_leaving',
  'hub_no_headers',
  'hub_too_old',
  'hub_no_jetstream',
  'no_stream',
  'no_interest',
  'stream_refused',
  'stream_busy',
  'permission_denied',
  'payload_too_large',
  'stale_connection',
  'slow_consumer',
  'port_missing',
  'port_ambiguous',
  'port_busy',
  'port_lent',
  'port_failed',
  'port_lost',
  'port_silent',
  'modbus_exception',
  'bridge_refused',
  'firmware_refused',
  'not_connected',
  'request_timeout',
  'lane_full',
  'queue_full',
  'retained_full',
  'disk_full',
  'store_failed',
  'store_corrupt',
  'store_locked',
  'paused',
  'stopping',
  'update_under_way',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface GatewayErrorOptions {
  /** True where the same attempt may succeed later without anybody changing anything. */
  retriable?: boolean;
  /** One sentence for the operator: how to mend it. */
  hint?: string;
  /** When a retry makes sense only after a known time. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** A failure of the world. `message` says what and where, `hint` how to mend it. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly retriable: boolean;
  readonly hint: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.retriable = options.retriable ?? true;
    this.hint = options.hint ?? '';
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What the log and the status page show of an error: no stack for a failure of the world. */
export function describeError(error: unknown): { code: string; message: string; hint: string } {
  if (error instanceof GatewayError) return { code: error.code, message: error.message, hint: error.hint };
  if (error instanceof Error) return { code: 'internal', message: error.message, hint: '' };
  return { code: 'internal', message: String(error), hint: '' };
}
