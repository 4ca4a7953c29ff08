import { headerEntries } from '../core/headers.ts';
import type { Party } from '../core/message.ts';
import type { Payload } from './api.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Bytes for a page: the first `bytesMax` of them, as text where they are UTF-8. */
export function shownPayload(payload: Buffer, bytesMax: number): Payload {
  const isCut = payload.length > bytesMax;
  const kept = isCut ? payload.subarray(0, wholeCharacters(payload, bytesMax)) : payload;
  try {
    return { encoding: 'text', data: utf8.decode(kept), bytes: payload.length, isCut };
  } catch {
    const data = payload.subarray(0, bytesMax).toString('base64');
    return { encoding: 'base64', data, bytes: payload.length, isCut };
  }
}

/** A cut within a character would make base64 of a text. */
function wholeCharacters(bytes: Buffer, end: number): number {
  let cut = end;
  while (cut > end - 4 && ((bytes[cut] ?? 0) & 0xc0) === 0x80) cut--;
  return cut;
}

/** As they came, in order; none of a block that is malformed. */
export function shownHeaders(block: Buffer): [name: string, value: string][] {
  return block.length === 0 ? [] : [...headerEntries(block)];
}

export function shownParty({ kind, name }: Party): string {
  return kind === 'hub' || kind === 'box' ? kind : `${kind} ${name}`;
}
