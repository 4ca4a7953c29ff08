import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Log, silentLog } from '../../src/core/log.ts';
import { LeafLink } from '../../src/nats/leaf-link.ts';
import { Journal } from '../../src/store/journal.ts';
import type { JournalLane } from '../../src/store/journal-types.ts';
import { Forwarder, type ForwarderOptions, type LaneUpStatus } from '../../src/upstream/forwarder.ts';
import { Child } from './child.ts';
import { journalOptions, message, produce } from './journal.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';
import { type WaitOptions, waitFor } from './wait-for.ts';

export interface UplinkLane extends Partial<JournalLane> {
  priority?: number;
  stream?: { name: string; own: boolean };
}

export interface UplinkOptions {
  leafUrl: string;
  folder: string;
  lanes?: UplinkLane[];
  window?: number;
  ackTimeoutMs?: number;
  limit?: { messagesPerSecond: number; bytesPerSecond: number };
  drain?: Partial<ForwarderOptions['drain']>;
  user?: string;
  password?: string;
  reserveBytes?: number;
  keepMs?: number;
  /** The hub's PubAck may be the receipt, for so long; absent: never. */
  saverHoldMs?: number;
}

/** Reconnects at once, so that a test of many cuts is quick. */
const BACKOFF = { firstMs: 20, maxMs: 60 };

/** The way up without an edge: journal, forwarder and leaf link, wired as the gateway wires them. */
export class Uplink {
  readonly journal: Journal;
  readonly link: LeafLink;
  readonly folder: string;
  readonly #options: UplinkOptions;
  readonly #inboxPrefix = `_INBOX.box.${randomBytes(6).toString('hex')}`;
  readonly #log: Log;
  #forwarder: Forwarder | null = null;

  constructor(options: UplinkOptions, log: Log = silentLog) {
    this.#options = options;
    this.#log = log;
    const { folder, lanes = [{}], reserveBytes = 0, keepMs = 0, saverHoldMs } = options;
    this.folder = folder;
    this.journal = new Journal(
      journalOptions({
        folder,
        lanes,
        reserveBytes,
        keep: { ms: keepMs, bytesMax: 64 * 1024 * 1024 },
        saver: saverHoldMs === undefined ? null : { holdMs: saverHoldMs },
      }),
      log,
    );
    this.link = new LeafLink(
      {
        name: 'box',
        serverId: `N${'A'.repeat(55)}`,
        urls: [options.leafUrl],
        user: options.user ?? null,
        password: options.password ?? null,
        token: null,
        nkeySeed: null,
        credentials: null,
        tls: { ca: null, cert: null, key: null, handshakeFirst: false },
        proxy: null,
        account: null,
        isolate: false,
        prefix: '',
        denyImports: [],
        denyExports: [],
        pingIntervalMs: 5_000,
        connectTimeoutMs: 2_000,
        inboxPrefix: this.#inboxPrefix,
        backoff: BACKOFF,
      },
      {
        up: (hub) => {
          this.journal.linked = true;
          this.#forwarder?.linkUp(hub);
        },
        down: () => {
          this.journal.linked = false;
          this.#forwarder?.linkDown();
        },
        message: () => {},
        inbox: (token, headers, payload) => this.#forwarder?.answer(token, headers, payload),
        interestChanged: () => this.#forwarder?.hubChanged(),
        drained: () => this.#forwarder?.drained(),
      },
      log,
    );
  }

  /** `linked: false` leaves the link down until `connect()`. */
  async start({ linked = true } = {}): Promise<void> {
    await this.journal.start();
    const { lanes = [{}], window = 1000, ackTimeoutMs = 2_000, limit } = this.#options;
    this.#forwarder = new Forwarder(
      {
        gateway: 'box',
        inboxPrefix: this.#inboxPrefix,
        lanes: this.journal.laneNames.map((name, index) => {
          const lane = lanes[index];
          const subjects = [...(lane?.subjects ?? ['>'])];
          return {
            index,
            name,
            subjects,
            priority: lane?.priority ?? 5,
            stream: lane?.stream ?? null,
            isLate: name.endsWith('~late'),
          };
        }),
        window,
        ackTimeoutMs,
        limit: limit ?? { messagesPerSecond: 0, bytesPerSecond: 0 },
        drain: { share: 0.1, windows: [], overridePriority: 1, historicalAfterMs: 10_000, ...this.#options.drain },
      },
      { hub: this.link, records: this.journal.records, served: () => [] },
      this.#log,
    );
    await this.#forwarder.start();
    if (linked) await this.connect();
  }

