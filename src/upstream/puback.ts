/** What a stream answers to a publish. */
export interface PubAck {
  stream: string;
  sequence: number;
  duplicate: boolean;
  /** Messages of the atomic batch that this commits; 0 where it answers a single message. */
  batched: number;
  error: { code: number; errorCode: number; description: string } | null;
}

/** Null where the bytes are no PubAck. Spacing differs between server versions, so it is parsed, not compared. */
export function readPubAck(payload: Buffer): PubAck | null {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { stream, seq, duplicate, count, error } = value as {
    stream?: unknown;
    seq?: unknown;
    duplicate?: unknown;
    count?: unknown;
    error?: unknown;
  };
  if (typeof error === 'object' && error !== null) {
    const { code, err_code, description } = error as { code?: unknown; err_code?: unknown; description?: unknown };
    // Without a number of JetStream's it is the answer of somebody else who listens on the subject.
    if (typeof err_code !== 'number') return null;
    return {
      stream: typeof stream === 'string' ? stream : '',
      sequence: 0,
      duplicate: false,
      batched: 0,
      error: { code: Number(code ?? 0), errorCode: err_code, description: String(description ?? '') },
    };
  }
  if (typeof stream !== 'string' || typeof seq !== 'number') return null;
  const batched = typeof count === 'number' ? count : 0;
  return { stream, sequence: seq, duplicate: duplicate === true, batched, error: null };
}

/**
 * What an error means for the lane. `doubt`: the predicted sequence was wrong, so look again. `busy`: the stream or the
 * hub can't take it now. `never`: this record will not be taken, whatever we do. `unclear`: not known here, so nobody can
 * say that the record was not stored all the same.
 */
export function meaningOf(errorCode: number): 'doubt' | 'busy' | 'never' | 'unclear' {
  switch (errorCode) {
    case 10071: // wrong last sequence
    case 10164: // the same, while another write is under way
    case 10060: // expected stream does not match: the subject went to another stream
    case 10111: // rollup not permitted: the stream was changed
    case 10174: // no atomic batches: the same
    case 10176: // a batch with a gap: one of its messages was refused, or too many batches are open
    case 10199: // a batch of too many messages
      return 'doubt';
    case 10054: // message larger than the stream allows
      return 'never';
    case 10077: // store failed: the stream is full
    case 10047: // out of storage
    case 10023: // out of resources
    case 10167: // too many requests
      return 'busy';
    default:
      return 'unclear';
  }
}
