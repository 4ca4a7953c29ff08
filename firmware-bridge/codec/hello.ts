import { PayloadReader, PayloadWriter } from './payload.ts';

/** Section 4, HELLO. */

export interface BoardHello {
  /** Lowest and highest version that the board speaks. */
  readonly versionMin: number;
  readonly versionMax: number;
  readonly reset: number;
  readonly frameBytesMax: number;
  readonly window: number;
  readonly features: number;
  readonly nonce: number;
  readonly session: number;
  readonly oldest: number;
  readonly bootCount: number;
  readonly uptimeMs: number;
  readonly lost: number;
  readonly description: number;
  readonly identity: string;
  readonly hardware: string;
  readonly firmware: string;
  readonly version: string;
  /** 0 or 32 bytes. */
  readonly hash: Uint8Array;
}

export function readBoardHello(payload: Uint8Array): BoardHello {
  const reader = new PayloadReader(payload);
  const versions = reader.u8();
  return {
    versionMin: versions >> 4,
    versionMax: versions & 0x0f,
    reset: reader.u8(),
    frameBytesMax: reader.u16(),
    window: reader.u8(),
    features: reader.u8(),
    nonce: reader.u32(),
    session: reader.u32(),
    oldest: reader.u32(),
    bootCount: reader.u32(),
    uptimeMs: reader.u32(),
    lost: reader.u32(),
    description: reader.u32(),
    identity: reader.str(),
    hardware: reader.str(),
    firmware: reader.str(),
    version: reader.str(),
    hash: reader.bytes().slice(),
  };
}

export function writeBoardHello(hello: BoardHello): Uint8Array {
  return new PayloadWriter()
    .u8((hello.versionMin << 4) | hello.versionMax)
    .u8(hello.reset)
    .u16(hello.frameBytesMax)
    .u8(hello.window)
    .u8(hello.features)
    .u32(hello.nonce)
    .u32(hello.session)
    .u32(hello.oldest)
    .u32(hello.bootCount)
    .u32(hello.uptimeMs)
    .u32(hello.lost)
    .u32(hello.description)
    .str(hello.identity)
    .str(hello.hardware)
    .str(hello.firmware)
    .str(hello.version)
    .bytes(hello.hash)
    .done();
}

export type GatewayHello =
  | { readonly kind: 'ask' }
  | {
      readonly kind: 'accept';
      readonly version: number;
      readonly frameBytesMax: number;
      readonly window: number;
      readonly channel: number;
      readonly wantsDescription: boolean;
      readonly keepAliveS: number;
      readonly nonce: number;
      readonly session: number;
    }
  | { readonly kind: 'refuse'; readonly code: number; readonly retryS: number; readonly nonce: number };

export function readGatewayHello(payload: Uint8Array): GatewayHello {
  const reader = new PayloadReader(payload);
  const kind = reader.u8();
  if (kind === 0) return { kind: 'ask' };
  if (kind !== 1) return { kind: 'refuse', code: reader.u8(), retryS: reader.u16(), nonce: reader.u32() };
  return {
    kind: 'accept',
    version: reader.u8(),
    frameBytesMax: reader.u16(),
    window: reader.u8(),
    channel: reader.u8(),
    wantsDescription: (reader.u8() & 1) !== 0,
    keepAliveS: reader.u8(),
    nonce: reader.u32(),
    session: reader.u32(),
  };
}

export function writeGatewayHello(hello: GatewayHello): Uint8Array {
  const writer = new PayloadWriter();
  switch (hello.kind) {
    case 'ask':
      return writer.u8(0).done();
    case 'accept': {
      const { version, frameBytesMax, window, channel, wantsDescription, keepAliveS, nonce, session } = hello;
      writer.u8(1).u8(version).u16(frameBytesMax).u8(window).u8(channel);
      return writer
        .u8(wantsDescription ? 1 : 0)
        .u8(keepAliveS)
        .u32(nonce)
        .u32(session)
        .done();
    }
    case 'refuse':
      return writer.u8(2).u8(hello.code).u16(hello.retryS).u32(hello.nonce).done();
  }
}
