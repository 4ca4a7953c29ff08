import { type Message, NO_HEADERS, type Party } from '../../core/message.ts';
import type { Receipt, Router } from '../../core/router.ts';
import { isSubject } from '../../core/subject.ts';
import type { Board } from './board.ts';
import type { CborValue } from './codec/cbor.ts';
import { AGE_UNKNOWN, readData } from './codec/entities.ts';
import { readPublish } from './codec/messages.ts';
import { code } from './codec/words.ts';
import type { Handling } from './numbered-in.ts';
import type { BoardCounters, BridgeStore } from './options.ts';
import type { SubjectRules } from './subject-rules.ts';

/** Bits of a byte on the line: start, eight, stop. */
const BITS_PER_BYTE = 10;

export interface PublicationParts {
  readonly router: Router;
  readonly store: BridgeStore;
  readonly party: Party;
  readonly rules: SubjectRules;
  readonly counters: BoardCounters;
  /** 0 where the line's speed says nothing. */
  readonly baud: number;
}

/** What a frame under a number becomes, and who is told of it. */
export interface Numbered {
  readonly source: string;
  readonly number: number;
  readonly receipt: Receipt;
  /** So many messages are on their way. */
  await(messages: number): void;
}

/** DATA and PUBLISH of a board as messages of the box. */
export class Publications {
  readonly #parts: PublicationParts;
  #timeMs = Number.NaN;
  #time = '';

  constructor(parts: PublicationParts) {
    this.#parts = parts;
  }

  /** Values on the subjects of their entities. Throws Malformed. */
  data(board: Board, payload: Uint8Array, receivedAtMs: number, numbered: Numbered | null): Handling {
    const { party, counters, baud } = this.#parts;
    const values: { entity: number; value: CborValue; offsetMs: number }[] = [];
    const ageMs = readData(payload, (entity, value, offsetMs) => values.push({ entity, value, offsetMs }));
    const lineMs = baud > 0 ? (payload.length * BITS_PER_BYTE * 1000) / baud : 0;
    const referenceMs = ageMs === AGE_UNKNOWN ? null : receivedAtMs - lineMs - ageMs;
    const messages: Message[] = [];
    for (const { entity: index, value, offsetMs } of values) {
      const entity = board.entity(index);
      if (entity === undefined) return { refused: code.unknown_entity };
      const atMs = referenceMs === null ? null : Math.round(Math.min(receivedAtMs, referenceMs + offsetMs));
      const body = entity.payload(value, atMs, this.#isoTime(atMs));
      const { subject } = entity;
      messages.push({ subject, reply: '', headers: NO_HEADERS, payload: body, receivedAtMs, origin: party });
    }
    const handling = this.#publish(messages, numbered);
    if (handling !== 'busy') counters.values += messages.length;
    return handling;
  }

  /** One message on a subject of the board's choice. Throws Malformed. */
  publish(payload: Uint8Array, receivedAtMs: number, numbered: Numbered | null): Handling {
    const { rules, party, counters } = this.#parts;
    const published = readPublish(payload);
    const subject = rules.whole(published.subject);
    if (!isSubject(subject)) return { refused: code.malformed };
    if (!rules.mayPublish(subject)) return { refused: code.not_permitted };
    // A copy: the decoder's buffer is used again.
    const body = Buffer.from(published.payload);
    const message = { subject, reply: '', headers: NO_HEADERS, payload: body, receivedAtMs, origin: party };
    const handling = this.#publish([message], numbered);
    if (handling !== 'busy') counters.published++;
    return handling;
  }

  #publish(messages: readonly Message[], numbered: Numbered | null): Handling {
    const { router, store } = this.#parts;
    if (numbered === null) {
      for (const message of messages) router.publish(message);
      return 'done';
    }
    const { source, number, receipt } = numbered;
    const left = messages.filter((message) => !store.hasTaken(source, number, message));
    if (left.length === 0) return 'done';
    const bytes = left.reduce((sum, { subject, payload }) => sum + 3 * subject.length + payload.length, 0);
    const publishAll = (): void => {
      // Before: where no lane takes them, the receipts come at once.
      numbered.await(left.length);
      for (const message of left) router.publish(message, receipt, number);
    };
    return store.take(source, number, left.length, bytes, publishAll) ? 'pending' : 'busy';
  }

  #isoTime(atMs: number | null): string {
    if (atMs === null) return '';
    if (atMs !== this.#timeMs) {
      this.#timeMs = atMs;
      this.#time = new Date(atMs).toISOString();
    }
    return this.#time;
  }
}
