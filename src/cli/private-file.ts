import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** The text of a file; '' where there is none. */
export function takeFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Replaces a file that only its owner may read; a power cut leaves the old or the new one. */
export function putFile(path: string, text: string | Buffer): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600, flush: true });
  const folder = dirname(path);
  // Run by root for a box that is not: the file belongs to whom the folder belongs, /etc/petiole to root and the box.
  if (process.getuid?.() === 0) {
    const { uid, gid } = statSync(folder);
    chownSync(draft, uid, gid);
    if (uid === 0 && gid !== 0) chmodSync(draft, 0o640);
  }
  renameSync(draft, path);
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
