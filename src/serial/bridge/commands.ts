import { GatewayError } from '../../core/errors.ts';
import type { Message, Party } from '../../core/message.ts';
import type { Router, Subscription } from '../../core/router.ts';
import type { Board } from './board.ts';
import type { Calls, Outcome } from './calls.ts';
import { CborReader, encodeCbor } from './codec/cbor.ts';
import { feature } from './codec/words.ts';
import type { BoardEntity } from './entity.ts';

export interface CommandParts {
  readonly router: Router;
  readonly party: Party;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly calls: Calls;
  /** The board that is there; or why there is none. */
  board(): Board | GatewayError;
  answer(reply: string, outcome: Outcome): void;
  failed(error: GatewayError): void;
}

/**
 * Commands: a message on `<prefix>.<entity>.set` sets an entity of the board. The payload is JSON: the value, or
 * `{"value":…}`. The answer is `{"value":…,"unit":…}`, the value that is in force now, or an error as NATS services give it.
 */
export class Commands {
  readonly counters = { commands: 0, commandsFailed: 0 };
  readonly #parts: CommandParts;
  readonly #subscription: Subscription;

  constructor(parts: CommandParts) {
    this.#parts = parts;
    const deliver = (message: Message): boolean => {
      this.#take(message);
      return true;
    };
    this.#subscription = { filter: `${parts.prefix}.*.set`, queue: '', owner: parts.party, deliver };
  }

  start(): void {
    this.#parts.router.subscribe(this.#subscription);
  }

  stop(): void {
    this.#parts.router.unsubscribe(this.#subscription);
  }

  #take({ subject, payload, reply }: Message): void {
    this.counters.commands++;
    const finish = (outcome: Outcome): void => {
      if (outcome instanceof GatewayError) this.counters.commandsFailed++;
      if (reply !== '') this.#parts.answer(reply, outcome);
      else if (outcome instanceof GatewayError) this.#parts.failed(outcome);
    };
    const board = this.#parts.board();
    if (board instanceof GatewayError) finish(board);
    else this.#command(board, subject, payload, finish);
  }

  #command(board: Board, subject: string, payload: Buffer, finish: (outcome: Outcome) => void): void {
    const { prefix, calls, timeoutMs } = this.#parts;
    const name = subject.slice(prefix.length + 1, -'.set'.length);
    const entity = board.named(name);
    if (entity === undefined || !board.has(feature.commands)) {
      finish(wrong(`there is no ${name} to be set`));
      return;
    }
    let command: Buffer;
    try {
      const number = encodeCbor(board.entities.indexOf(entity));
      command = Buffer.concat([number, entity.encode(jsonIn(payload))]);
    } catch (error) {
      finish(wrong(error instanceof Error ? error.message : String(error)));
      return;
    }
    calls.call('', command, timeoutMs, (outcome) => {
      finish(outcome instanceof GatewayError || outcome.length === 0 ? outcome : answerOf(entity, outcome));
    });
  }
}

function answerOf(entity: BoardEntity, answer: Buffer): Outcome {
  try {
    return Buffer.from(entity.answer(new CborReader(answer).value()));
  } catch {
    return new GatewayError('protocol_violation', `The board's answer for ${entity.description.name} is no CBOR`);
  }
}

/** Throws an Error where it is no JSON. */
function jsonIn(payload: Buffer): unknown {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    throw new Error('the payload is no JSON value, such as 21.5, true or "text"');
  }
  return typeof value === 'object' && value !== null && 'value' in value ? value.value : value;
}

function wrong(why: string): GatewayError {
  return new GatewayError('config_invalid', `The command can't be given: ${why}`, { retriable: false });
}
