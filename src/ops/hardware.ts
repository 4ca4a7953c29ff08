import { fileURLToPath } from 'node:url';
import { GatewayError } from '../core/errors.ts';
import type { Hardware } from './api.ts';

/** systeminformation starts commands such as lsblk and smartctl: on a Pi they take a second or two. */
const ANSWER_TIMEOUT_MS = 20_000;

let known: Promise<Hardware> | null = null;

/**
 * What machine this is. Found out when somebody first wants to know, by a process that ends: the library and what it
 * leaves behind would be 12 to 20 MiB resident, for answers that never change. Rejects with request_timeout where a
 * command hangs; whoever asks next makes it try again.
 */
export function hardware(): Promise<Hardware> {
  known ??= found().catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

async function found(): Promise<Hardware> {
  const { execFile } = await import('node:child_process');
  const file = import.meta.url.endsWith('.ts') ? './hardware-process.ts' : './hardware-process.js';
  const options = { timeout: ANSWER_TIMEOUT_MS };
  try {
    const text = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], options, (error, stdout) => {
        if (error) reject(error);
        else resolve(stdout);
      });
    });
    return JSON.parse(text) as Hardware;
  } catch (cause) {
    throw new GatewayError('request_timeout', 'This machine does not say what it is', { hint: 'Try again', cause });
  }
}
