/** One delivery of a consumer, as its acknowledgement subject tells it. */
export interface Delivery {
  /** How often the hub has delivered the message, this time included. */
  readonly deliveries: number;
  readonly streamSequence: number;
  /** Grows by one with every delivery of the consumer: a gap tells that one was lost on the way. */
  readonly consumerSequence: number;
  /** When the stream stored it, by the hub's clock, milliseconds since 1970. */
  readonly storedAtMs: number;
  /** Messages of the consumer that were not delivered yet. */
  readonly pending: number;
}

/** `$JS.ACK.<stream>.<consumer>.<5 numbers>`, and the form with domain and account in front and a token behind. */
const SHORT_TOKENS = 9;
const LONG_TOKENS_MIN = 11;
const NS_PER_MS = 1_000_000n;

/** Null where the subject is no acknowledgement of a consumer. */
export function readDelivery(reply: string): Delivery | null {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK') return null;
  if (tokens.length !== SHORT_TOKENS && tokens.length < LONG_TOKENS_MIN) return null;
  const first = tokens.length === SHORT_TOKENS ? 4 : 6;
  const numbers = tokens.slice(first, first + 5);
  if (!numbers.every((token) => /^\d{1,19}$/.test(token))) return null;
  const [deliveries = 0, streamSequence = 0, consumerSequence = 0, , pending = 0] = numbers.map(Number);
  const storedAtMs = Number(BigInt(numbers[3] ?? 0) / NS_PER_MS);
  return { deliveries, streamSequence, consumerSequence, storedAtMs, pending };
}
