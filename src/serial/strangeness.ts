/** Errors in a row, without one good frame since the port was opened, after which we ask whether it is another device. */
const STRANGE_ERRORS = 5;

/** Whether the device on a port is the one that the configuration means. */
export class Strangeness {
  #decodedAtOpen = 0;
  #errors = 0;
  #askAt = STRANGE_ERRORS;
  /** The port whose device speaks like this one; '' for none. */
  looksLike = '';

  /** The port was opened, when `decoded` frames had made sense. */
  begin(decoded: number): void {
    this.#decodedAtOpen = decoded;
    this.#errors = 0;
    this.#askAt = STRANGE_ERRORS;
    this.looksLike = '';
  }

  /** True when it is time to ask: rarer and rarer, for the bytes so far may say nothing. */
  error(decoded: number): boolean {
    this.#errors++;
    // A frame that can't be decoded was counted as one; this device has not spoken yet all the same.
    if (this.#errors < this.#askAt || decoded !== this.#decodedAtOpen) return false;
    this.#askAt *= 10;
    return true;
  }
}
