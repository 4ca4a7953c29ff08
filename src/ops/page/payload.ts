import type { Payload } from '../api.ts';
import { decodeCbor } from './cbor.ts';

/** How a payload can be looked at. auto: the first of JSON, CBOR and text that it is, else hex. */
export const forms = ['auto', 'JSON', 'text', 'hex', 'CBOR'] as const;
export type Form = (typeof forms)[number];

export interface Reading {
  form: Exclude<Form, 'auto'>;
  text: string;
  /** The bytes are not of the form that was asked for; the text is hex. */
  isOther: boolean;
}

/** Bytes of a line of a hex dump. */
const LINE_BYTES = 16;

/** The payload in words. Never throws: what can't be read as asked is shown as hex. */
export function read(bytes: Uint8Array, form: Form): Reading {
  switch (form) {
    case 'hex':
      return { form, text: hex(bytes), isOther: false };
    case 'JSON':
      return readAs(form, json(bytes), bytes);
    case 'CBOR':
      return readAs(form, cbor(bytes), bytes);
    case 'text':
      return readAs(form, text(bytes), bytes);
    case 'auto':
      return auto(bytes);
  }
}

function auto(bytes: Uint8Array): Reading {
  const asJson = json(bytes);
  if (asJson !== null) return { form: 'JSON', text: asJson, isOther: false };
  const asText = text(bytes);
  if (asText !== null && isLegible(asText)) return { form: 'text', text: asText, isOther: false };
  // Text of one or two bytes is CBOR as well; a map, a list or a tag is no accident.
  const asCbor = (bytes[0] ?? 0) >> 5 >= 4 ? cbor(bytes) : null;
  if (asCbor !== null) return { form: 'CBOR', text: asCbor, isOther: false };
  return { form: 'hex', text: hex(bytes), isOther: false };
}

function readAs(form: Exclude<Form, 'auto'>, text: string | null, bytes: Uint8Array): Reading {
  return text === null ? { form: 'hex', text: hex(bytes), isOther: true } : { form, text, isOther: false };
}

function json(bytes: Uint8Array): string | null {
  const source = text(bytes);
  if (source === null || source.trim() === '') return null;
  try {
    const value: unknown = JSON.parse(source);
    // As it was sent where that is short: a number keeps its digits.
    return source.length <= 60 && !source.includes('\n') ? source.trim() : JSON.stringify(value, null, 2);
  } catch {
    return null;
  }
}

function cbor(bytes: Uint8Array): string | null {
  const decoded = decodeCbor(bytes);
  if (decoded === null) return null;
  const short = JSON.stringify(decoded.value);
  return short.length <= 60 ? short : JSON.stringify(decoded.value, null, 2);
}

function text(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** No control characters but those of ordinary text. */
function isLegible(text: string): boolean {
  return !/[\p{Cc}]/u.test(text.replace(/[\t\n\r]/g, ''));
}

/** Offset, bytes, and what of them is ASCII. */
export function hex(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES);
    const digits = Array.from(line, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = Array.from(line, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${digits.padEnd(LINE_BYTES * 3 - 1)}  ${ascii}`);
  }
  return lines.join('\n');
}

/** Base64 as the box sends payloads in; null for what is none. */
export function fromBase64(text: string): Uint8Array | null {
  try {
    const binary = atob(text);
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** The bytes of a payload as the box gives them; as many of them as it gave. */
export function bytesOf({ encoding, data }: Payload): Uint8Array {
  if (encoding === 'text') return new TextEncoder().encode(data);
  return fromBase64(data) ?? new Uint8Array();
}
