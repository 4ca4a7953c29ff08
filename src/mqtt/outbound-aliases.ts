/** A subscriber with a wildcard sees many topics: so many of them, the first ones, have an alias. */
const ALIASES_MAX = 64;

/** Topic aliases that the server has set on one connection, within the client's Topic Alias Maximum [MQTT-3.1.2-26]. */
export class OutboundAliases {
  readonly #max: number;
  readonly #bySubject = new Map<string, number>();

  constructor(topicAliasMaximum: number) {
    this.#max = Math.min(ALIASES_MAX, topicAliasMaximum);
  }

  /** The alias that the client knows for the topic of a subject; below zero one that may be set; 0 where all are in use. */
  of(subject: string): number {
    const known = this.#bySubject.get(subject);
    if (known !== undefined) return known;
    return this.#bySubject.size < this.#max ? -(this.#bySubject.size + 1) : 0;
  }

  /** The PUBLISH that sets it is on its way. */
  set(subject: string): void {
    this.#bySubject.set(subject, this.#bySubject.size + 1);
  }
}
