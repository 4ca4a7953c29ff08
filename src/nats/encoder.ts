import { writeDecimal } from '../core/decimal.ts';

/** What the encoder made of a message. */
export type Encoded = 'ok' | 'illegal' | 'too-long';

/** One block of output: some hundred small messages, one pass through the socket. */
const CHUNK_BYTES = 64 * 1024;
/** Blocks kept for reuse; a longer burst takes memory for as long as it lasts. */
const SPARE_MAX = 4;
/** From this size on a payload goes to the socket as it is instead of being copied. */
const COPIED_BYTES_MAX = 16 * 1024;
/** What a hub takes as one control line (4096 times 16 bytes). */
const CONTROL_LINE_BYTES_MAX = 64 * 1024;

const CRLF = Buffer.from('\r\n');
const PING = Buffer.from('PING\r\n');
const PONG = Buffer.from('PONG\r\n');

/**
 * Writes leaf operations, box to hub, into blocks of memory that are used again once the socket has taken them.
 *
 *     message(), subscribe(), … ──▶ block ──▶ take() ──▶ one socket write ──▶ recycle()
 */
export class LeafEncoder {
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** In `#chunk`: what is taken ends at `#from`, what is written ends at `#at`. */
  #from = 0;
  #at = 0;
  /** Written and not taken, before what is in `#chunk`. */
  #segments: Buffer[] = [];
  #segmentBytes = 0;
  /** Full blocks that the socket may still be reading. */
  #retired: Buffer[] = [];
  readonly #spare: Buffer[] = [];

  /** Bytes written and not yet taken. */
  get bytes(): number {
    return this.#segmentBytes + this.#at - this.#from;
  }

  /** Everything written so far, in order. The memory stays ours: hand it to the socket and call `recycle` afterwards. */
  take(): Buffer[] {
    this.#cutSegment();
    const taken = this.#segments;
    this.#segments = [];
    this.#segmentBytes = 0;
    return taken;
  }

