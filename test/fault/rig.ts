import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Box, type BoxOptions, startBox } from '../support/box.ts';
import { type BreakName, breakBuild } from '../support/broken-build.ts';
import { connectHub, createStream, streamState } from '../support/hub-stream.ts';
import { type Load, type LoadOptions, type LoadResult, startLoad } from '../support/mqtt-load.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { binaryFor, type Procedure, streamFor } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { type WaitOptions, waitFor } from '../support/wait-for.ts';

export interface RigOptions {
  seed: number;
  procedure: Procedure;
  /** Publishes of the phase that kills the box. */
  messages: number;
  kills: number;
  outages: number;
  cuts: number;
  /** `upstream.prefix`; '' for none. */
  prefix: string;
  /** The nats-server; without it the one that the procedure needs. */
  binary?: string;
  build: BreakName | null;
  /** `journal.flush: { saver: true }`. */
  saver?: boolean;
  /** Of the steady load; default 2,000. With 10 ms to and fro some tens of records are in flight then at any moment. */
  messagesPerSecond?: number;
  /** Where the hub and the box have what is to survive them, and what the box runs in; default: temp folders. */
  hubDir?: string;
  box?: Pick<BoxOptions, 'dataDir' | 'env'>;
  /** Told what goes on, line by line. */
  say: (line: string) => void;
}

export const STREAM = 'BENCH';
/** Not in STREAM: the ledger's messages would be foreign in a stream that is the lane's own. */
export const LEDGER_STREAM = 'LEDGER';
export const LANE = 'bench';
/** Shorter than the shortest wait before a reconnect (500 ms): no interruption may hide behind the hub's own memory. */
export const DUPLICATE_WINDOW_MS = 200;
/** One way. Gives the link a length, so that a cut always finds something on its way. */
const LINK_DELAY_MS = 5;
/**
 * A link that falls sooner than a second after it came up has the box wait four times as long before it tries again:
 * right, and slow to test.
 */
const STABLE_MS = 1_050;
/** What the waits between attempts to reconnect can add up to. */
const FLOW: WaitOptions = { timeoutMs: 90_000, intervalMs: 20 };
/** A bound for what hangs; a box that is killed often is started often, on a machine that may be busy. */
const READY_TIMEOUT_MS = 300_000;
const DRAIN_TIMEOUT_MS = 300_000;
const LOAD_TIMEOUT_MS = 1_800_000;
/** The backlog of an outage stays small. */
const LIVE_PER_S = 2_000;
const CONNECTIONS = 10;

/** Senders, box, link and hub: each can be broken by itself. */
export class Rig {
  readonly options: RigOptions;
  readonly random: SeededRandom;
  readonly hub: NatsServer;
  readonly link: TcpProxy;
  readonly box: Box;
  readonly reader: NatsConnection;
  readonly loads: LoadResult[] = [];
  readonly #scope: Scope;

  constructor(
    options: RigOptions,
    scope: Scope,
    parts: { hub: NatsServer; link: TcpProxy; box: Box; reader: NatsConnection },
  ) {
    this.options = options;
    this.random = new SeededRandom(options.seed);
    this.#scope = scope;
    this.hub = parts.hub;
    this.link = parts.link;
    this.box = parts.box;
    this.reader = parts.reader;
  }

  say(line: string): void {
    this.options.say(line);
  }

  /** Between `least` and `most` milliseconds, by the seed. */
  async pause(least: number, most: number): Promise<void> {
    await sleep(this.random.between(least, most));
  }

  /** Until the link has lasted long enough to count. */
  async settle(): Promise<void> {
    await this.pause(STABLE_MS, STABLE_MS + 200);
  }

