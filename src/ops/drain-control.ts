import { GatewayError } from '../core/errors.ts';
import type { Message } from '../core/message.ts';
import { NO_HEADERS, type Party } from '../core/message.ts';
import type { Subscription } from '../core/router.ts';
import type { DrainState } from './api.ts';

/**
 * Pausing and resuming the way up, for operators: one set of commands behind the status server (`POST /drain/pause`), a
 * NATS request (`$PETIOLE.<gateway>.drain.pause`, from the box or from the hub) and `petiole drain`.
 */

/** Longest pause that may be asked for: a week, like a forgotten holiday. */
const FOR_MAX_S = 7 * 24 * 3600;
/** A request is a lane and a number. */
const REQUEST_BYTES_MAX = 1024;

/** What the control needs of the forwarder. */
export interface Holder {
  pause(lane: string, by: string, forMs: number): void;
  resume(lane: string, by: string): void;
  readonly held: DrainState;
}

export const actions = ['pause', 'resume', 'status'] as const;
export type Action = (typeof actions)[number];

export class DrainControl {
  readonly #holder: () => Holder | null;
  readonly #lanes: () => readonly string[];

  /** `holder`: null where there is no upstream. `lanes`: the names that may be given. */
  constructor(holder: () => Holder | null, lanes: () => readonly string[]) {
    this.#holder = holder;
    this.#lanes = lanes;
  }

  /** `lane` '' or '*' for all; `forS` '' or 0: until it is resumed. Throws config_invalid for what makes no sense. */
  act(action: string, lane: string, forS: string, by: string): DrainState {
    const holder = this.#holder();
    if (!holder) throw wrong('this box has no upstream', 'add upstream.urls to its configuration');
    const name = lane === '' ? '*' : lane;
    if (name !== '*' && !this.#lanes().includes(name)) {
      throw wrong(`there is no lane ${JSON.stringify(name)}`, `its lanes are ${this.#lanes().join(', ')}`);
    }
    const seconds = forS === '' ? 0 : Number(forS);
    if (!(seconds >= 0 && seconds <= FOR_MAX_S)) {
      throw wrong(`a pause of ${JSON.stringify(forS)} s is not possible`, `give seconds from 0 to ${FOR_MAX_S}`);
    }
    if (action === 'pause') holder.pause(name, by, seconds * 1000);
    else if (action === 'resume') holder.resume(name, by);
    else if (action !== 'status') throw wrong(`there is no action ${JSON.stringify(action)}`, actions.join(', '));
    return holder.held;
  }

  /**
   * The subscription that answers `$PETIOLE.<gateway>.drain.{pause,resume,status}`; the payload is empty or
   * `{"lane":"…","for_s":60}`. The answer is what is held now, or `{"error":{"code","message","hint"}}`.
   */
  subscription(gateway: string, reply: (message: Message) => void): Subscription {
    const owner: Party = { kind: 'box', name: 'drain' };
    const prefix = `$PETIOLE.${gateway}.drain.`;
    return {
      filter: `${prefix}*`,
      queue: '',
      owner,
      deliver: (request) => {
        const answer = Buffer.from(JSON.stringify(this.#answer(request, request.subject.slice(prefix.length))));
        if (request.reply !== '') {
          const { reply: subject } = request;
          // After this delivery has returned: the router is not entered twice.
          setImmediate(() =>
            reply({
              subject,
              reply: '',
              headers: NO_HEADERS,
              payload: answer,
              receivedAtMs: Date.now(),
              origin: owner,
            }),
          );
        }
        return true;
      },
    };
  }

  #answer({ payload, origin }: Message, action: string): DrainState | { error: Failure } {
    try {
      const { lane, for_s } = fieldsOf(payload);
      return this.act(action, String(lane ?? ''), String(for_s ?? ''), `${origin.kind} ${origin.name}`);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return { error: { code: error.code, message: error.message, hint: error.hint } };
    }
  }
}

interface Failure {
  code: string;
  message: string;
  hint: string;
}

function fieldsOf(payload: Buffer): { lane?: unknown; for_s?: unknown } {
  if (payload.length === 0) return {};
  try {
    const value: unknown = payload.length > REQUEST_BYTES_MAX ? null : JSON.parse(payload.toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below, as any other text that is no object.
  }
  throw wrong('the request is no JSON object', 'send nothing, or {"lane":"telemetry","for_s":3600}');
}

function wrong(message: string, hint: string): GatewayError {
  return new GatewayError('config_invalid', message, { hint, retriable: false });
}
