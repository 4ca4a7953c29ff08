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

/** Streams that are told apart at once: more than the lanes of a box write to. */
const STARTS_MAX = 16;
/** The sequence is the last thing in it, and a number that a double holds. The quote opens a key: see `PubAckReader`. */
const ENDS_WITH_SEQUENCE = /[{,\s]"seq":\s*([1-9]\d{0,14})\}$/;
const DIGITS_MAX = 15;

/**
 * Reads PubAcks, most of them without parsing: what one stream answers differs in its last number alone.
 *
 *   {"stream":"S","seq":41}      what comes before the number is remembered, with the name of the stream
 *   {"stream":"S","seq":42}      the same bytes, digits, a brace: nothing else can have changed
 *
 * In JSON a quote behind a brace, a comma or a space opens or ends a string; were this one the end of one, `seq` would
 * stand outside of all strings, which is no JSON.
 */
export class PubAckReader {
  #starts: { readonly bytes: Buffer; readonly stream: string }[] = [];

  /** As `readPubAck`. */
  read(payload: Buffer): PubAck | null {
    for (const { bytes, stream } of this.#starts) {
      const sequence = sequenceBehind(bytes, payload);
      if (sequence > 0) return { stream, sequence, duplicate: false, batched: 0, error: null };
    }
    const ack = readPubAck(payload);
    if (ack && !ack.error && !ack.duplicate && ack.batched === 0) this.#learn(payload, ack.stream);
    return ack;
  }

  #learn(payload: Buffer, stream: string): void {
    const digits = ENDS_WITH_SEQUENCE.exec(payload.toString('latin1'))?.[1];
    if (digits === undefined) return;
    if (this.#starts.length >= STARTS_MAX) this.#starts = [];
    // A copy: the payload is a piece of all that came with it.
    this.#starts.push({ bytes: Buffer.from(payload.subarray(0, payload.length - digits.length - 1)), stream });
  }
}

/** The number between `start` and the brace that ends the payload; 0 where that is not all there is. */
function sequenceBehind(start: Buffer, payload: Buffer): number {
  const end = payload.length - 1;
  const digits = end - start.length;
  if (digits < 1 || digits > DIGITS_MAX || payload[end] !== BRACE) return 0;
  for (let i = 0; i < start.length; i++) if (payload[i] !== start[i]) return 0;
  // JSON knows no leading zeros.
  if (payload[start.length] === ZERO) return 0;
  let value = 0;
  for (let i = start.length; i < end; i++) {
    const digit = (payload[i] as number) - ZERO;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value;
}

const BRACE = 125;
const ZERO = 48;

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