  /** The socket has let go of everything that was taken: memory may be used again. */
  recycle(): void {
    if (this.bytes > 0) return;
    this.#from = 0;
    this.#at = 0;
    for (const chunk of this.#retired) {
      if (chunk.length === CHUNK_BYTES && this.#spare.length < SPARE_MAX) this.#spare.push(chunk);
    }
    this.#retired = [];
  }

  /**
   * LMSG, or HMSG where there are headers. `queues` are the queue groups at the hub that shall get it.
   * 'illegal': a subject with white space or control characters, which would forge operations; 'too-long': a control
   * line longer than a hub takes. Nothing is written then.
   */
  message(subject: string, reply: string, queues: readonly string[], headers: Buffer, payload: Buffer): Encoded {
    let units = subject.length + reply.length;
    for (let i = 0; i < queues.length; i++) units += (queues[i] as string).length + 1;
    if (units > CONTROL_LINE_BYTES_MAX) return 'too-long';
    const copied = payload.length < COPIED_BYTES_MAX;
    // Three bytes are the most that one UTF-16 unit takes; 48 cover the verb, the marks and two sizes.
    this.#reserve(3 * units + 48 + headers.length + (copied ? payload.length : 0) + 2);
    const start = this.#at;
    const chunk = this.#chunk;
    chunk[this.#at++] = headers.length > 0 ? 0x48 /* H */ : 0x4c /* L */;
    chunk[this.#at++] = 0x4d;
    chunk[this.#at++] = 0x53;
    chunk[this.#at++] = 0x47;
    let legal = this.#token(subject);
    if (queues.length > 0) {
      this.#mark(reply === '' ? 0x7c /* | */ : 0x2b /* + */);
      if (reply !== '') legal = this.#token(reply) && legal;
      for (let i = 0; i < queues.length; i++) legal = this.#token(queues[i] as string) && legal;
    } else if (reply !== '') {
      legal = this.#token(reply) && legal;
    }
    if (headers.length > 0) this.#number(headers.length);
    this.#number(headers.length + payload.length);
    this.#crlf();
    if (!legal || this.#at - start > CONTROL_LINE_BYTES_MAX) {
      this.#at = start;
      return legal ? 'too-long' : 'illegal';
    }
    if (headers.length > 0) this.#copy(headers);
    if (copied) {
      if (payload.length > 0) this.#copy(payload);
      this.#crlf();
      return 'ok';
    }
    this.#cutSegment();
    this.#segments.push(payload, CRLF);
    this.#segmentBytes += payload.length + 2;
    return 'ok';
  }

  /** LS+; `weight` is the number of local members of the queue group, unused for a plain subscription (queue ''). */
  subscribe(filter: string, queue: string, weight: number): Encoded {
    return this.#interest(0x2b /* + */, filter, queue, weight);
  }

  /** LS-. */
  unsubscribe(filter: string, queue: string): Encoded {
    return this.#interest(0x2d /* - */, filter, queue, 0);
  }

  /** CONNECT with its fields; once for each connection. */
  connect(fields: Readonly<Record<string, unknown>>): void {
    this.#text(`CONNECT ${JSON.stringify(fields)}\r\n`);
  }

  ping(): void {
    this.#reserve(PING.length);
    this.#copy(PING);
  }

  pong(): void {
    this.#reserve(PONG.length);
    this.#copy(PONG);
  }

  /** -ERR: why the box is about to close. */
  error(text: string): void {
    this.#text(`-ERR '${text.replace(/['\r\n]/g, ' ')}'\r\n`);
  }

  #interest(sign: number, filter: string, queue: string, weight: number): Encoded {
    if (filter.length + queue.length > CONTROL_LINE_BYTES_MAX) return 'too-long';
    this.#reserve(3 * (filter.length + queue.length) + 32);
    const start = this.#at;
    const chunk = this.#chunk;
    chunk[this.#at++] = 0x4c; // L
    chunk[this.#at++] = 0x53; // S
    chunk[this.#at++] = sign;
    let legal = this.#token(filter);
    if (queue !== '') {
      legal = this.#token(queue) && legal;
      if (sign === 0x2b) this.#number(weight);
    }
    this.#crlf();
    if (legal && this.#at - start <= CONTROL_LINE_BYTES_MAX) return 'ok';
    this.#at = start;
    return legal ? 'too-long' : 'illegal';
  }

  /** A space and a token; false where it is empty or has white space or control characters. */
  #token(token: string): boolean {
    const chunk = this.#chunk;
    let at = this.#at;
    chunk[at++] = 32;
    const length = token.length;
    let legal = length > 0;
    // Subjects are short and almost always ASCII, where this loop is faster than a call into the runtime.
    for (let i = 0; i < length; i++) {
      const code = token.charCodeAt(i);
      if (code > 127) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
        if (/[\u0000-\u0020\u007f]/.test(token)) legal = false;
        at = this.#at + 1 + chunk.write(token, this.#at + 1);
        break;
      }
      if (code <= 32 || code === 127) legal = false;
      chunk[at++] = code;
    }
    this.#at = at;
    return legal;
  }

  #mark(byte: number): void {
    this.#chunk[this.#at++] = 32;
    this.#chunk[this.#at++] = byte;
  }

  /** A space and a decimal number. */
  #number(value: number): void {
    this.#chunk[this.#at] = 32;
    this.#at = writeDecimal(this.#chunk, this.#at + 1, value);
  }

  #crlf(): void {
    this.#chunk[this.#at++] = 13;
    this.#chunk[this.#at++] = 10;
  }

  #copy(bytes: Buffer): void {
    bytes.copy(this.#chunk, this.#at);
    this.#at += bytes.length;
  }

  #text(text: string): void {
    this.#reserve(3 * text.length);
    this.#at += this.#chunk.write(text, this.#at);
  }

  /** Room for this many bytes in one block. */
  #reserve(bytes: number): void {
    if (this.#chunk.length - this.#at >= bytes) return;
    this.#cutSegment();
    this.#retired.push(this.#chunk);
    this.#chunk =
      (bytes <= CHUNK_BYTES ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK_BYTES));
    this.#from = 0;
    this.#at = 0;
  }

  /** What is written in the block becomes a segment to be taken. */
  #cutSegment(): void {
    if (this.#at === this.#from) return;
    this.#segments.push(this.#chunk.subarray(this.#from, this.#at));
    this.#segmentBytes += this.#at - this.#from;
    this.#from = this.#at;
  }
}