  async connect(): Promise<void> {
    await this.link.start();
  }

  /** Appends `count` records whose payloads are the numbers from `first`; resolves once all are committed. */
  async produce(count: number, subject: string | ((n: number) => string), { first = 1, lane = 0 } = {}): Promise<void> {
    const of = typeof subject === 'string' ? () => subject : subject;
    const { refused } = await produce(this.journal, lane, count, (n) => message(of(n), String(n)), { first });
    if (refused[0]) throw refused[0].error;
  }

  status(lane = 0): LaneUpStatus {
    const status = this.#forwarder?.status()[lane];
    if (!status) throw new Error(`there is no lane ${lane}`);
    return status;
  }

  cursor(lane = 0): number {
    return this.journal.records.resume(lane).cursor;
  }

  /** Waits until everything that the lane has now is acknowledged. */
  async drained(lane = 0, options: WaitOptions = {}): Promise<void> {
    const reached = () => this.cursor(lane) === this.journal.records.resume(lane).lastSequence;
    await waitFor('the lane to drain', reached, { timeoutMs: 30_000, ...options }).catch((error: unknown) => {
      const { reason, state } = this.status(lane);
      const { lastSequence } = this.journal.records.resume(lane);
      throw new Error(`${state} at ${this.cursor(lane)} of ${lastSequence}: ${reason?.message}`, { cause: error });
    });
  }

  async blocked(code: string, lane = 0): Promise<LaneUpStatus> {
    await waitFor(`the lane to say ${code}`, () => this.status(lane).reason?.code === code, { timeoutMs: 15_000 });
    return this.status(lane);
  }

  async stop(): Promise<void> {
    await this.#forwarder?.stop();
    await this.link.stop();
    await this.journal.stop();
  }
}

/** An uplink that is stopped when the scope ends. */
export async function startUplink(
  scope: Scope,
  options: Omit<UplinkOptions, 'folder'> & { folder?: string; linked?: boolean },
): Promise<Uplink> {
  const { linked = true, ...rest } = options;
  const uplink = new Uplink({ ...rest, folder: options.folder ?? tempDir(scope, 'uplink') });
  atEnd(scope, () => uplink.stop());
  await uplink.start({ linked });
  return uplink;
}

/** With the saver: the numbers are reserved, and the lane keeps up, so that from now on messages are held. */
export async function untilHeld(uplink: Uplink): Promise<void> {
  await waitFor('the lane to keep up', () => ['idle', 'sending'].includes(uplink.status().state), {
    timeoutMs: 20_000,
  });
  const { commits, saver } = uplink.journal.status();
  let first = 1_000_000 + (saver?.spared ?? 0) + (saver?.written ?? 0);
  const isSpared = async () => {
    await uplink.produce(1, 't.warm', { first: first++ });
    return (uplink.journal.status().saver?.spared ?? 0) > (saver?.spared ?? 0);
  };
  await waitFor(`a message to be spared after ${commits} commits`, isSpared);
}

export interface UplinkProcessOptions extends Omit<UplinkOptions, 'leafUrl'> {
  /** '' for no link. */
  leafUrl: string;
  /** The number of the first record. */
  first: number;
  /** Records in one turn of the loop: batches of different sizes make different windows for the kill. */
  limitPerTurn: number;
  /** Waits for the hub while the disk has more records that are not there; default: never. */
  behindMax?: number;
}

/** uplink-process.ts, to be killed; `dist`: with the modules of this build (see broken-build.ts). */
export function startUplinkProcess(options: UplinkProcessOptions, dist?: string): Child {
  const hook = dist === undefined ? [] : ['--import', join(import.meta.dirname, 'in-build.ts')];
  const program = join(import.meta.dirname, 'uplink-process.ts');
  const env = dist === undefined ? {} : { env: { PETIOLE_TEST_DIST: dist } };
  return new Child(process.execPath, [...hook, program, JSON.stringify(options)], env);
}
