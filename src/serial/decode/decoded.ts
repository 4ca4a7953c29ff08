/** What a frame says: its fields by name. `whole` is what goes out where nothing else is asked for. */
export interface Decoded {
  readonly fields: Readonly<Record<string, unknown>>;
  /** The JSON value of the frame, where it is not the object of its fields (JSON arrays and single values, text). */
  readonly whole?: unknown;
}

/**
 * Why a frame could not be decoded:
 * - not_text: its bytes are none in this encoding
 * - not_json, too_deep: no JSON, or nested deeper than a reading ever is
 * - no_match: the pattern, or the layout of columns and pairs, does not fit
 * - too_short: a field lies behind the end of the frame
 * - out_of_range: a number that no double can hold
 * - bad_value: not what the field's type says
 */
export const decodeFaults = [
  'not_text',
  'not_json',
  'too_deep',
  'no_match',
  'too_short',
  'out_of_range',
  'bad_value',
] as const;
export type DecodeFault = (typeof decodeFaults)[number];

/** A frame that could not be decoded is a value, not an exception of ours; thrown and caught within the pipeline. */
export class DecodeError extends Error {
  readonly fault: DecodeFault;

  constructor(fault: DecodeFault, message: string) {
    super(message);
    this.name = 'DecodeError';
    this.fault = fault;
  }
}

export type Decoder = (frame: Buffer) => Decoded;
