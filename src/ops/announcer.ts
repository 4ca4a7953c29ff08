import { type Message, NO_HEADERS, type Party } from '../core/message.ts';
import type { Router, Subscription } from '../core/router.ts';
import { once, type Service } from '../core/service.ts';
import { healthz } from './health.ts';
import { Look } from './look.ts';
import type { Snapshot } from './snapshot.ts';
import { summary } from './summary.ts';

/** How often the health goes out without being asked for: three within the two minutes after which people worry. */
const HEALTH_MS = 30_000;
/** Rows of a list in an answer: what a hub's default max_payload (1 MiB) has room for, many times over. */
const ROWS_MAX = 200;

const SELF: Party = { kind: 'box', name: 'announcer' };

/** What goes out on `petiole.<gateway>.health`. */
export interface HealthMessage {
  gateway: string;
  version: string;
  atMs: number;
  uptimeS: number;
  /** The box in one sentence, as on the status page. */
  sentence: string;
  status: 'ok' | 'degraded' | 'failing';
  problems: Snapshot['problems'];
  link: Pick<Snapshot['link'], 'state' | 'url' | 'sinceMs' | 'rttMs' | 'lastPubAckMs'>;
  lanes: Pick<Snapshot['lanes'][number], 'name' | 'state' | 'depth' | 'bytes' | 'bytesMax' | 'oldestMs'>[];
  losses: Snapshot['losses'];
  memory: Snapshot['gateway']['memory'];
  freeBytes: number;
}

/**
 * The box as a party of its own: a fleet tool needs no way to the box but the hub.
 *
 * - `petiole.<gateway>.health`: a `HealthMessage` every 30 s, live and only where somebody has interest; and as the answer
 *   to a request
 * - `petiole.<gateway>.status`: the answer to a request is the body of `/status.json`, its lists cut at 200 rows
 *
 * No lane takes these subjects unless its filter begins with `petiole.`, so that health of last week is no backlog.
 */
export class Announcer implements Service {
  readonly #router: Router;
  readonly #subject: string;
  /** A flood of requests costs one snapshot a second. */
  readonly #look: Look;
  readonly #subscriptions: Subscription[];
  readonly #everyMs: number;
  readonly #counters = { announced: 0, answered: 0 };
  #timer: NodeJS.Timeout | undefined;

  constructor(gateway: string, router: Router, snapshot: () => Snapshot, everyMs = HEALTH_MS) {
    this.#everyMs = everyMs;
    this.#router = router;
    this.#subject = `petiole.${gateway}`;
    this.#look = new Look(snapshot);
    this.#subscriptions = [
      this.#answer('health', () => health(this.#snapshot())),
      this.#answer('status', () => cut(this.#snapshot())),
    ];
  }

  async start(): Promise<void> {
    for (const subscription of this.#subscriptions) this.#router.subscribe(subscription);
    this.#timer = setInterval(() => this.#announce(), this.#everyMs);
    this.#timer.unref();
  }

  readonly stop = once(async () => {
    clearInterval(this.#timer);
    for (const subscription of this.#subscriptions) this.#router.unsubscribe(subscription);
  });

  status(): { announced: number; answered: number } {
    return { ...this.#counters };
  }

  #snapshot(): Snapshot {
    return this.#look.snapshot(performance.now());
  }

  #announce(): void {
    this.#counters.announced++;
    this.#publish(`${this.#subject}.health`, health(this.#snapshot()));
    this.#look.forget();
  }

  #answer(name: string, body: () => unknown): Subscription {
    return {
      filter: `${this.#subject}.${name}`,
      queue: '',
      owner: SELF,
      deliver: ({ reply, origin }) => {
        // Our own announcement comes by here too, and asks nothing.
        if (reply === '' || origin === SELF) return false;
        this.#counters.answered++;
        this.#publish(reply, body());
        return true;
      },
    };
  }

  #publish(subject: string, body: unknown): void {
    const payload = Buffer.from(JSON.stringify(body));
    const message: Message = {
      subject,
      reply: '',
      headers: NO_HEADERS,
      payload,
      receivedAtMs: Date.now(),
      origin: SELF,
    };
    this.#router.publish(message);
  }
}

function health(snapshot: Snapshot): HealthMessage {
  const { gateway, link, lanes, losses, store } = snapshot;
  const { body } = healthz(snapshot);
  const { state, url, sinceMs, rttMs, lastPubAckMs } = link;
  return {
    gateway: gateway.name,
    version: gateway.version,
    atMs: gateway.nowMs,
    uptimeS: gateway.uptimeS,
    sentence: summary(snapshot),
    ...body,
    link: { state, url, sinceMs, rttMs, lastPubAckMs },
    lanes: lanes.map(({ name, state, depth, bytes, bytesMax, oldestMs }) => ({
      name,
      state,
      depth,
      bytes,
      bytesMax,
      oldestMs,
    })),
    losses,
    memory: gateway.memory,
    freeBytes: store.freeBytes,
  };
}

/** Five thousand clients would be larger than a message may be; how many there are stands with the listeners. */
function cut(snapshot: Snapshot): Snapshot {
  const { mqtt, nats, ledger } = snapshot;
  return {
    ...snapshot,
    ledger: ledger.slice(0, ROWS_MAX),
    mqtt: { ...mqtt, clients: mqtt.clients.slice(0, ROWS_MAX) },
    nats: { ...nats, clients: nats.clients.slice(0, ROWS_MAX) },
  };
}
