import type { Message } from '../core/message.ts';
import type { User } from '../core/users.ts';
import type { Context } from './context.ts';
import { Session } from './session.ts';

/** What a CONNECT asks for. */
export interface SessionWish {
  readonly clientId: string;
  readonly user: User | null;
  /** Clean Start, or Clean Session of 3.1.1. */
  readonly isClean: boolean;
  /** Session Expiry Interval in seconds. */
  readonly expiryS: number;
}

/** The sessions of all clients: who gets which, and when one ends. */
export class Sessions {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  open({ clientId, user }: SessionWish): { session: Session; isPresent: boolean } {
    return { session: new Session(this.#context, { kind: 'mqtt', name: clientId }, user), isPresent: false };
  }

  /** Its client has gone. */
  left(session: Session): void {
    const orphans = session.detach();
    session.endSubscriptions();
    const { router } = this.#context;
    for (const { content, share } of orphans) {
      // A delivery that has not been on the disk has its message [MQTT5 4.8.2].
      router.deliverToQueue(content as Message, share);
    }
  }
}
