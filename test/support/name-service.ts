import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from './scope.ts';
import { tempDir } from './temp.ts';

/** Debian's folder of libraries for this machine. */
const FOLDER = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
/** Answers the C library's look-ups from a file, which it reads again when it has changed; Debian's libnss-wrapper. */
export const NSS_WRAPPER = `/usr/lib/${FOLDER}/libnss_wrapper.so`;

/** Names of the test's own, for processes that are started with `env`. */
export class NameService {
  readonly #file: string;
  #changes = 0;

  constructor(scope: Scope) {
    this.#file = join(tempDir(scope, 'names'), 'hosts');
    this.answer({});
  }

  get env(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: NSS_WRAPPER, NSS_WRAPPER_HOSTS: this.#file };
  }

  /** From now on these names have these addresses, and no others. */
  answer(addresses: Readonly<Record<string, string>>): void {
    const lines = Object.entries(addresses).map(([name, address]) => `${address} ${name}\n`);
    writeFileSync(this.#file, `127.0.0.1 localhost\n${lines.join('')}`);
    // The library compares times in whole seconds: two answers within one would be the same to it.
    const time = Math.floor(Date.now() / 1000) + this.#changes++;
    utimesSync(this.#file, time, time);
  }
}
