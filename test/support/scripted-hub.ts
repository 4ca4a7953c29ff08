import type { GatewayError } from '../../src/core/errors.ts';
import { buildHeaders, statusHeaders } from '../../src/core/headers.ts';
import type { Hub } from '../../src/upstream/ports.ts';
import type { Fetching, Inbox } from '../../src/upstream/read-back.ts';

const NONE = Buffer.alloc(0);

/** A stream as the far end tells of it: `messages` are ids by stream sequence, null for a message of somebody else. */
export interface ScriptedStream {
  created?: string;
  subjects?: string[];
  last: number;
  messages: Map<number, string | null>;
  /** A work queue takes no second consumer. */
  workQueue?: boolean;
}

export interface Sent {
  subject: string;
  reply: string;
  headers: string;
}

/** The far end for what a real hub can't be brought to do at will: messages that go while they are read back. */
export class ScriptedHub implements Hub {
  up = true;
  writable = true;
  isShared = false;
  readonly streams = new Map<string, ScriptedStream>();
  readonly calls: string[] = [];
  readonly sent: Sent[] = [];
  /** Runs before each answer to a fetch. */
  beforeFetch: () => void = () => {};
  /** Takes what is fetched with this reply subject; where it is not set, that goes to `inbox`. */
  fetched: ((reply: string, headers: Buffer, payload: Buffer) => void) | null = null;
  /** The next consumer gets nothing behind this sequence, whatever it was promised. */
  endsAt = Infinity;
  #endsAt = Infinity;
  #fetching: Fetching | null = null;
  #consumed = 0;

  readonly inbox: Inbox = {
    open: (fetching) => {
      this.#fetching = fetching;
      return '_INBOX.x.f.1';
    },
    close: () => {
      this.#fetching = null;
    },
  };

  nameAtHub(subject: string): string {
    return subject;
  }

  nameHere(subject: string): string {
    return subject;
  }

  forward(subject: string, reply: string, headers: Buffer, payload: Buffer): 'sent' {
    if (subject.startsWith('$JS.API.CONSUMER.MSG.NEXT.')) {
      const { batch } = JSON.parse(payload.toString()) as { batch: number };
      setImmediate(() => this.#deliver(subject.split('.')[5] ?? '', batch, reply));
    } else this.sent.push({ subject, reply, headers: headers.toString() });
    return 'sent';
  }

  request(subject: string, payload: string): Promise<{ headers: Buffer; payload: Buffer }> {
    const call = subject.replace('$JS.API.', '');
    this.calls.push(call);
    const answer = this.#answer(call, payload === '' ? {} : JSON.parse(payload));
    return Promise.resolve({ headers: Buffer.alloc(0), payload: Buffer.from(JSON.stringify(answer)) });
  }

  cut(reason: GatewayError): void {
    throw reason;
  }

  #answer(call: string, body: { subject?: string; seq?: number; config?: { opt_start_seq: number } }): unknown {
    const name = call.replace('STREAM.MSG.GET', 'STREAM.GET').split('.')[2] ?? '';
    const stream = this.streams.get(name);
    if (call === 'STREAM.NAMES') return { streams: [...this.streams.keys()] };
    if (!stream) return { error: { code: 404, err_code: 10059, description: 'stream not found' } };
    const { created = 'monday', subjects = ['>'], last, messages, workQueue } = stream;
    if (call.startsWith('STREAM.INFO')) {
      const first = Math.min(...messages.keys(), last + 1);
      return { config: { subjects }, created, state: { first_seq: first, last_seq: last } };
    }
    if (call.startsWith('CONSUMER.CREATE')) {
      if (workQueue) return { error: { code: 400, err_code: 10099, description: 'multiple consumers' } };
      const from = body.config?.opt_start_seq ?? 0;
      this.#consumed = from - 1;
      this.#endsAt = this.endsAt;
      this.endsAt = Infinity;
      return { name: 'C', num_pending: [...messages.keys()].filter((sequence) => sequence >= from).length };
    }
    if (call.startsWith('STREAM.MSG.GET')) {
      const id = messages.get(body.seq ?? 0);
      if (id === undefined) return { error: { code: 404, err_code: 10037, description: 'no message found' } };
      return { message: { hdrs: headersOf(id).toString('base64') } };
    }
    return {};
  }

  #deliver(name: string, batch: number, reply: string): void {
    this.beforeFetch();
    const give = this.fetched ?? ((_, headers, payload) => this.#fetching?.take(headers, payload));
    const left = [...(this.streams.get(name)?.messages ?? [])].filter(
      ([sequence]) => sequence > this.#consumed && sequence <= this.#endsAt,
    );
    for (const [sequence, id] of left.slice(0, batch)) {
      this.#consumed = sequence;
      give(reply, headersOf(id), NONE);
    }
    if (left.length < batch) give(reply, statusHeaders(404, 'No Messages'), NONE);
  }
}

function headersOf(id: string | null): Buffer {
  return id === null ? Buffer.alloc(0) : buildHeaders([['Petiole-Id', id]]);
}