  /** QoS 1 senders that reconnect, and send again what was not acknowledged. */
  startLoad(clientPrefix: string, options: Pick<LoadOptions, 'messages' | 'messagesPerSecond'>): Load {
    return startLoad(this.#scope, {
      port: this.box.mqttPort,
      connections: CONNECTIONS,
      clientPrefix,
      reconnect: true,
      timeoutMs: LOAD_TIMEOUT_MS,
      progressEveryMs: 10,
      ...options,
    });
  }

  /** Publishes at a steady rate for as long as `work` takes. */
  async whilePublishing(clientPrefix: string, work: () => Promise<void>): Promise<void> {
    const load = this.startLoad(clientPrefix, {
      messages: 100_000_000,
      messagesPerSecond: this.options.messagesPerSecond ?? LIVE_PER_S,
    });
    await this.untilFlowing();
    await work();
    await waitFor('the senders to be connected', () => load.progress.connected === CONNECTIONS, { timeoutMs: 30_000 });
    this.loads.push(await load.stop());
  }

  /** Kills the box and starts it on what it left. */
  async restartBox(): Promise<void> {
    await this.box.kill9();
    await this.box.start();
  }

  /** Takes back whatever was done to the link; a connection that was cut stays cut. */
  async mendLink(): Promise<void> {
    await this.link.restore();
    this.link.delay(LINK_DELAY_MS);
  }

  /** Records reach the hub, after whatever was broken. */
  async untilFlowing(): Promise<void> {
    const before = await waitFor('the stream to be asked', () => streamState(this.reader, STREAM), FLOW);
    const grows = async () => (await streamState(this.reader, STREAM)).lastSequence > before.lastSequence;
    await waitFor('records to reach the hub', grows, FLOW);
  }

  /** Every lane is empty, every loss is told, and nothing is under way. */
  async untilDrained(): Promise<void> {
    const sinceMs = Date.now();
    const drained = async () => {
      const { gateway, lanes, store, ledger } = await this.box.status();
      // The box composes its status once a second at the most.
      if (gateway.nowMs < sinceMs) return false;
      const open = lanes.filter((lane: { depth: number; inFlight: number }) => lane.depth > 0 || lane.inFlight > 0);
      if (open.length > 0) throw new Error(JSON.stringify(open));
      // A row becomes a message within some seconds.
      return store.queuedMessages === 0 && ledger.every(({ synced }: { synced: boolean }) => synced);
    };
    await waitFor('the lanes to be empty', drained, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 100 });
  }
}

/** A running rig that is gone when the scope ends. */
export async function startRig(scope: Scope, options: RigOptions): Promise<Rig> {
  const { procedure, binary } = options;
  const program = binary === undefined ? binaryFor(procedure) : { binary };
  const dir = options.hubDir === undefined ? {} : { dir: options.hubDir };
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, ...program, ...dir });
  const link = await startTcpProxy(scope, hub.leafPort);
  link.delay(LINK_DELAY_MS);
  // A hub tells its leafs where else it listens; told its own port, the box would soon go round the link.
  await hub.restart({ leafnodes: { raw: `  advertise: "127.0.0.1:${link.port}"` } });
  const reader = await connectHub(scope, hub.clientUrl);
  const place = options.prefix === '' ? '' : `${options.prefix}.`;
  const { subjects, config } = streamFor(procedure, STREAM, [`${place}${LANE}.>`], place);
  await createStream(reader, STREAM, subjects, { duplicate_window: DUPLICATE_WINDOW_MS * 1_000_000, ...config });
  await createStream(reader, LEDGER_STREAM, [`${place}petiole.*.ledger`]);
  const box = await startBox(scope, {
    readyTimeoutMs: READY_TIMEOUT_MS,
    ...options.box,
    config: {
      ...(options.saver && { journal: { flush: { saver: true } } }),
      lanes: [{ name: LANE, subjects: [`${LANE}.>`], stream: { name: STREAM, own: procedure === 'own' } }],
      upstream: {
        urls: [`nats://127.0.0.1:${link.port}`],
        prefix: options.prefix,
        ping_interval: '1s',
        ack_timeout: '2s',
        connect_timeout: '2s',
      },
    },
    ...(options.build !== null && { dist: breakBuild(scope, options.build) }),
  });
  return new Rig(options, scope, { hub, link, box, reader });
}
