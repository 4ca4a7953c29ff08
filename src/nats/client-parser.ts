import { isUtf8 } from 'node:buffer';
import { NO_HEADERS } from '../core/message.ts';
import { fault } from './client-fault.ts';

/** What a client may say. Called in stream order; a handler may call `stop()` on the parser. */
export interface ClientOperations {
  connect(json: string): void;
  /** PUB, HPUB. `reply` is '' and `headers` empty where there is none. Buffers may be kept: nobody writes to them. */
  publish(subject: string, reply: string, headers: Buffer, payload: Buffer): void;
  /** `queue` is '' for a plain subscription. */
  subscribe(subject: string, queue: string, sid: string): void;
  /** `max` 0: at once. */
  unsubscribe(sid: string, max: number): void;
  ping(): void;
  pong(): void;
}

const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
/** First letter of CONNECT. */
const C = 99;
/** Nine digits are more than any payload has, and stay exact. */
const DIGITS_MAX = 9;

/**
 * Incremental parser of a client connection. Throws a ClientFault on what a client may not say, and is not to be used
 * after that.
 *
 * Memory: one unfinished control line (at most
 * `lineBytesMax`) and one unfinished payload (at most
 * `payloadBytesMax`). A payload that lies whole inside a chunk is a slice of it; one that is split is copied once.
 *
 *     chunk ──▶ [rest of a split payload] ──▶ [rest of a split line] ──▶ whole lines and payloads ──▶ carry
 */
export class ClientParser {
  readonly #to: ClientOperations;
  readonly #payloadBytesMax: number;
  readonly #lineBytesMax: number;
  #stopped = false;
  /** Nobody knows yet who it is: CONNECT is all that it may say. */
  #isLocked = false;
  #isHeld = false;
  /** Came while it was held. Whoever holds it also stops reading, so it is one chunk, or a few. */
  #later: Buffer = NO_HEADERS;
  /** Beginning of a control line whose end has not come yet. */
  #carry: Buffer = NO_HEADERS;
  /** Where the arguments of the current line begin and end. Bounded by the control line. */
  readonly #begin: number[] = [];
  readonly #end: number[] = [];
  #isAscii = true;

  /** The message whose payload is to come: all of its bytes with the CRLF, 0 between messages. */
  #need = 0;
  /** What has come of it where it is split over chunks. */
  #split: Buffer | null = null;
  #filled = 0;
  #subject = '';
  #reply = '';
  #headerBytes = 0;

  constructor(to: ClientOperations, payloadBytesMax: number, lineBytesMax: number) {
    this.#to = to;
    this.#payloadBytesMax = payloadBytesMax;
    this.#lineBytesMax = lineBytesMax;
  }

  /** Nothing more is handed out, not even the rest of the chunk being parsed. */
  stop(): void {
    this.#stopped = true;
  }

  /** Takes nothing but CONNECT until `unlock`. */
  lock(): void {
    this.#isLocked = true;
  }

  unlock(): void {
    this.#isLocked = false;
  }

