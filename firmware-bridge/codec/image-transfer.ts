import { PayloadReader, PayloadWriter } from './payload.ts';

/** Sections 4 and 8, FIRMWARE. */

export const operation = { begin: 1, chunk: 2, verify: 3, boot: 4, confirm: 5, cancel: 6, ask: 7 } as const;

const STATE = 0x80;

export const imageStates = ['idle', 'receiving', 'ready', 'booting', 'trial'] as const;
export type ImageState = (typeof imageStates)[number];

export interface BoardImageState {
  readonly state: ImageState;
  /** Why it is in this state, 0: all is well. */
  readonly code: number;
  /** Bytes that are stored for good. */
  readonly offset: number;
  /** First 8 bytes of the SHA-256 that this is about. */
  readonly hash: Uint8Array;
}

export interface Begin {
  readonly size: number;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
  readonly target: string;
  readonly version: string;
  /** 64 bytes, or none where they do not fit. */
  readonly signature: Uint8Array;
}

export function writeBegin({ size, sha256, target, version, signature }: Begin): Uint8Array {
  const writer = new PayloadWriter().u8(operation.begin).u32(size).rest(sha256);
  return writer.str(target).str(version).bytes(signature).done();
}

export function writeChunk(offset: number, bytes: Uint8Array): Uint8Array {
  return new PayloadWriter().u8(operation.chunk).u32(offset).rest(bytes).done();
}

/** Bytes around those of a chunk. */
export const CHUNK_HEAD_BYTES = 5;
/** A chunk is a multiple of this but for the last one. */
export const CHUNK_STEP = 16;

export function writeBoot(trialMs: number): Uint8Array {
  return new PayloadWriter().u8(operation.boot).u32(trialMs).done();
}

export function writeConfirm(sha256: Uint8Array): Uint8Array {
  return new PayloadWriter().u8(operation.confirm).rest(sha256).done();
}

/** VERIFY, CANCEL and ASK have no fields. */
export function writeOperation(of: 'verify' | 'cancel' | 'ask'): Uint8Array {
  return Uint8Array.of(operation[of]);
}

/** Null for what is no STATE, or one that this version does not know. */
export function readImageState(payload: Uint8Array): BoardImageState | null {
  const reader = new PayloadReader(payload);
  if (reader.u8() !== STATE) return null;
  const state = imageStates[reader.u8()];
  if (state === undefined) return null;
  return { state, code: reader.u8(), offset: reader.u32(), hash: reader.fixed(8).slice() };
}
