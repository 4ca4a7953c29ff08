import { GatewayError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { type Message, NO_HEADERS, type Party } from '../../../core/message.ts';
import type { Router, Subscription } from '../../../core/router.ts';
import { once, type Service } from '../../../core/service.ts';
import { Windows } from '../../../core/windows.ts';
import { type FirmwareActions, FirmwareControl } from './control.ts';
import { HubImages, type ImageHub } from './hub-images.ts';
import { type Manifest, refused } from './image.ts';
import { ImageCache, type ImageName, imageKey } from './image-cache.ts';
import { type FirmwareOptions, type FirmwareStatus, type Transfer, transferStates } from './options.ts';
import { Relay, type RelayBoard } from './relay.ts';
import { compareVersions } from './version.ts';

/** Windows open and close by the minute, and trials end. */
const TICK_MS = 1_000;
/** Manifest and signature before the image. */
const HEAD_BYTES_MAX = 2_048;

export interface FirmwareContext {
  readonly options: FirmwareOptions;
  readonly gateway: string;
  /** Names of the ports that have boards, in the order of the configuration. */
  readonly ports: readonly string[];
  /** Where images are kept. */
  readonly folder: string;
  readonly router: Router;
  /** Null without an upstream. */
  readonly hub: ImageHub | null;
  mark(name: string): string | null;
  setMark(name: string, value: string): Promise<void>;
  readonly log: Log;
}

/**
 * Images for boards: taken from operators and from the hub, checked and kept, offered to the boards that they are for, and
 * sent one at a time to each port. Every change of state is a message on `petiole.<gateway>.firmware`.
 */
export class Firmware implements Service, FirmwareActions {
  readonly #context: FirmwareContext;
  readonly #cache: ImageCache;
  readonly #windows: Windows;
  readonly #control: FirmwareControl;
  readonly #images: HubImages | null;
  readonly #party: Party = { kind: 'box', name: 'firmware' };
  readonly #relays = new Map<string, Relay>();
  readonly #boards = new Map<string, RelayBoard>();
  #notices: Subscription | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(context: FirmwareContext) {
    const { options, gateway, folder, hub, log, router } = context;
    this.#context = context;
    this.#cache = new ImageCache(folder, options.keys, options.cacheBytesMax);
    this.#windows = new Windows(options.windows);
    const fileBytesMax = options.imageBytesMax + HEAD_BYTES_MAX;
    this.#control = new FirmwareControl(gateway, fileBytesMax, this, (message) => router.publish(message));
    const taker = {
      wants: (_name: string, head: Buffer) => this.#wants(head),
      take: (name: string, file: Buffer) => this.#fromHub(name, file),
    };
    this.#images =
      options.bucket !== null && hub !== null ? new HubImages(options.bucket, fileBytesMax, hub, taker, log) : null;
  }

  async start(): Promise<void> {
    await this.#cache.start();
    await this.#windows.start();
    for (const port of this.#context.ports) this.#relays.set(port, this.#relay(port));
    this.#context.router.subscribe(this.#control.subscription);
    if (this.#images !== null) {
      const images = this.#images;
      const deliver = (): boolean => {
        images.look();
        return true;
      };
      this.#notices = { filter: images.filter, queue: '', owner: this.#party, deliver };
      this.#context.router.subscribe(this.#notices);
      images.start();
    }
    this.#timer = setInterval(() => {
      for (const relay of this.#relays.values()) relay.tick();
    }, TICK_MS);
  }

  readonly stop = once(async () => {
    clearInterval(this.#timer);
    this.#context.router.unsubscribe(this.#control.subscription);
    if (this.#notices !== null) this.#context.router.unsubscribe(this.#notices);
    await this.#images?.stop();
    await Promise.all(Array.from(this.#relays.values(), (relay) => relay.stop()));
  });

  /** A board said HELLO, and its channel is open. */
  up(port: string, board: RelayBoard): void {
    const isNews = this.#boards.get(port)?.target !== board.target;
    this.#boards.set(port, board);
    this.#relays.get(port)?.up(board);
    void this.#offerNewest(port, board);
    // An image that nobody wanted may be for this one.
    if (isNews) this.#images?.lookAgain();
  }

  down(port: string): void {
    this.#boards.delete(port);
    this.#relays.get(port)?.down();
  }

  async offer(file: Buffer, port: string, by: string): Promise<void> {
    if (port !== '' && !this.#relays.has(port)) {
      throw refused(`there is no port ${port} with a board`, `take one of ${this.#context.ports.join(', ')}`);
    }
    const manifest = await this.#keep(file);
    const boards = [...this.#boards].filter(([name, board]) =>
      port === '' ? board.target === manifest.target : name === port,
    );
    if (port !== '' && boards.length === 0)
      throw refused(`the board on ${port} is not there`, 'offer it without --port');
    const failures: GatewayError[] = [];
    for (const [name, board] of boards) {
      await this.#relays
        .get(name)
        ?.offer(board, manifest, by)
        .catch((error: unknown) => {
          if (!(error instanceof GatewayError)) throw error;
          failures.push(error);
        });
    }
    // One board that takes it is a success: the others are told of in the list.
    if (failures[0] !== undefined && failures.length === boards.length) throw failures[0];
  }

  async approve(port: string, by: string): Promise<void> {
    await this.#relayOf(port).approve(by);
  }

  async cancel(port: string, by: string): Promise<void> {
    await this.#relayOf(port).cancel(by);
  }

  status(): FirmwareStatus {
    return {
      images: this.#cache.manifests,
      transfers: [...this.#relays].flatMap(([port, { transfer }]) =>
        transfer === null ? [] : [{ port, ...transfer }],
      ),
      bucketError: this.#images?.error ?? '',
    };
  }

  #relayOf(port: string): Relay {
    const relay = this.#relays.get(port);
    if (relay !== undefined) return relay;
    throw refused(`there is no port ${port} with a board`, `take one of ${this.#context.ports.join(', ')}`);
  }

  #relay(port: string): Relay {
    const { mark, setMark, options, log } = this.#context;
    const stored = transferOf(mark(`firmware ${port}`));
    const parts = {
      keep: (transfer: Transfer) => setMark(`firmware ${port}`, JSON.stringify(transfer)),
      image: (name: ImageName) => this.#cache.read(name),
      inWindow: () => this.#windows.isOpen(new Date()),
      changed: (transfer: Transfer) => this.#announce(port, transfer),
    };
    return new Relay(port, stored, options, parts, log);
  }

  async #keep(file: Buffer): Promise<Manifest> {
    const isUsed = (key: string): boolean =>
      [...this.#relays.values()].some(
        ({ isOpen, transfer }) => isOpen && transfer !== null && imageKey(transfer) === key,
      );
    return this.#cache.put(file, isUsed);
  }

  /** The newest image that is for this board and above what it has, and above the last one that was offered to it. */
  async #offerNewest(port: string, board: RelayBoard): Promise<void> {
    const relay = this.#relayOf(port);
    const { transfer } = relay;
    if (relay.isOpen) return;
    const newest = this.#cache.manifests
      .filter(({ target, version }) => {
        const isNew = transfer === null || compareVersions(version, transfer.version) > 0;
        return target === board.target && isNew && compareVersions(version, board.version) > 0;
      })
      .sort((a, b) => compareVersions(b.version, a.version))[0];
    if (newest !== undefined) await this.#quietly(newest.target, () => relay.offer(board, newest, 'the cache'));
  }

  /** Whether the first bytes of a file are of an image for one of our boards; its signature is looked at when it is whole. */
  #wants(head: Buffer): boolean {
    const line = head.subarray(0, Math.max(0, head.subarray(0, HEAD_BYTES_MAX).indexOf('\n'))).toString();
    try {
      const { target } = Object(JSON.parse(line));
      return [...this.#boards.values()].some((board) => board.target === target);
    } catch {
      return false;
    }
  }

  async #fromHub(name: string, file: Buffer): Promise<void> {
    await this.#quietly(name, () => this.offer(file, '', `the hub, as ${name}`));
  }

  /** Nobody waits for an answer: the log has it. */
  async #quietly(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      this.#context.log.warn({ image: name, code: error.code, hint: error.hint }, error.message);
    }
  }

  #announce(port: string, transfer: Transfer): void {
    const { gateway, router } = this.#context;
    const payload = Buffer.from(JSON.stringify({ gateway, port, ...transfer }));
    const subject = `petiole.${gateway}.firmware`;
    const message: Message = {
      ...{ subject, reply: '', headers: NO_HEADERS, payload, receivedAtMs: Date.now(), origin: this.#party },
    };
    router.publish(message);
  }
}

/** What an earlier run kept; null for none, or what no release of ours wrote. */
function transferOf(text: string | null): Transfer | null {
  try {
    const transfer = text === null ? null : (JSON.parse(text) as Transfer);
    return transfer !== null && transferStates.includes(transfer.state) ? transfer : null;
  } catch {
    return null;
  }
}