  /** Hands nothing out until `release`: what comes is kept. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Throws as `push` does. */
  release(): void {
    this.#isHeld = false;
    const later = this.#later;
    this.#later = NO_HEADERS;
    if (later.length > 0) this.push(later);
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#isHeld) {
        this.#later = Buffer.concat([this.#later, chunk.subarray(at)]);
        return;
      }
      at = this.#need > 0 ? this.#payload(chunk, at) : this.#next(chunk, at);
    }
  }

  /** The next control line, or what this chunk has of it. */
  #next(chunk: Buffer, at: number): number {
    const lineEnd = chunk.indexOf(LF, at);
    const end = lineEnd === -1 ? chunk.length : lineEnd;
    // One more for the CR, which does not count.
    if (this.#carry.length + end - at > this.#lineBytesMax + 1) throw fault.controlLine();
    if (lineEnd === -1) {
      this.#carry = Buffer.concat([this.#carry, chunk.subarray(at)]);
    } else if (this.#carry.length === 0) {
      this.#line(chunk, at, end);
    } else {
      const line = Buffer.concat([this.#carry, chunk.subarray(at, end)]);
      this.#carry = NO_HEADERS;
      this.#line(line, 0, line.length);
    }
    return end + 1;
  }

  #payload(chunk: Buffer, at: number): number {
    const need = this.#need;
    if (this.#split === null) {
      if (chunk.length - at >= need) {
        this.#finish(chunk, at);
        return at + need;
      }
      this.#split = Buffer.allocUnsafe(need);
      this.#filled = 0;
    }
    const copied = chunk.copy(this.#split, this.#filled, at);
    this.#filled += copied;
    if (this.#filled === need) this.#finish(this.#split, 0);
    return at + copied;
  }

  #finish(bytes: Buffer, from: number): void {
    const end = from + this.#need - 2;
    if (bytes[end] !== CR || bytes[end + 1] !== LF) throw fault.unknownOperation();
    const headersEnd = from + this.#headerBytes;
    const headers = this.#headerBytes === 0 ? NO_HEADERS : bytes.subarray(from, headersEnd);
    this.#need = 0;
    this.#split = null;
    this.#to.publish(this.#subject, this.#reply, headers, bytes.subarray(headersEnd, end));
  }

  /** One control line, in [from, lineEnd), with or without its CR. */
  #line(line: Buffer, from: number, lineEnd: number): void {
    const end = lineEnd > from && line[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    if (end - from > this.#lineBytesMax) throw fault.controlLine();
    let verbEnd = from;
    while (verbEnd < end && line[verbEnd] !== SPACE && line[verbEnd] !== TAB) verbEnd++;
    const length = verbEnd - from;
    if (this.#isLocked && ((line[from] as number) | 0x20) !== C) throw fault.authorization();
    if (length === 3 && isVerb(line, from, 'pub')) this.#publish(line, verbEnd, end, false);
    else if (length === 4 && isVerb(line, from, 'hpub')) this.#publish(line, verbEnd, end, true);
    else if (length === 3 && isVerb(line, from, 'sub')) this.#subscribe(line, verbEnd, end);
    else if (length === 5 && isVerb(line, from, 'unsub')) this.#unsubscribe(line, verbEnd, end);
    else if (length === 4 && isVerb(line, from, 'ping')) this.#to.ping();
    else if (length === 4 && isVerb(line, from, 'pong')) this.#to.pong();
    else if (length === 7 && isVerb(line, from, 'connect')) this.#to.connect(line.toString('utf8', verbEnd, end));
    // As a server takes it from anybody, to no effect.
    else if (!(length === 3 && isVerb(line, from, '+ok'))) throw fault.unknownOperation();
  }

  /** `PUB subject [reply] size`, `HPUB subject [reply] header-size total-size`. */
  #publish(line: Buffer, from: number, end: number, hasHeaders: boolean): void {
    const count = this.#arguments(line, from, end);
    const sizes = hasHeaders ? 2 : 1;
    if (count !== sizes + 1 && count !== sizes + 2) throw fault.unknownOperation();
    const total = this.#number(line, count - 1);
    const headers = hasHeaders ? this.#number(line, count - 2) : 0;
    if (headers > total) throw fault.unknownOperation();
    if (total > this.#payloadBytesMax) throw fault.payload();
    this.#subject = this.#text(line, 0);
    this.#reply = count === sizes + 2 ? this.#text(line, 1) : '';
    this.#headerBytes = headers;
    this.#need = total + 2;
  }

  /** `SUB subject [queue] sid`. */
  #subscribe(line: Buffer, from: number, end: number): void {
    const count = this.#arguments(line, from, end);
    if (count !== 2 && count !== 3) throw fault.unknownOperation();
    this.#to.subscribe(this.#text(line, 0), count === 3 ? this.#text(line, 1) : '', this.#text(line, count - 1));
  }

  /** `UNSUB sid [max]`. */
  #unsubscribe(line: Buffer, from: number, end: number): void {
    const count = this.#arguments(line, from, end);
    if (count !== 1 && count !== 2) throw fault.unknownOperation();
    this.#to.unsubscribe(this.#text(line, 0), count === 2 ? this.#number(line, 1) : 0);
  }

  /** Finds the arguments in [from, end); returns how many there are. */
  #arguments(line: Buffer, from: number, end: number): number {
    let count = 0;
    let isInside = false;
    let bits = 0;
    for (let i = from; i < end; i++) {
      const byte = line[i] as number;
      bits |= byte;
      if (byte === SPACE || byte === TAB) {
        if (isInside) this.#end[count++] = i;
        isInside = false;
      } else if (!isInside) {
        this.#begin[count] = i;
        isInside = true;
      }
    }
    if (isInside) this.#end[count++] = end;
    this.#isAscii = bits < 128;
    return count;
  }

  /** What is not UTF-8 would be read as another subject. */
  #text(line: Buffer, index: number): string {
    const begin = this.#begin[index] as number;
    const end = this.#end[index] as number;
    if (this.#isAscii) return line.toString('latin1', begin, end);
    if (!isUtf8(line.subarray(begin, end))) throw fault.unknownOperation();
    return line.toString('utf8', begin, end);
  }

  #number(line: Buffer, index: number): number {
    const begin = this.#begin[index] as number;
    const end = this.#end[index] as number;
    if (end - begin > DIGITS_MAX) throw fault.payload();
    let value = 0;
    for (let i = begin; i < end; i++) {
      const digit = (line[i] as number) - 48;
      if (digit < 0 || digit > 9) throw fault.unknownOperation();
      value = value * 10 + digit;
    }
    return value;
  }
}

/** `verb` is in lower case; bit 5 set makes a letter of either case lower. */
function isVerb(line: Buffer, from: number, verb: string): boolean {
  for (let i = 0; i < verb.length; i++) if (((line[from + i] as number) | 0x20) !== verb.charCodeAt(i)) return false;
  return true;
}
