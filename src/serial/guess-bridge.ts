import { type Check, FrameDecoder } from './bridge/codec/frame.ts';
import { readBoardHello } from './bridge/codec/hello.ts';
import { type } from './bridge/codec/words.ts';
import type { Guess } from './guess.ts';

/** A board that speaks the protocol of firmware-bridge/PROTOCOL.md: one frame and its check are proof enough. */
export function guessBridge(bytes: Buffer): Guess | null {
  let frames = 0;
  let hello = '';
  let check: Check = 'crc16';
  const decoder = new FrameDecoder({
    frame: (frame) => {
      frames++;
      check = frame.check;
      if (frame.type === type.hello) hello = nameOf(frame.payload);
    },
    discarded: () => undefined,
  });
  decoder.push(bytes);
  // Sixteen bits of a check come right by chance where many bytes are looked at.
  if (frames === 0 || (check === 'crc16' && frames < 2 && hello === '')) return null;
  const why = `${frames === 1 ? '1 frame with its' : `${frames} frames with their`} check${hello === '' ? '' : `, of ${hello}`}`;
  return { what: 'a Petiole board', sureness: 1, why, configuration: ['bridge: true'] };
}

/** '' where it is no HELLO of a board. */
function nameOf(payload: Uint8Array): string {
  try {
    const { identity, hardware, version } = readBoardHello(payload);
    return `${identity} (${hardware}, version ${version})`;
  } catch {
    return '';
  }
}
