import { randomBytes } from 'node:crypto';
import { covers } from '../core/subject.ts';
import type { BatchTarget } from './batch-pass.ts';
import { BatchSize } from './batch-size.ts';
import type { Reconciled } from './doubt.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { readWatermark, takesBatches, type Watermark, watermarkSubject } from './watermark.ts';

/** After this long a hub that refused a watermark is tried once more, at the next reconciliation. */
const AGAIN_MS = 60_000;

export interface BatchesOptions {
  readonly gateway: string;
  readonly lane: string;
  readonly subjects: readonly string[];
  /** The stream that the configuration names, null for whichever takes the subjects. */
  readonly stream: string | null;
  /** False for lanes that go by another procedure whatever the stream allows. */
  readonly allowed: boolean;
  readonly window: number;
}

/**
 * Whether a lane goes up in atomic batches, chosen anew at each reconciliation: its records must all go to one stream, and
 * that stream must allow batches and take the lane's watermark.
 */
export class Batches {
  readonly #options: BatchesOptions;
  readonly #hub: Hub;
  readonly #jetStream: JetStream;
  readonly #run = randomBytes(6).toString('base64url');
  readonly #size: BatchSize;
  #passes = 0;
  #againAtMs = 0;

  constructor(options: BatchesOptions, hub: Hub, jetStream: JetStream) {
    this.#options = options;
    this.#hub = hub;
    this.#jetStream = jetStream;
    this.#size = new BatchSize(options.window);
  }

  /** The hub does not take the lane's watermark, for want of a permission or, for a moment, of a leader: it is let be. */
  refused(): void {
    this.#againAtMs = performance.now() + AGAIN_MS;
  }

  /** Another link may have other permissions. */
  linkUp(): void {
    this.#againAtMs = 0;
  }

  get #isAllowed(): boolean {
    return this.#options.allowed && performance.now() >= this.#againAtMs;
  }

  /** Subject of the lane's watermark at the hub; null where this stream takes no batches from it. */
  readonly subjectIn = (info: StreamInfo): string | null => {
    if (!this.#isAllowed) return null;
    const subject = this.#hub.nameAtHub(this.#subjectHere(info));
    return takesBatches(info, subject) ? subject : null;
  };

  #subjectHere({ name }: StreamInfo): string {
    return watermarkSubject(this.#options.gateway, name, this.#options.lane);
  }

  /** Where the lane's batches go and the watermark there, null where it has to do without. `idEnd` as in `Identity`. */
  async choose(
    { streams, watermarks }: Reconciled,
    idEnd: string,
  ): Promise<{ target: BatchTarget; watermark: Watermark } | null> {
    if (!this.#isAllowed) return null;
    const info = await this.#streamOf(streams);
    const atHub = info && this.subjectIn(info);
    if (!info || !atHub) return null;
    const watermark = watermarks.get(info.name) ?? (await readWatermark(this.#jetStream, info.name, atHub, idEnd));
    const id = `${this.#run}.${++this.#passes}`;
    const subject = this.#subjectHere(info);
    return { target: { info, subject, watermark: watermark.sequence, id, size: this.#size }, watermark };
  }

  /** The one stream that takes all that the lane has. */
  async #streamOf(known: readonly StreamInfo[]): Promise<StreamInfo | null> {
    const { stream: named, subjects } = this.#options;
    if (named !== null) return known.find(({ name }) => name === named) ?? this.#jetStream.streamInfo(named);
    const atHub = subjects.map((subject) => this.#hub.nameAtHub(subject));
    const [first] = atHub;
    if (known.length > 1 || first === undefined || first === '>') return null;
    const name = known[0]?.name ?? (await this.#jetStream.streamOf(first));
    const info = known[0] ?? (name === null ? null : await this.#jetStream.streamInfo(name));
    const takesAll = atHub.every((subject) => info?.subjects.some((filter) => covers(filter, subject)));
    return takesAll ? info : null;
  }
}
