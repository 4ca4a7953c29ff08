import type { Capture } from './recorder.ts';

/**
 * Capture files: what the flight recorder and `petiole serial sniff` write and `petiole serial replay` reads. Text: pairs
 * of hexadecimal digits; `#` begins a comment; `@ 1.250` says how many seconds after the first the next bytes came. A file
 * that is no such text is the raw bytes themselves.
 */

/** Bytes that came together. */
export interface Stretch {
  /** Milliseconds after the first of the capture. */
  readonly atMs: number;
  readonly bytes: Buffer;
}

const BYTES_PER_LINE = 32;

export function stretchText({ atMs, bytes }: Stretch): string {
  let text = `@ ${(atMs / 1000).toFixed(3)}\n`;
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    text += `${bytes.toString('hex', at, Math.min(at + BYTES_PER_LINE, bytes.length))}\n`;
  }
  return text;
}

/** The captures of a flight recorder, oldest first. */
export function captureText(port: string, captures: readonly Capture[]): string {
  const firstMs = captures[0]?.atMs ?? 0;
  const parts = captures.map(({ atMs, cause, detail, bytes }) => {
    const head = `# ${new Date(atMs).toISOString()} ${cause}: ${detail.replaceAll(/[^\x20-\x7e]/g, '?')}\n`;
    return `\n${head}${stretchText({ atMs: Math.max(0, atMs - firstMs), bytes })}`;
  });
  return `# petiole serial capture of ${port}\n${parts.join('')}`;
}

/** The port that a capture says it is of; '' where it says none. */
export function portOfCapture(file: Buffer): string {
  return /^# petiole serial capture of ([A-Za-z0-9_-]{1,64})$/m.exec(file.toString('latin1', 0, 1024))?.[1] ?? '';
}

/** What is in a capture file, in order; none for an empty one. */
export function parseCapture(file: Buffer): Stretch[] {
  return parseText(file.toString('latin1')) ?? (file.length === 0 ? [] : [{ atMs: 0, bytes: file }]);
}

function parseText(text: string): Stretch[] | null {
  const stretches: Stretch[] = [];
  let atMs = 0;
  let digits = '';
  const finish = (): void => {
    if (digits !== '') stretches.push({ atMs, bytes: Buffer.from(digits, 'hex') });
    digits = '';
  };
  for (const line of text.split('\n')) {
    const content = line.replace(/#.*/, '').trim();
    const time = /^@ ?(\d{1,9}(?:\.\d{1,6})?)$/.exec(content);
    if (time !== null) {
      finish();
      atMs = Number(time[1]) * 1000;
    } else if (/^(?:[0-9a-fA-F]{2}\s*)*$/.test(content)) digits += content.replaceAll(/\s/g, '');
    else return null;
  }
  finish();
  return stretches;
}
