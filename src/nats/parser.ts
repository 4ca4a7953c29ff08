import { GatewayError } from '../core/errors.ts';
import { NO_HEADERS } from '../core/message.ts';

/** What a hub may say on a leaf link. Called in stream order; a handler may call `stop()` on the parser. */
export interface LeafOperations {
  info(json: string): void;
  ping(): void;
  pong(): void;
  /** -ERR; the text without its quotes. */
  error(text: string): void;
  /** LS+ `weight` is the number of members of a queue group, 1 for a plain subscription (queue ''). */
  subscribe(filter: string, queue: string, weight: number): void;
  unsubscribe(filter: string, queue: string): void;
  /** LMSG, HMSG. `reply` is '' and `headers` empty where there is none. Buffers may be kept: nobody writes to them. */
  message(subject: string, reply: string, queues: readonly string[], headers: Buffer, payload: Buffer): void;
  /** A message above `payloadBytesMax` has been skipped. */
  oversize(subject: string, bytes: number): void;
}

/** The control line that hubs themselves accept at most (4096 times 16 bytes). */
export const controlLineBytesMax = 64 * 1024;
/** INFO carries whole permission lists and address lists, so it may be longer; still small beside the box's memory. */
export const infoBytesMax = 512 * 1024;
/** Eight times the default of a hub, and what a small box can hold at once. A larger message is skipped and counted. */
export const payloadBytesMax = 8 * 1024 * 1024;
/** No stock hub can be configured to carry more; a larger size is not a size. */
const payloadBytesAbsurd = 64 * 1024 * 1024;

const NO_QUEUES: readonly string[] = [];
const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
const PLUS = 43;
const MINUS = 45;
const BAR = 124;
/** Lower case; a byte of either case with bit 5 set. */
const LETTER = { g: 103, h: 104, i: 105, l: 108, m: 109, n: 110, o: 111, p: 112, s: 115 } as const;

function violation(message: string): GatewayError {
  return new GatewayError('protocol_violation', message, {
    hint: 'The far end does not speak the leafnode protocol as expected: check that the address is a leafnode port.',
  });
}

/** A few bytes of what came, safe to print. */
function excerpt(buffer: Buffer, from: number, to: number): string {
  return JSON.stringify(buffer.toString('latin1', from, Math.min(to, from + 32)));
}

/** Alike whether a line comes in one piece or in many. */
function checkLength(first: number, bytes: number): void {
  const max = (first | 32) === LETTER.i ? infoBytesMax : controlLineBytesMax;
  if (bytes > max) throw violation(`control line longer than ${max} bytes`);
}

/**
 * Incremental parser of a leaf link, hub to box. Throws a GatewayError `protocol_violation` on anything else and is
 * not to be used after that.
 *
 * Memory: one unfinished control line (at most `infoBytesMax`) and one unfinished payload (at most `payloadBytesMax`).
 * A payload that lies whole inside a chunk is a slice of it; one that is split is copied once.
 *
 *     chunk ──▶ [rest of a split payload] ──▶ [rest of a split line] ──▶ whole lines and payloads ──▶ carry
 */
export class LeafParser {
  readonly #to: LeafOperations;
  readonly #payloadBytesMax: number;
  #stopped = false;

  /** Beginning of a control line whose end has not come yet. */
  #carry: Buffer = NO_HEADERS;
  #carried = 0;

  /** Where the arguments of the current line begin and end. Bounded by the control line. */
  readonly #begin: number[] = [];
  readonly #end: number[] = [];
  #ascii = true;

  /** The message whose payload has not come whole yet: bytes still missing, its CRLF included. */
  #missing = 0;
  #skipping = false;
  #split: Buffer = NO_HEADERS;
  #subject = '';
  #reply = '';
  #queues: readonly string[] = NO_QUEUES;
  #headerBytes = 0;
  #totalBytes = 0;

  constructor(to: LeafOperations, bytesMax: number = payloadBytesMax) {
    this.#to = to;
    this.#payloadBytesMax = bytesMax;
  }

