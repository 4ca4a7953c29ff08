import { PayloadReader, PayloadWriter, textOf } from './payload.ts';

/** Section 4: payloads of messages, requests, receipts and what keeps a line alive. */

export interface Published {
  readonly subject: string;
  readonly payload: Uint8Array;
}

export function readPublish(payload: Uint8Array): Published {
  const reader = new PayloadReader(payload);
  return { subject: reader.str(), payload: reader.rest() };
}

export function writePublish(subject: string, payload: Uint8Array): Uint8Array {
  return new PayloadWriter().str(subject).rest(payload).done();
}

export interface Subscribe {
  readonly subscription: number;
  readonly isOn: boolean;
  /** '' where it ends. */
  readonly subject: string;
}

export function readSubscribe(payload: Uint8Array): Subscribe {
  const reader = new PayloadReader(payload);
  const subscription = reader.u8();
  const isOn = reader.u8() !== 0;
  return { subscription, isOn, subject: isOn ? reader.str() : '' };
}

export function writeSubscribe({ subscription, isOn, subject }: Subscribe): Uint8Array {
  return new PayloadWriter()
    .u8(subscription)
    .u8(isOn ? 1 : 0)
    .str(subject)
    .done();
}

export function writeSubscribed(subscription: number, code: number): Uint8Array {
  return Uint8Array.of(subscription, code);
}

export function readMessage(payload: Uint8Array): Published & { readonly subscription: number } {
  const reader = new PayloadReader(payload);
  return { subscription: reader.u8(), subject: reader.str(), payload: reader.rest() };
}

export function writeMessage(subscription: number, subject: string, payload: Uint8Array): Uint8Array {
  return new PayloadWriter().u8(subscription).str(subject).rest(payload).done();
}

export interface Request extends Published {
  readonly id: number;
  /** Milliseconds left for the answer. */
  readonly leftMs: number;
}

export function readRequest(payload: Uint8Array): Request {
  const reader = new PayloadReader(payload);
  return { id: reader.u16(), leftMs: reader.u32(), subject: reader.str(), payload: reader.rest() };
}

export function writeRequest({ id, leftMs, subject, payload }: Request): Uint8Array {
  return new PayloadWriter().u16(id).u32(leftMs).str(subject).rest(payload).done();
}

export interface Reply {
  readonly id: number;
  readonly code: number;
  readonly payload: Uint8Array;
}

export function readReply(payload: Uint8Array): Reply {
  const reader = new PayloadReader(payload);
  return { id: reader.u16(), code: reader.u8(), payload: reader.rest() };
}

export function writeReply({ id, code, payload }: Reply): Uint8Array {
  return new PayloadWriter().u16(id).u8(code).rest(payload).done();
}

export function readAck(payload: Uint8Array): number {
  return new PayloadReader(payload).u16();
}

export function writeAck(sequence: number): Uint8Array {
  return new PayloadWriter().u16(sequence & 0xffff).done();
}

export interface Nak {
  readonly sequence: number;
  readonly code: number;
  /** Milliseconds to wait, for `busy`; 0 where the sender does not say. */
  readonly waitMs: number;
}

export function readNak(payload: Uint8Array): Nak {
  const reader = new PayloadReader(payload);
  const [sequence, code] = [reader.u16(), reader.u8()];
  return { sequence, code, waitMs: payload.length >= 5 ? reader.u16() : 0 };
}

export function writeNak({ sequence, code, waitMs }: Nak): Uint8Array {
  const writer = new PayloadWriter().u16(sequence & 0xffff).u8(code);
  return (waitMs > 0 ? writer.u16(waitMs) : writer).done();
}

/** The code of a number that has no content any more. */
export function readSkip(payload: Uint8Array): number {
  return new PayloadReader(payload).u8();
}

export interface Ping {
  readonly uptimeMs: number;
  readonly lost: number;
  /** Milliseconds for which the board will be silent; 0: it stays. */
  readonly silentMs: number;
}

/** Null for one of the gateway, which has no fields. */
export function readPing(payload: Uint8Array): Ping | null {
  if (payload.length < 12) return null;
  const reader = new PayloadReader(payload);
  return { uptimeMs: reader.u32(), lost: reader.u32(), silentMs: reader.u32() };
}

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;

export function readLog(payload: Uint8Array): { level: (typeof logLevels)[number]; text: string } {
  const reader = new PayloadReader(payload);
  return { level: logLevels[reader.u8()] ?? 'debug', text: textOf(reader.rest()) };
}

export function writeTime(unixMs: number, isTrusted: boolean): Uint8Array {
  return new PayloadWriter()
    .u64(unixMs)
    .u8(isTrusted ? 1 : 0)
    .done();
}
