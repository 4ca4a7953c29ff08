import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { NoticeFacts } from './snapshot.ts';

const FOLDER = 'notices';
/** A page is read by people. */
const NOTICES_MAX = 16;
const BYTES_MAX = 8 * 1024;
const TEXT_MAX = 1_000;

/**
 * What programs around the box want its operator to know: a configuration on the card that could not be taken, a partition that
 * was lost. Each is a file `<data>/notices/*.json`, `{ part, code, message, hint }`, there as long as it is true. Read at the
 * start, since such programs run before the box. What is no such file is left out.
 */
export function readNotices(data: string): NoticeFacts[] {
  const folder = join(data, FOLDER);
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
  return names
    .sort()
    .slice(0, NOTICES_MAX)
    .flatMap((name) => readNotice(join(folder, name)));
}

function readNotice(path: string): NoticeFacts[] {
  try {
    const { size, mtimeMs } = statSync(path);
    if (size > BYTES_MAX) return [];
    const { part, code, message, hint = '' } = JSON.parse(readFileSync(path, 'utf8'));
    const texts = [part, code, message, hint];
    if (!texts.every((text) => typeof text === 'string')) return [];
    const [shownPart, shownCode, shownMessage, shownHint] = texts.map((text: string) => text.slice(0, TEXT_MAX));
    return [
      { part: shownPart, code: shownCode, message: shownMessage, hint: shownHint, atMs: mtimeMs },
    ] as NoticeFacts[];
  } catch {
    return [];
  }
}