  /** Nothing more is handed out, not even the rest of the chunk being parsed. */
  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#missing === 0) at = this.#next(chunk, at);
      else if (this.#missing === this.#totalBytes + 2 && chunk.length - at >= this.#missing && !this.#skipping) {
        at = this.#whole(chunk, at);
      } else {
        at = this.#fill(chunk, at);
      }
    }
  }

  /** The next control line, or what this chunk has of it. */
  #next(chunk: Buffer, at: number): number {
    const lineEnd = chunk.indexOf(LF, at);
    if (lineEnd === -1) {
      this.#keep(chunk, at, chunk.length);
      return chunk.length;
    }
    if (this.#carried === 0) {
      checkLength(chunk[at] ?? 0, lineEnd - at);
      this.#line(chunk, at, lineEnd);
      return lineEnd + 1;
    }
    this.#keep(chunk, at, lineEnd);
    const end = this.#carried;
    this.#carried = 0;
    this.#line(this.#carry, 0, end);
    // A long INFO comes rarely: its buffer is not worth keeping.
    if (this.#carry.length > controlLineBytesMax) this.#carry = NO_HEADERS;
    return lineEnd + 1;
  }

  /** The hot path: header block, payload and CRLF lie in this chunk. */
  #whole(chunk: Buffer, at: number): number {
    const payload = at + this.#headerBytes;
    const end = at + this.#totalBytes;
    if (chunk[end] !== CR || chunk[end + 1] !== LF)
      throw violation(`payload of ${this.#subject} does not end where it said`);
    this.#missing = 0;
    const headers = this.#headerBytes === 0 ? NO_HEADERS : chunk.subarray(at, payload);
    this.#to.message(this.#subject, this.#reply, this.#queues, headers, chunk.subarray(payload, end));
    return end + 2;
  }

  /** Takes what this chunk has of a split payload. */
  #fill(chunk: Buffer, at: number): number {
    const size = this.#totalBytes + 2;
    const take = Math.min(this.#missing, chunk.length - at);
    if (!this.#skipping) {
      if (this.#missing === size) this.#split = Buffer.allocUnsafeSlow(size);
      chunk.copy(this.#split, size - this.#missing, at, at + take);
    }
    this.#missing -= take;
    if (this.#missing === 0 && this.#skipping) {
      this.#skipping = false;
      this.#to.oversize(this.#subject, this.#totalBytes);
    } else if (this.#missing === 0) {
      const message = this.#split;
      this.#split = NO_HEADERS;
      this.#whole(message, 0);
    }
    return at + take;
  }

  /** Keeps a part of a control line, within its bound. */
  #keep(chunk: Buffer, from: number, to: number): void {
    const size = this.#carried + to - from;
    checkLength((this.#carried > 0 ? this.#carry[0] : chunk[from]) ?? 0, size);
    if (size > this.#carry.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(infoBytesMax, Math.max(256, 2 * size)));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = size;
  }

  /** One control line, [from, end) without its LF. Verbs are case-insensitive. */
  #line(line: Buffer, from: number, lineEnd: number): void {
    const end = lineEnd > from && line[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    const a = (line[from] ?? 0) | 32;
    const b = (line[from + 1] ?? 0) | 32;
    const c = (line[from + 2] ?? 0) | 32;
    const d = (line[from + 3] ?? 0) | 32;
    const length = end - from;
    if (a === LETTER.l && b === LETTER.m && c === LETTER.s && d === LETTER.g && length > 4) {
      this.#message(line, from, end, 1);
    } else if (a === LETTER.h && b === LETTER.m && c === LETTER.s && d === LETTER.g && length > 4) {
      this.#message(line, from, end, 2);
    } else if (a === LETTER.l && b === LETTER.s && line[from + 2] === PLUS) {
      this.#subscribe(line, from, end);
    } else if (a === LETTER.l && b === LETTER.s && line[from + 2] === MINUS) {
      this.#unsubscribe(line, from, end);
    } else if (a === LETTER.p && b === LETTER.i && c === LETTER.n && d === LETTER.g && length === 4) {
      this.#to.ping();
    } else if (a === LETTER.p && b === LETTER.o && c === LETTER.n && d === LETTER.g && length === 4) {
      this.#to.pong();
    } else {
      this.#rare(line, from, end);
    }
  }

  /** What comes a few times in the life of a link. */
  #rare(line: Buffer, from: number, end: number): void {
    const [verb = '', ...rest] = line.toString('utf8', from, end).split(' ');
    const text = rest.join(' ').trim();
    if (/^info$/i.test(verb)) this.#to.info(text);
    else if (/^-err$/i.test(verb)) this.#to.error(text.replace(/^'(.*)'$/s, '$1'));
    else if (!/^\+ok$/i.test(verb)) throw violation(`unknown operation ${excerpt(line, from, end)}`);
  }

  /** Finds the arguments behind a verb, in [from, end); returns how many there are. */
  #arguments(line: Buffer, from: number, end: number): number {
    let count = 0;
    let inside = false;
    let bits = 0;
    for (let i = from; i < end; i++) {
      const byte = line[i] as number;
      bits |= byte;
      if (byte === SPACE || byte === TAB) {
        if (inside) this.#end[count++] = i;
        inside = false;
      } else if (!inside) {
        this.#begin[count] = i;
        inside = true;
      }
    }
    if (inside) this.#end[count++] = end;
    if (count > 0 && this.#begin[0] === from) throw violation(`unknown operation ${excerpt(line, from - 4, end)}`);
    this.#ascii = bits < 128;
    return count;
  }

  #text(line: Buffer, index: number): string {
    const begin = this.#begin[index] as number;
    const end = this.#end[index] as number;
    return this.#ascii ? line.toString('latin1', begin, end) : line.toString('utf8', begin, end);
  }

  #number(line: Buffer, index: number, from: number, lineEnd: number): number {
    const begin = this.#begin[index] as number;
    const end = this.#end[index] as number;
    let value = end - begin > 9 ? Number.NaN : 0;
    for (let i = begin; i < end; i++) {
      const digit = (line[i] as number) - 48;
      value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
    }
    if (Number.isNaN(value)) throw violation(`a number was expected in ${excerpt(line, from, lineEnd)}`);
    return value;
  }

  /** `LMSG subject [reply] size`, `LMSG subject | queue… size`, `LMSG subject + reply queue… size`; HMSG has two sizes. */
  #message(line: Buffer, from: number, end: number, sizes: 1 | 2): void {
    const rest = this.#arguments(line, from + 4, end) - sizes;
    if (rest < 1) throw violation(`too few arguments in ${excerpt(line, from, end)}`);
    // The sizes are the one part with a fixed place, so the line is read from its end.
    const total = this.#number(line, rest + sizes - 1, from, end);
    const headers = sizes === 2 ? this.#number(line, rest, from, end) : 0;
    if (headers > total || total > payloadBytesAbsurd) throw violation(`bad size in ${excerpt(line, from, end)}`);
    let queuesFrom = rest;
    this.#reply = '';
    if (rest === 2) this.#reply = this.#text(line, 1);
    else if (rest > 2) {
      const mark = this.#end[1] === (this.#begin[1] as number) + 1 ? line[this.#begin[1] as number] : 0;
      if (mark !== PLUS && mark !== BAR) throw violation(`neither + nor | in ${excerpt(line, from, end)}`);
      queuesFrom = mark === PLUS ? 3 : 2;
      if (mark === PLUS) this.#reply = this.#text(line, 2);
    }
    this.#queues = NO_QUEUES;
    if (queuesFrom < rest) {
      const queues: string[] = [];
      for (let i = queuesFrom; i < rest; i++) queues.push(this.#text(line, i));
      this.#queues = queues;
    }
    this.#subject = this.#text(line, 0);
    this.#headerBytes = headers;
    this.#totalBytes = total;
    this.#missing = total + 2;
    this.#skipping = total > this.#payloadBytesMax;
  }

  #subscribe(line: Buffer, from: number, end: number): void {
    const count = this.#arguments(line, from + 3, end);
    if (count === 1) this.#to.subscribe(this.#text(line, 0), '', 1);
    else if (count !== 3) throw violation(`LS+ with ${count} arguments`);
    else this.#to.subscribe(this.#text(line, 0), this.#text(line, 1), this.#number(line, 2, from, end));
  }

  #unsubscribe(line: Buffer, from: number, end: number): void {
    const count = this.#arguments(line, from + 3, end);
    if (count !== 1 && count !== 2) throw violation(`LS- with ${count} arguments`);
    this.#to.unsubscribe(this.#text(line, 0), count === 2 ? this.#text(line, 1) : '');
  }
}
