import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { unpackDebian } from './debian-archive.ts';
import { versionOf } from './newer-nats-server.ts';

/** With all that the machine's own suite may have in too old a version, the C library first. */
const PACKAGES =
  'mosquitto libmosquitto1 libc6 libgcc-s1 libcjson1 libdlt3 libedit2 libbsd0 libmd0 libtinfo6 libmicrohttpd12t64 ' +
  'libgnutls30t64 libunistring5 libtasn1-6 libp11-kit0 libffi8 libidn2-0 libnettle8t64 libhogweed6t64 libgmp10 libbrotli1 ' +
  'libpicohttpparser1 libsqlite3-0 libssl3t64 zlib1g libzstd1 libsystemd0 libcap2 libwrap0';

/** mosquitto 2.1, which can keep its messages in SQLite. */
export interface NewerMosquitto {
  /** The program and its first arguments: a loader of its own, since it wants a newer C library. */
  readonly command: readonly string[];
  readonly version: string;
  /** Path of the plugin. */
  readonly sqlite: string;
}

/** Debian's newest one in `cacheDir`; null where it can't be had, or does not run here. */
export function findNewerMosquitto(cacheDir: string): NewerMosquitto | null {
  const dir = join(cacheDir, 'mosquitto-sid');
  const program = join(dir, 'root/usr/sbin/mosquitto');
  const libraries = join(dir, 'root/usr/lib/x86_64-linux-gnu');
  const sqlite = join(libraries, 'mosquitto/mosquitto_persist_sqlite.so');
  try {
    if (!existsSync(program)) {
      unpackDebian(PACKAGES.split(' '), dir, { suite: 'sid' });
      // Packages leave it to the system to make the names that programs look for.
      execFileSync('/sbin/ldconfig', ['-n', libraries]);
    }
    const loader = join(libraries, 'ld-linux-x86-64.so.2');
    const command = [loader, '--library-path', `${libraries}:/usr/lib/x86_64-linux-gnu`, program];
    const version = versionOf(loader, command.slice(1));
    return version === null || !existsSync(sqlite) ? null : { command, version, sqlite };
  } catch {
    return null;
  }
}
