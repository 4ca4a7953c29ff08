import type { CborValue } from './codec/cbor.ts';
import { encodeCbor } from './codec/cbor.ts';
import type { Entity as Description } from './codec/entities.ts';
import type { EntityStatus } from './options.ts';

/**
 * A scale such as 0.1 has no exact form, and 3 × 0.1 is not 0.3; 3 ÷ 10 is. Where 1 ÷ scale is a whole number, to the
 * precision of the single floats that boards have, we divide.
 */
const DIVISOR_SLACK = 1e-6;
/** Digits that every single float tells apart. */
const SINGLE_DIGITS = 7;

/** One value that a board measures or holds, and how it looks on its subject. */
export class BoardEntity {
  readonly description: Description;
  readonly subject: string;
  readonly #tail: string;
  readonly #divisor: number;
  #value: CborValue | undefined;
  #atMs: number | null = null;

  constructor(description: Description, prefix: string) {
    const { name, unit, scale } = description;
    this.description = description;
    this.subject = `${prefix}.${name}`;
    this.#tail = unit === '' ? '' : `,"unit":${JSON.stringify(unit)}`;
    const divisor = Math.round(1 / scale);
    this.#divisor = Math.abs(divisor * scale - 1) < DIVISOR_SLACK ? divisor : 0;
  }

  /** The payload of a value: `{"value":21.5,"unit":"°C","time":"2026-…Z"}`; `time` is ISO 8601, or '' where it is not known. */
  payload(value: CborValue, atMs: number | null, time: string): Buffer {
    this.#value = value;
    this.#atMs = atMs;
    return Buffer.from(`{"value":${this.#json(value)}${this.#tail},"time":${time === '' ? 'null' : `"${time}"`}}`);
  }

  /** What a command's CBOR value is: the sent one, divided by the scale. Throws an Error that says why it can't be. */
  encode(value: unknown): Uint8Array {
    const { name, type, minimum, maximum, scale, writable } = this.description;
    if (!writable) throw new Error(`${name} can't be set`);
    if (value === null) return encodeCbor(null);
    if (type === 'boolean' || type === 'text') {
      if (typeof value !== (type === 'text' ? 'string' : 'boolean')) throw new Error(`${name} takes ${type}`);
      return encodeCbor(value as string | boolean);
    }
    if (type === 'bytes') {
      if (typeof value !== 'string') throw new Error(`${name} takes bytes as base64`);
      return encodeCbor(Uint8Array.from(Buffer.from(value, 'base64')));
    }
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error(`${name} takes a number`);
    if (minimum !== null && value < minimum) throw new Error(`${value} is below ${minimum}, the least of ${name}`);
    if (maximum !== null && value > maximum) throw new Error(`${value} is above ${maximum}, the most of ${name}`);
    const sent = this.#divisor > 0 ? value * this.#divisor : value / scale;
    return encodeCbor(type === 'integer' ? Math.round(sent) : sent);
  }

  takeValue(before: BoardEntity): void {
    this.#value = before.#value;
    this.#atMs = before.#atMs;
  }

  status(): EntityStatus {
    const { name, unit, type, writable: isWritable } = this.description;
    const value: unknown = this.#value === undefined ? null : JSON.parse(this.#json(this.#value));
    return { name, unit, type, isWritable, value, atMs: this.#atMs };
  }

  #json(value: CborValue): string {
    if (typeof value === 'number') {
      const { scale } = this.description;
      const real = this.#divisor === 1 ? value : this.#divisor > 0 ? value / this.#divisor : value * scale;
      // JSON has no word for what a sensor gives that is broken.
      return Number.isFinite(real) ? `${shortest(real)}` : 'null';
    }
    if (typeof value === 'bigint') return `${Number(value) * this.description.scale}`;
    if (typeof value === 'boolean' || value === null) return String(value);
    if (typeof value === 'string') return JSON.stringify(value);
    return value instanceof Uint8Array ? `"${Buffer.from(value).toString('base64')}"` : 'null';
  }

  /** JSON of a value as the answer to a command has it. */
  answer(value: CborValue): string {
    return `{"value":${this.#json(value)}${this.#tail}}`;
  }
}

/** Of a single float the number that its writer meant: 0.1 and not 0.10000000149011612. */
function shortest(value: number): number {
  if (Number.isInteger(value) || Math.fround(value) !== value) return value;
  const short = Number(value.toPrecision(SINGLE_DIGITS));
  return Math.fround(short) === value ? short : value;
}
