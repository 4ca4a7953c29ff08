import { GatewayError } from '../core/errors.ts';
import { matches } from '../core/subject.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';

/** Subjects whose stream is remembered; begun anew when full. */
const CACHE_MAX = 4_096;

/**
 * Which stream at the hub takes which subject. Streams never overlap within an account, so the patterns of a stream that
 * is known answer for all its subjects; only a subject outside all of them costs a request.
 */
export class Routes {
  readonly #streams = new Map<string, StreamInfo>();
  readonly #bySubject = new Map<string, StreamInfo>();
  /** The configured stream of the lane; then no other is asked for. */
  readonly #named: string | null;

  /** What the hub calls a subject of the box. */
  readonly #nameAtHub: (subject: string) => string;

  constructor(named: string | null, nameAtHub: (subject: string) => string) {
    this.#named = named;
    this.#nameAtHub = nameAtHub;
  }

  /** What the hub said once may have changed while the link was down. */
  clear(): void {
    this.#streams.clear();
    this.#bySubject.clear();
  }

  learn(info: StreamInfo): void {
    this.#streams.set(info.name, info);
  }

  /** From what is known; null where the hub must be asked. */
  of(subject: string): StreamInfo | null {
    const known = this.#bySubject.get(subject);
    if (known) return known;
    const atHub = this.#nameAtHub(subject);
    for (const info of this.#streams.values()) {
      if (this.#named !== null && info.name !== this.#named) continue;
      if (!info.subjects.some((filter) => matches(filter, atHub))) continue;
      if (this.#bySubject.size >= CACHE_MAX) this.#bySubject.clear();
      this.#bySubject.set(subject, info);
      return info;
    }
    return null;
  }

  /** Asks the hub. Rejects with no_stream where none takes the subject. */
  async find(local: string, jetStream: JetStream): Promise<StreamInfo> {
    const subject = this.#nameAtHub(local);
    const name = this.#named ?? (await jetStream.streamOf(subject));
    const info = name === null ? null : await jetStream.streamInfo(name);
    if (info?.subjects.some((filter) => matches(filter, subject))) return info;
    if (this.#named === null) {
      throw new GatewayError('no_stream', `no stream at the hub takes ${subject}`, {
        hint: `add the subject to a stream at the hub, for example: nats stream add --subjects '${subject}'`,
      });
    }
    throw new GatewayError(
      'no_stream',
      info ? `stream ${this.#named} does not take ${subject}` : `the hub has no stream ${this.#named}`,
      { hint: `make a stream ${this.#named} at the hub whose subjects include ${subject}, or mend the lane's stream` },
    );
  }
}
