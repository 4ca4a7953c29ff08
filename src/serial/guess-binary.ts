import { makeFramer } from './framing/framing.ts';
import type { Guess } from './guess.ts';
import { plainFraming } from './options.ts';

/** Frames that a guess needs: fewer may be chance. */
const FRAMES_MIN = 4;
/** Longest frame of a fixed length that is looked for. */
const LENGTH_MAX = 512;

export function guessBinary(bytes: Buffer): Guess | null {
  const fixed = guessFixed(bytes);
  const framed = [guessEncoded(bytes, 'slip', 0xc0), guessEncoded(bytes, 'cobs', 0)];
  return [fixed, ...framed].filter((one) => one !== null).toSorted((a, b) => b.sureness - a.sureness)[0] ?? null;
}

/** SLIP and COBS: the byte between frames is there, and nothing breaks the rules of the encoding. */
function guessEncoded(bytes: Buffer, type: 'slip' | 'cobs', mark: number): Guess | null {
  const from = bytes.indexOf(mark);
  if (from < 0) return null;
  let frames = 0;
  let taken = 0;
  let broken = 0;
  const framer = makeFramer(plainFraming(type), {
    frame: (content) => {
      if (content.length < 3) return;
      frames++;
      taken += content.length + 1;
    },
    discarded: (_cause, count) => {
      broken += count;
    },
  });
  framer.push(bytes.subarray(from));
  if (frames < FRAMES_MIN || broken > bytes.length / 20) return null;
  const what = type === 'slip' ? 'SLIP frames' : 'COBS frames';
  const share = taken / Math.max(1, bytes.length - from - framer.pending);
  const why = `${frames} frames, ${broken} bytes that are none`;
  return { what, sureness: 0.85 * Math.min(1, share), why, configuration: [`frame: ${type}`, 'decode: hex'] };
}

/** Two bytes that come again and again at the same distance: a sync word and a frame of a fixed length. */
function guessFixed(bytes: Buffer): Guess | null {
  const places = new Map<number, number[]>();
  for (let at = 0; at + 1 < bytes.length; at++) {
    const word = bytes.readUInt16BE(at);
    const known = places.get(word);
    if (known === undefined) places.set(word, [at]);
    else known.push(at);
  }
  let best: { word: number; length: number; repeats: number; first: number } | null = null;
  for (const [word, at] of places) {
    // One byte over and over is a line that is held, and no frame.
    if (at.length < FRAMES_MIN || word >> 8 === (word & 0xff)) continue;
    const length = commonest(at.slice(1).map((place, index) => place - (at[index] ?? 0)));
    if (length < 4 || length > LENGTH_MAX) continue;
    const repeats = at.slice(1).filter((place, index) => place - (at[index] ?? 0) === length).length;
    const first = at[0] ?? 0;
    if (best === null || repeats > best.repeats || (repeats === best.repeats && first < best.first)) {
      best = { word, length, repeats, first };
    }
  }
  if (best === null) return null;
  const share = (best.repeats * best.length) / bytes.length;
  if (best.repeats < FRAMES_MIN || share < 0.7) return null;
  const start = best.word.toString(16).padStart(4, '0');
  return {
    what: `frames of ${best.length} bytes`,
    sureness: Math.min(0.8, share * 0.8),
    why: `${start} comes every ${best.length} bytes, ${best.repeats} times`,
    configuration: [`frame: { type: fixed, length: ${best.length}, start: "hex:${start}" }`, 'decode: hex'],
  };
}

function commonest(distances: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const distance of distances) counts.set(distance, (counts.get(distance) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1] || a[0] - b[0])[0]?.[0] ?? 0;
}
