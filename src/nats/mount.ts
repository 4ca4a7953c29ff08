/** Here this names the hub's subjects outside of the box's own place. */
const HUB_ROOT = '$HUB.';
/** Replies that hubs made for their own way back are opaque. */
const OPAQUE = ['_INBOX.', '_GR_.', '_R_.'];

/**
 * The box's place among the hub's subjects (`upstream.prefix`), both ways:
 *
 *     here                     at the hub, prefix plant1
 *     line3.temp         ◀──▶  plant1.line3.temp
 *     $HUB.office.valve  ◀──▶  office.valve
 *     $JS.…, _INBOX.…    ◀──▶  the same
 *
 * Without a prefix every subject is the same on both sides.
 */
export class Mount {
  readonly #prefix: string;

  /** '' or one or more tokens. */
  constructor(prefix: string) {
    this.#prefix = prefix === '' ? '' : `${prefix}.`;
  }

  /** A subject or a filter of the box, as the hub knows it. */
  toHub(subject: string): string {
    if (this.#prefix === '') return subject;
    if (subject.startsWith(HUB_ROOT)) return subject.slice(HUB_ROOT.length);
    return isUnmoved(subject) ? subject : this.#prefix + subject;
  }

  /** A subject of the hub, as the box knows it. */
  toBox(subject: string): string {
    if (this.#prefix === '') return subject;
    if (subject.startsWith(this.#prefix)) return subject.slice(this.#prefix.length);
    return isUnmoved(subject) ? subject : HUB_ROOT + subject;
  }

  /** Messages under this filter bear another name here (the one without `$HUB.`), so nobody would get them. */
  isUnreachable(filter: string): boolean {
    return this.#prefix !== '' && filter.startsWith(HUB_ROOT + this.#prefix);
  }
}

function isUnmoved(subject: string): boolean {
  return subject === '' || subject.charCodeAt(0) === 36 /* $ */ || OPAQUE.some((prefix) => subject.startsWith(prefix));
}
