import assert from 'node:assert/strict';
import { acknowledgementRefused } from './packet-encoder.ts';

/** No answer yet. */
const WAITING = -1;
/** No answer ever: what came later is not acknowledged either. */
const HELD = -2;
/** Most sensors have one or two messages under way. */
const SLOTS_MIN = 8;
/** Sequence numbers wrap here: a power of two above every capacity, and a small integer to the engine. */
const SEQUENCE_MASK = 0x3fff_ffff;

/** First bytes of the answers. */
export const PUBACK = 0x40;
export const PUBREC = 0x50;

/**
 * The QoS 1 and 2 messages of one connection that have no PUBACK or PUBREC yet, in the order of their PUBLISHes. The
 * receipts come in any order (a live message at once, a journaled one after its commit), the answers go out in order
 * [MQTT-4.6.0-2] [MQTT-4.6.0-3].
 */
export class ReceiptWindow {
  #packetIdentifiers = new Uint16Array(SLOTS_MIN);
  /** Reason code, WAITING or HELD. */
  #codes = new Int16Array(SLOTS_MIN);
  /** PUBACK or PUBREC. */
  #answers = new Uint8Array(SLOTS_MIN);
  /** Reason strings of refusals, by token. */
  readonly #texts = new Map<number, string>();
  #head = 0;
  #size = 0;
  #pubacks = 0;

  /** Messages whose answer has not been taken. */
  get size(): number {
    return this.#size;
  }

  /** Those of QoS 1. */
  get pubacks(): number {
    return this.#pubacks;
  }

  /** Returns the token that settles it. The caller bounds `size`. */
  add(packetIdentifier: number, answer: number = PUBACK): number {
    if (this.#size === this.#codes.length) this.#grow();
    const token = (this.#head + this.#size) & SEQUENCE_MASK;
    const slot = token & (this.#codes.length - 1);
    this.#packetIdentifiers[slot] = packetIdentifier;
    this.#codes[slot] = WAITING;
    this.#answers[slot] = answer;
    this.#size++;
    if (answer === PUBACK) this.#pubacks++;
    return token;
  }

  /** `text` is for an MQTT 5 client that asked for problem information; '' for none. */
  settle(token: number, reasonCode: number, text = ''): void {
    const slot = token & (this.#codes.length - 1);
    assert(this.#codes[slot] === WAITING, 'a message has one receipt');
    this.#codes[slot] = reasonCode;
    if (text !== '') this.#texts.set(token, text);
  }

  /** Neither this message nor any later one gets an answer, so that the client sends them again, in their order. */
  hold(token: number): void {
    this.#codes[token & (this.#codes.length - 1)] = HELD;
  }

  /** True when every message has its receipt, or is behind one that will never be acknowledged. */
  get isSettled(): boolean {
    for (let i = 0; i < this.#size; i++) {
      const code = this.#codeAt(i);
      if (code === HELD) return true;
      if (code === WAITING) return false;
    }
    return true;
  }

  /** The answers that are due, in one buffer; null for none. */
  take(): Buffer | null {
    const parts: Buffer[] = [];
    for (;;) {
      const accepted = this.#takeAccepted();
      if (accepted !== null) parts.push(accepted);
      const code = this.#codeAt(0);
      if (code <= 0) break;
      const token = this.#head;
      const answer = this.#answers[token & (this.#codes.length - 1)] ?? PUBACK;
      parts.push(acknowledgementRefused(answer, this.#shift(), code, this.#texts.get(token) ?? ''));
      this.#texts.delete(token);
    }
    if (parts.length === 0) return null;
    return parts.length === 1 ? (parts[0] ?? null) : Buffer.concat(parts);
  }

  /** Answers of success have four bytes in every version: written here, because there is one for each message. */
  #takeAccepted(): Buffer | null {
    let count = 0;
    while (this.#codeAt(count) === 0) count++;
    if (count === 0) return null;
    const bytes = Buffer.allocUnsafe(4 * count);
    for (let at = 0; at < bytes.length; at += 4) {
      bytes[at] = this.#answers[this.#head & (this.#codes.length - 1)] ?? PUBACK;
      const packetIdentifier = this.#shift();
      bytes[at + 1] = 2;
      bytes[at + 2] = packetIdentifier >> 8;
      bytes[at + 3] = packetIdentifier & 0xff;
    }
    return bytes;
  }

  /** WAITING beyond the last one. */
  #codeAt(index: number): number {
    if (index >= this.#size) return WAITING;
    return this.#codes[(this.#head + index) & (this.#codes.length - 1)] ?? WAITING;
  }

  /** Takes the first message out and returns its packet identifier. */
  #shift(): number {
    const slot = this.#head & (this.#codes.length - 1);
    const packetIdentifier = this.#packetIdentifiers[slot] ?? 0;
    if (this.#answers[slot] === PUBACK) this.#pubacks--;
    this.#head = (this.#head + 1) & SEQUENCE_MASK;
    this.#size--;
    return packetIdentifier;
  }

  #grow(): void {
    const slots = 2 * this.#codes.length;
    const packetIdentifiers = new Uint16Array(slots);
    const codes = new Int16Array(slots);
    const answers = new Uint8Array(slots);
    for (let i = 0; i < this.#size; i++) {
      const token = this.#head + i;
      packetIdentifiers[token & (slots - 1)] = this.#packetIdentifiers[token & (this.#codes.length - 1)] ?? 0;
      codes[token & (slots - 1)] = this.#codes[token & (this.#codes.length - 1)] ?? WAITING;
      answers[token & (slots - 1)] = this.#answers[token & (this.#codes.length - 1)] ?? PUBACK;
    }
    this.#packetIdentifiers = packetIdentifiers;
    this.#codes = codes;
    this.#answers = answers;
  }
}
