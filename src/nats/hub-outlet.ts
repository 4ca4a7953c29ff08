import { NO_HEADERS } from '../core/message.ts';
import type { LeafConnection } from './leaf-connection.ts';
import type { PublishResult } from './leaf-types.ts';
import type { Mount } from './mount.ts';
import { isAlwaysWanted, type SubjectRules } from './permissions.ts';

/** Live messages are dropped above this: older than a slow line's few seconds they are worth little. */
const LIVE_BYTES_MAX = 4 * 1024 * 1024;
/** The forwarder and the box's own requests may go on a little, so that a window already begun finds its room. */
const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

const DIRECT_GET = '$JS.API.DIRECT.GET.';
/** Direct gets are served by this queue group at the hub; one that is not named gets nothing. */
const SYSTEM_QUEUE: readonly string[] = ['_sys_'];
const NO_NAMES: readonly string[] = [];

type Refusal = Exclude<PublishResult, 'sent'>;

/** What goes to the hub: only what somebody there wants and the rules allow, named as the hub names it, and counted. */
export class HubOutlet {
  readonly #mount: Mount;
  readonly #mayExport: SubjectRules;
  readonly #beforeSending: () => void;
  readonly sent = { messages: 0, bytes: 0 };
  readonly drops: Record<Refusal, number> = {
    'no-interest': 0,
    'not-connected': 0,
    forbidden: 0,
    'too-large': 0,
    full: 0,
  };

  /** `mayExport`: of subjects as the box has them, on top of the hub's own permissions. */
  constructor(mount: Mount, mayExport: SubjectRules, beforeSending: () => void) {
    this.#mount = mount;
    this.#mayExport = mayExport;
    this.#beforeSending = beforeSending;
  }

  mayPublish({ exports }: LeafConnection, subject: string): boolean {
    return exports.allows(this.#mount.toHub(subject)) && this.#mayExport.allows(subject);
  }

  /**
   * `served`: queue groups that have their copy, and are not named to the hub. `kind`: what is live finds no room where
   * what is kept, or asked by the box itself, still does.
   */
  send(
    connection: LeafConnection | null,
    subject: string,
    reply: string,
    headers: Buffer,
    payload: Buffer,
    served: readonly string[],
    kind: 'live' | 'kept',
  ): PublishResult {
    if (connection === null) return this.#drop('not-connected');
    const atHub = this.#mount.toHub(subject);
    let queues = connection.interest.queuesFor(atHub, served);
    if (isAlwaysWanted(atHub)) queues = atHub.startsWith(DIRECT_GET) ? SYSTEM_QUEUE : (queues ?? NO_NAMES);
    if (queues === null) return this.#drop('no-interest');
    if (!this.#mayExport.allows(subject) || !connection.exports.allows(atHub)) return this.#drop('forbidden');
    const { output, hub } = connection;
    const passed = hub.headers ? headers : NO_HEADERS;
    const bytes = passed.length + payload.length;
    if (bytes > hub.maxPayload) return this.#drop('too-large');
    if (output.bytes > (kind === 'live' ? LIVE_BYTES_MAX : OUTPUT_BYTES_MAX)) return this.#drop('full');
    this.#beforeSending();
    const encoded = output.encoder.message(atHub, this.#mount.toHub(reply), queues, passed, payload);
    if (encoded !== 'ok') return this.#drop(encoded === 'illegal' ? 'forbidden' : 'too-large');
    if (kind === 'live') output.noteLive();
    output.schedule();
    this.sent.messages++;
    this.sent.bytes += bytes;
    return 'sent';
  }

  #drop(result: Refusal): PublishResult {
    this.drops[result]++;
    return result;
  }
}
