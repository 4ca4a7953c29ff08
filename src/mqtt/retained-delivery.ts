import type { Client } from './client.ts';
import type { RetainedMessage, RetainedWalk } from './retained-port.ts';
import type { TopicSubscription } from './topic-subscription.ts';

/**
 * Retained messages go out in turns, so that a client with a wildcard holds up nobody: the round gives every client that
 * waits a slice, ends its turn when the budget is spent, and goes on behind the sockets that have something to say.
 *
 *   SUBSCRIBE ─▶ walk ─▶ round: slice, slice, … │ turn of the event loop │ slice, …
 *                          └─ a client with enough bytes to read comes back when its socket has taken them
 */

/** Steps of all walks in one turn: some 1 ms. A message that is sent counts for more than a step that finds none. */
const TURN_STEPS = 4_096;
const SEND_STEPS = 16;
/** Steps of one client before the next one's slice. */
const SLICE_STEPS = 1_024;
/** Retained messages wait for a client's socket up to here; so they never fill the bound for live ones. */
const WAITING_BYTES_MAX = 64 * 1024;

/** Where a slice ended: its steps are used, or its client has enough to read, or nothing is left. */
type Slice = 'more' | 'waits' | 'done';

/** Gives slices to the clients that have retained messages to come. */
export class RetainedRound {
  #waiting: RetainedDelivery[] = [];

  /** Once, until its slice has come: the delivery remembers that it waits. */
  add(delivery: RetainedDelivery): void {
    if (this.#waiting.push(delivery) === 1) setImmediate(() => this.#turn());
  }

  #turn(): void {
    let steps = 0;
    let served = 0;
    const queue = this.#waiting;
    for (; served < queue.length && steps < TURN_STEPS; served++) {
      const delivery = queue[served] as RetainedDelivery;
      steps += delivery.slice(SLICE_STEPS);
      if (delivery.state === 'more') queue.push(delivery);
    }
    this.#waiting = queue.slice(served);
    if (this.#waiting.length > 0) setImmediate(() => this.#turn());
  }
}

/** What one client is still to get: a walk for each of its subscriptions, so bounded by mqtt.subscriptions_max. */
export class RetainedDelivery {
  readonly #client: Client;
  readonly #round: RetainedRound;
  readonly #walks = new Map<TopicSubscription, RetainedWalk>();
  state: Slice = 'done';

  constructor(client: Client, round: RetainedRound) {
    this.#client = client;
    this.#round = round;
  }

  /** A walk that the subscription had before ends: this one begins anew. */
  begin(subscription: TopicSubscription, walk: RetainedWalk): void {
    this.#walks.delete(subscription);
    this.#walks.set(subscription, walk);
    if (this.state !== 'done') return;
    this.state = 'more';
    this.#round.add(this);
  }

  /** [MQTT-3.10.4-2] */
  cancel(subscription: TopicSubscription): void {
    this.#walks.delete(subscription);
  }

  /** The client has left. */
  end(): void {
    this.#walks.clear();
  }

  /** Returns the steps that it took; `state` is then where it stands. */
  slice(stepsMax: number): number {
    const client = this.#client;
    let steps = 0;
    for (const [subscription, walk] of this.#walks) {
      for (;;) {
        if (steps >= stepsMax) return this.#pause('more', steps);
        if (client.connection.waitingBytes >= Math.min(WAITING_BYTES_MAX, client.outboundBytesMax / 2)) {
          this.#whenTaken();
          return this.#pause('waits', steps);
        }
        const { outgoing } = client.session;
        if (subscription.options.qos > 0 && !outgoing.hasRoomForRetained) {
          outgoing.whenRoom(() => this.#goOn());
          return this.#pause('waits', steps);
        }
        const { value: message, done } = walk.next();
        steps++;
        if (done) break;
        if (message !== null && this.#send(subscription, message)) steps += SEND_STEPS;
      }
      this.#walks.delete(subscription);
    }
    return this.#pause('done', steps);
  }

  #pause(state: Slice, steps: number): number {
    this.state = state;
    return steps;
  }

  #whenTaken(): void {
    this.#client.connection.whenTaken(() => this.#goOn());
  }

  #goOn(): void {
    this.state = 'more';
    this.#round.add(this);
  }

  #send(subscription: TopicSubscription, message: RetainedMessage): boolean {
    const { qos, noLocal, identifier } = subscription.options;
    if (noLocal && message.client === this.#client.party.name) return false;
    if (subscription.hides(message.subject)) return false;
    return this.#client.deliverRetained(message, qos, identifier);
  }
}

/** One walk after the other: `x/#` is two filters. */
export function* inTurn(walks: readonly RetainedWalk[]): Generator<RetainedMessage | null, undefined> {
  for (const walk of walks) {
    for (let step = walk.next(); !step.done; step = walk.next()) yield step.value;
  }
}
