import { writeDecimal } from '../core/decimal.ts';
import type { Message } from '../core/message.ts';

/** One block of output: some hundred small messages, one pass through the socket. */
const BLOCK_BYTES = 64 * 1024;
/** Blocks kept for reuse by all connections: 1 MiB. A longer burst takes memory for as long as it lasts. */
const SPARE_MAX = 16;
/** From this size on a payload goes to the socket as it is instead of being copied. */
const COPIED_BYTES_MAX = 16 * 1024;

const CRLF = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);

/** Blocks of memory that the connections of one port write into in turn; an idle connection holds none. */
export class BlockPool {
  readonly #spare: Buffer[] = [];

  take(bytes: number): Buffer {
    const spare = bytes <= BLOCK_BYTES ? this.#spare.pop() : undefined;
    return spare ?? Buffer.allocUnsafeSlow(Math.max(bytes, BLOCK_BYTES));
  }

  give(block: Buffer): void {
    if (block.length === BLOCK_BYTES && this.#spare.length < SPARE_MAX) this.#spare.push(block);
  }
}

/**
 * Writes operations, box to client, into blocks of memory that are used again once the socket has taken them.
 *
 *     message(), text() ──▶ block ──▶ take() ──▶ one socket write ──▶ recycle()
 */
export class ClientEncoder {
  readonly #pool: BlockPool;
  #block: Buffer = NOTHING;
  /** In `#block`: what is taken ends at `#from`, what is written ends at `#at`. */
  #from = 0;
  #at = 0;
  /** Written and not taken, before what is in `#block`. */
  #segments: Buffer[] = [];
  #segmentBytes = 0;
  /** Full blocks that the socket may still be reading. */
  #retired: Buffer[] = [];

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

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
    // What is written and not taken may lie in any of the blocks.
    if (this.bytes > 0) return;
    for (const block of this.#retired) this.#pool.give(block);
    this.#retired = [];
    this.#pool.give(this.#block);
    this.#block = NOTHING;
    this.#from = 0;
    this.#at = 0;
  }

  /** MSG, or HMSG where there are headers and the client takes them. */
  message(message: Message, sid: string, withHeaders: boolean): void {
    const { reply, headers, payload } = message;
    const subject = message.shownAs ?? message.subject;
    const headerBytes = withHeaders ? headers.length : 0;
    const isCopied = payload.length < COPIED_BYTES_MAX;
    // Three bytes are the most that one UTF-16 unit takes; 48 cover the verb, the blanks and two sizes.
    const units = subject.length + sid.length + reply.length;
    this.#reserve(3 * units + 48 + headerBytes + (isCopied ? payload.length : 0) + 2);
    const block = this.#block;
    if (headerBytes > 0) block[this.#at++] = 0x48; // H
    block[this.#at++] = 0x4d;
    block[this.#at++] = 0x53;
    block[this.#at++] = 0x47;
    this.#token(subject);
    this.#token(sid);
    if (reply !== '') this.#token(reply);
    if (headerBytes > 0) this.#number(headerBytes);
    this.#number(headerBytes + payload.length);
    this.#crlf();
    if (headerBytes > 0) this.#copy(headers);
    if (isCopied) {
      if (payload.length > 0) this.#copy(payload);
      this.#crlf();
      return;
    }
    this.#cutSegment();
    this.#segments.push(payload, CRLF);
    this.#segmentBytes += payload.length + 2;
  }

  /** A whole operation of few bytes: INFO, PING, PONG, +OK, -ERR. */
  text(text: string): void {
    this.#reserve(3 * text.length);
    this.#at += this.#block.write(text, this.#at);
  }

  /** A space and a token. Subjects are short and almost always ASCII, where this loop is faster than a call. */
  #token(token: string): void {
    const block = this.#block;
    let at = this.#at;
    block[at++] = 32;
    for (let i = 0; i < token.length; i++) {
      const code = token.charCodeAt(i);
      if (code > 127) {
        at = this.#at + 1 + block.write(token, this.#at + 1);
        break;
      }
      block[at++] = code;
    }
    this.#at = at;
  }

  /** A space and a decimal number. */
  #number(value: number): void {
    this.#block[this.#at] = 32;
    this.#at = writeDecimal(this.#block, this.#at + 1, value);
  }

  #crlf(): void {
    this.#block[this.#at++] = 13;
    this.#block[this.#at++] = 10;
  }

  #copy(bytes: Buffer): void {
    bytes.copy(this.#block, this.#at);
    this.#at += bytes.length;
  }

  /** Room for this many bytes in one block. */
  #reserve(bytes: number): void {
    if (this.#block.length - this.#at >= bytes) return;
    this.#cutSegment();
    if (this.#block.length > 0) this.#retired.push(this.#block);
    this.#block = this.#pool.take(bytes);
    this.#from = 0;
    this.#at = 0;
  }

  /** What is written in the block becomes a segment to be taken. */
  #cutSegment(): void {
    if (this.#at === this.#from) return;
    this.#segments.push(this.#block.subarray(this.#from, this.#at));
    this.#segmentBytes += this.#at - this.#from;
    this.#from = this.#at;
  }
}
