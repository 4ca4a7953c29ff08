import { GatewayError } from '../core/errors.ts';
import type { StoreFailure } from './protocol.ts';

/** The store as it lies there cannot be used; it is kept aside. */
export function unreadable(why: string): Error {
  return Object.assign(new Error(why), { code: 'STORE_UNREADABLE' });
}

/** The code of an error of SQLite, the file system or `unreadable`; '' for any other. */
export function sqliteCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** What says nothing about the file: the disk, the folder or another process is in the way. */
const OUTSIDE = /^SQLITE_(IOERR|FULL|READONLY|CANTOPEN|PERM|AUTH|NOMEM|BUSY|LOCKED|INTERRUPT|CONSTRAINT|MISUSE)/;

/** True where the file is not what the box wrote, or not one that this release can read. */
export function isDamage(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 'STORE_UNREADABLE' || (code.startsWith('SQLITE_') && !OUTSIDE.test(code));
}

/** The same while the store is open: SQLite says that the file makes no sense. */
export function isCorrupt(error: unknown): boolean {
  return /^SQLITE_(CORRUPT|NOTADB)/.test(sqliteCode(error));
}

/** True where the disk refused a read, a write or an fsync: what SQLite believes of the file may be wrong from then on. */
export function isDiskError(error: unknown): boolean {
  return /^(SQLITE_IOERR|EIO$)/.test(sqliteCode(error));
}

/** The folder is not one, or is not ours to write. */
const UNUSABLE = /^(EACCES|EPERM|EROFS|EEXIST|ENOENT|ENOTDIR|SQLITE_(READONLY|CANTOPEN|PERM).*)$/;

/** What SQLite or the file system says, in the words of the catalogue. */
export function storeError(error: unknown, what: string): GatewayError {
  const code = sqliteCode(error);
  const message = `${what}: ${error instanceof Error ? error.message : String(error)}`;
  if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
    return new GatewayError('disk_full', message, {
      cause: error,
      hint: 'free space on the disk of gateway.data, or lower the max_bytes of the lanes',
    });
  }
  const hint = UNUSABLE.test(code)
    ? 'gateway.data must be a folder that the user running the box may write to'
    : 'see the kernel log for errors of the disk or card';
  return new GatewayError('store_failed', message, { cause: error, hint });
}

/** What the writer thread says of a failure, as an error: it crossed as plain data. */
export function failureError({ code, message, hint }: StoreFailure): GatewayError {
  return new GatewayError(code, message, { hint });
}
