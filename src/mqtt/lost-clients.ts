/** Names are up to 64 KiB, and a flapping radio may lose a client a second: what is shown and counted is bounded. */
const LOST_MAX = 1000;
const SHOWN_MAX = 50;
/** After a day it is no news any more: the client has been given another name, or was taken away. */
const LOST_MS = 24 * 3_600_000;
/** One that sleeps between two messages is connected for seconds, and its going is no sign of anything. */
const STAYED_MS = 60_000;

export interface LostClient {
  readonly clientId: string;
  readonly remote: string;
  readonly lastSeenMs: number;
  readonly messagesIn: number;
}

export interface LostStatus {
  count: number;
  /** The newest ones. */
  clients: LostClient[];
}

/** Sensors that went without a word, by a cut line, an empty battery or a keep-alive that ran out, and have not come again. */
export class LostClients {
  /** Oldest first. */
  readonly #lost = new Map<string, LostClient>();

  /** A connection has ended without a DISCONNECT. */
  note(client: LostClient, connectedAtMs: number): void {
    if (client.messagesIn === 0 || client.lastSeenMs - connectedAtMs < STAYED_MS) return;
    this.forget(client.clientId);
    this.#lost.set(client.clientId, client);
    const [oldest] = this.#lost.keys();
    if (this.#lost.size > LOST_MAX && oldest !== undefined) this.#lost.delete(oldest);
  }

  /** It is there again. */
  forget(clientId: string): void {
    this.#lost.delete(clientId);
  }

  status(nowMs: number): LostStatus {
    for (const { clientId, lastSeenMs } of this.#lost.values()) {
      if (nowMs - lastSeenMs >= LOST_MS) this.#lost.delete(clientId);
    }
    return { count: this.#lost.size, clients: [...this.#lost.values()].slice(-SHOWN_MAX).reverse() };
  }
}
