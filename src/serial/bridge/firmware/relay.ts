import { describeError, GatewayError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import type { Manifest, SignedImage } from './image.ts';
import { refused } from './image.ts';
import type { ImageName } from './image-cache.ts';
import { type FirmwareOptions, openStates, type Transfer, type TransferState } from './options.ts';
import { compareVersions } from './version.ts';

/** A board as it introduced itself. */
export interface BoardImage {
  readonly target: string;
  readonly version: string;
  /** Of the image that it runs: the first bytes of its SHA-256, hexadecimal; '' where it does not know. */
  readonly hash: string;
  /** It can be given images at all. */
  readonly takesImages: boolean;
  /** It runs an image that is not confirmed. */
  readonly isOnTrial: boolean;
}

/** The board of a port while it is there. Every call rejects with a GatewayError; `port_lost` where it has gone. */
export interface RelayBoard extends BoardImage {
  /** The board has its slot ready and says from where it wants the image: what it stored of the same one before stays. */
  begin(signed: SignedImage): Promise<number>;
  /** Sends from `offset` on, as much as fits; resolves with how far the board has stored it. */
  send(image: Buffer, offset: number): Promise<number>;
  /** The board compares what it stored with the hash; rejects with `firmware_refused` where that fails. */
  verify(): Promise<void>;
  /** The board starts the image on trial, and goes back by itself where it is not confirmed in time. */
  boot(trialMs: number): Promise<void>;
  /** The board keeps what it runs. */
  confirm(hash: string): Promise<void>;
  /** The board forgets what it stored. */
  abort(): Promise<void>;
}

export interface RelayParts {
  /** Keeps the state for the next run. */
  keep(transfer: Transfer): Promise<void>;
  image(name: ImageName): Promise<SignedImage | null>;
  /** Whether images may be sent in this minute. */
  inWindow(): boolean;
  /** The state is another. */
  changed(transfer: Transfer): void;
}

/** Progress is kept as often as this; the board knows best, so after a fall nothing is lost but the figure. */
const KEEP_MS = 5_000;
/** A board whose trial is over resets, and says with its HELLO that it went back. */
const TRIAL_GRACE_MS = 30_000;
/** Boots that were ordered and led to the old image before it counts as reverted: a reset by the power may come between. */
const BOOTS_MAX = 3;
/** After an error of the line or the board, and how often in a row, without a byte in between. */
const RETRY_MS = 2_000;
const RETRIES_MAX = 10;

/** The way of one image to the board of one port; see `transferStates`. */
export class Relay {
  readonly #port: string;
  readonly #options: FirmwareOptions;
  readonly #parts: RelayParts;
  readonly #log: Log;
  #transfer: Transfer | null;
  #board: RelayBoard | null = null;
  #work: Promise<void> | null = null;
  #keptAtMs = 0;
  #retryAtMs = 0;
  #retries = 0;
  #boots = 0;
  #trialUntilMs = 0;

  constructor(port: string, stored: Transfer | null, options: FirmwareOptions, parts: RelayParts, log: Log) {
    this.#port = port;
    this.#options = options;
    this.#parts = parts;
    this.#log = log;
    this.#transfer = stored;
    // What happens to a trial while the box is away it does not see: the time begins anew.
    this.#trialUntilMs = performance.now() + options.confirmTimeoutMs + TRIAL_GRACE_MS;
  }

  get transfer(): Transfer | null {
    return this.#transfer;
  }

  /** Whether something may still happen. */
  get isOpen(): boolean {
    return this.#transfer !== null && openStates.has(this.#transfer.state);
  }

  /** Throws `firmware_refused` where the board must not get this image. */
  check(board: BoardImage, { target, version, size, sha256 }: Manifest): void {
    if (board.target !== target) {
      throw refused(
        `it is for ${target}, and the board on ${this.#port} is ${board.target}`,
        'offer it to another port',
      );
    }
    if (board.hash !== '' && sha256.startsWith(board.hash)) {
      throw refused(`the board on ${this.#port} runs it already`, 'nothing is to be done');
    }
    const difference = compareVersions(version, board.version);
    if (difference < 0 && !this.#options.allowsOlder) {
      const hint = 'set firmware.allow_older: true if you want to go back';
      throw refused(`${version} is older than ${board.version} on ${this.#port}`, hint);
    }
    if (!board.takesImages) {
      throw refused(`the board on ${this.#port} takes no images`, 'build its firmware with the update callbacks');
    }
    if (size > this.#options.imageBytesMax) {
      throw refused(`its ${size} bytes are more than firmware.image_max`, 'raise it, or make the image smaller');
    }
  }

  /** Throws as `check`, and where another image is being sent. */
  async offer(board: BoardImage, manifest: Manifest, by: string): Promise<void> {
    this.check(board, manifest);
    const { state, sha256 } = this.#transfer ?? {};
    if (this.isOpen && sha256 === manifest.sha256 && this.#transfer?.target === manifest.target) return;
    if (state === 'transferring' || state === 'verifying' || state === 'trial') {
      throw refused(`another image is ${state} on ${this.#port}`, 'cancel it first, or wait for its end');
    }
    const { target, version, size } = manifest;
    this.#retries = 0;
    this.#boots = 0;
    await this.#become({
      state: 'offered',
      ...{ sha256: manifest.sha256, target, version, size, offset: 0 },
      ...{ versionBefore: board.version, hashBefore: board.hash },
      ...{ reason: '', sinceMs: Date.now(), offeredBy: by, approvedBy: '' },
    });
    if (this.#options.isApprovedAtOnce) await this.approve('the configuration');
  }

  async approve(by: string): Promise<void> {
    if (this.#transfer?.state !== 'offered')
      throw refused(`nothing is offered on ${this.#port}`, 'offer an image first');
    await this.#change('approved', { approvedBy: by });
    this.tick();
  }

  async cancel(by: string): Promise<void> {
    if (!this.isOpen) throw refused(`nothing is under way on ${this.#port}`, 'petiole firmware list shows what is');
    const state = this.#transfer?.state;
    if (state === 'trial') throw refused('the board tries the image already', 'wait until it has decided');
    await this.#change('cancelled', { reason: `by ${by}` });
    if (state === 'transferring' || state === 'verifying') await this.#board?.abort().catch(() => undefined);
  }

  /** The board is there, after its HELLO. */
  up(board: RelayBoard): void {
    this.#board = board;
    this.#retryAtMs = 0;
    if (!this.isOpen) {
      this.#lookBack(board);
      return;
    }
    const { state, sha256 } = this.#transfer as Transfer;
    const isNew = board.hash !== '' && sha256.startsWith(board.hash);
    if (isNew) {
      // Its HELLO may come while the order to boot is still being settled.
      this.#after(() => this.#confirm(board, sha256));
      return;
    }
    if (state === 'trial' || (state === 'verifying' && this.#boots >= BOOTS_MAX)) {
      this.#settle('reverted', `the board came back with ${board.version}`);
    } else this.tick();
  }

  /** The board confirmed, and soon after that runs the old image nevertheless. */
  #lookBack({ hash, version }: RelayBoard): void {
    const { state, hashBefore } = this.#transfer ?? {};
    if (state !== 'confirmed' || hash === '' || hash !== hashBefore || performance.now() > this.#trialUntilMs) return;
    this.#settle('reverted', `the board confirmed the image, and came back with ${version}`);
  }

  down(): void {
    this.#board = null;
    if (this.#transfer?.state === 'transferring') void this.#change('waiting', { reason: 'the board is not there' });
  }

  /** Called about once a second: windows open and close, and trials end. */
  tick(): void {
    const nowMs = performance.now();
    const state = this.#transfer?.state;
    if (state === 'trial' && nowMs > this.#trialUntilMs) {
      this.#settle('failed', 'the board did not come back, with the new image or the old one');
    }
    const isDue = state === 'approved' || state === 'waiting' || state === 'transferring' || state === 'verifying';
    if (!isDue || this.#work !== null || nowMs < this.#retryAtMs) return;
    const why = this.#waitsFor();
    const board = this.#board as RelayBoard;
    if (why === '') this.#after(() => this.#run(board));
    else if (state !== 'waiting' || this.#transfer?.reason !== why) void this.#change('waiting', { reason: why });
  }

  #waitsFor(): string {
    if (this.#board === null) return 'the board is not there';
    return this.#parts.inWindow() ? '' : 'its window is closed';
  }

  /** Resolves once nothing is under way. */
  async stop(): Promise<void> {
    this.#board = null;
    await this.#work;
  }

  /** One thing at a time, in order. */
  #after(work: () => Promise<void>): void {
    const mine = Promise.resolve(this.#work)
      .then(work)
      .finally(() => {
        if (this.#work === mine) this.#work = null;
      });
    this.#work = mine;
  }

  async #run(board: RelayBoard): Promise<void> {
    try {
      await this.#send(board);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      await this.#failed(error);
    }
  }

  async #send(board: RelayBoard): Promise<void> {
    const signed = await this.#parts.image(this.#transfer as Transfer);
    if (signed === null) throw refused('it is not in the cache any more', 'offer it again');
    this.check(board, signed.manifest);
    const { image } = signed;
    let offset = await board.begin(signed);
    await this.#change('transferring', { offset, reason: '' });
    while (offset < image.length) {
      if (!this.#isSending(board)) return;
      if (!this.#parts.inWindow()) {
        await this.#change('waiting', { reason: 'its window is closed' });
        return;
      }
      const stored = await board.send(image, offset);
      if (stored > offset) this.#retries = 0;
      offset = stored;
      this.#progress(offset);
    }
    if (!this.#isSending(board)) return;
    await this.#change('verifying', { offset });
    await board.verify();
    if (this.#transfer?.state !== 'verifying') return;
    this.#boots++;
    await board.boot(this.#options.confirmTimeoutMs);
    if (this.#transfer?.state !== 'verifying') return;
    this.#trialUntilMs = performance.now() + this.#options.confirmTimeoutMs + TRIAL_GRACE_MS;
    await this.#change('trial', {});
  }

  /** A board that does not hear it goes back, and says so in its next HELLO. */
  async #confirm(board: RelayBoard, hash: string): Promise<void> {
    if (this.#board !== board || !this.isOpen) return;
    try {
      if (board.isOnTrial) await board.confirm(hash);
      await this.#change('confirmed', { reason: '', offset: this.#transfer?.size ?? 0 });
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      await this.#change('trial', { reason: error.message });
    }
  }

  /** False where it was cancelled, or the board has gone. */
  #isSending(board: RelayBoard): boolean {
    return this.#board === board && this.#transfer?.state === 'transferring';
  }

  async #failed(error: GatewayError): Promise<void> {
    // Cancelled, settled by a HELLO, or to be gone on with when the board is there again.
    if (!this.isOpen || this.#board === null) return;
    this.#retries++;
    if (!error.retriable || this.#retries > RETRIES_MAX) {
      this.#settle('failed', error.message);
      await this.#board.abort().catch(() => undefined);
      return;
    }
    this.#retryAtMs = performance.now() + RETRY_MS;
    await this.#change('waiting', { reason: error.message });
  }

  #progress(offset: number): void {
    if (this.#transfer === null) return;
    this.#transfer = { ...this.#transfer, offset };
    if (performance.now() - this.#keptAtMs > KEEP_MS) void this.#become(this.#transfer);
  }

  #settle(state: TransferState, reason: string): void {
    void this.#change(state, { reason });
  }

  async #change(state: TransferState, changes: Partial<Transfer>): Promise<void> {
    if (this.#transfer === null) return;
    await this.#become({ ...this.#transfer, state, sinceMs: Date.now(), ...changes });
  }

  /** In memory at once, on the disk soon: a store that fails keeps no image from its board. */
  async #become(transfer: Transfer): Promise<void> {
    const isNews = this.#transfer?.state !== transfer.state || this.#transfer.sha256 !== transfer.sha256;
    this.#transfer = transfer;
    this.#keptAtMs = performance.now();
    const { state, target, version, reason } = transfer;
    if (isNews) {
      this.#log.info({ port: this.#port, state, target, version, reason }, 'firmware transfer');
      this.#parts.changed(transfer);
    }
    await this.#parts.keep(transfer).catch((error: unknown) => {
      this.#log.warn(
        { port: this.#port, ...describeError(error) },
        'the state of a firmware transfer could not be kept',
      );
    });
  }
}
