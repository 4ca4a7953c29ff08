import type { Message } from '../../../core/message.ts';
import { answerRequests, fieldsOf, portOf, wrongRequest } from '../../../core/requests.ts';
import type { Subscription } from '../../../core/router.ts';
import type { FirmwareStatus } from './options.ts';

/** What operators can do with images: behind `petiole firmware`, the status page and requests from the hub. */
export interface FirmwareActions {
  /** Takes a signed file; `port` '' offers it to every board that it is for. Rejects with `firmware_refused` and the like. */
  offer(file: Buffer, port: string, by: string): Promise<void>;
  approve(port: string, by: string): Promise<void>;
  cancel(port: string, by: string): Promise<void>;
  status(): FirmwareStatus;
}

/** Pieces of one upload that are under way; a second operator starts anew. */
interface Upload {
  readonly id: string;
  readonly total: number;
  readonly parts: Buffer[];
  received: number;
}

/** First line of a piece. */
const HEAD_BYTES_MAX = 512;

/**
 * Answers requests on `$PETIOLE.<gateway>.firmware.<action>`, from the box and from the hub.
 *
 *   list      nothing, or anything
 *   approve   {"port":"board1"}, and so cancel
 *   offer     {"id":"any","offset":0,"total":81920,"port":""}\n and the bytes from there: a signed file in pieces, in order;
 *             the last one is answered once the file is taken
 *
 * The answer is a `FirmwareStatus` (to a piece that is not the last: {"received":65536}), or {"error":{code,message,hint}}.
 */
export class FirmwareControl {
  readonly subscription: Subscription;
  readonly #actions: FirmwareActions;
  readonly #bytesMax: number;
  #upload: Upload | null = null;

  constructor(gateway: string, bytesMax: number, actions: FirmwareActions, reply: (message: Message) => void) {
    this.#actions = actions;
    this.#bytesMax = bytesMax;
    const act = (action: string, request: Message): Promise<object> => this.#act(action, request);
    this.subscription = answerRequests(gateway, 'firmware', act, reply);
  }

  async #act(action: string, { payload, origin }: Message): Promise<object> {
    const by = `${origin.kind} ${origin.name}`;
    if (action === 'offer') return this.#piece(payload, by);
    if (action === 'approve') await this.#actions.approve(portOf(payload), by);
    else if (action === 'cancel') await this.#actions.cancel(portOf(payload), by);
    else if (action !== 'list')
      throw wrongRequest(`there is no action ${JSON.stringify(action)}`, 'list, offer, approve, cancel');
    return this.#actions.status();
  }

  async #piece(payload: Buffer, by: string): Promise<object> {
    const end = payload.subarray(0, HEAD_BYTES_MAX).indexOf('\n');
    const { id, offset, total, port = '' } = fieldsOf(payload.subarray(0, Math.max(end, 0)));
    const bytes = payload.subarray(end + 1);
    const isSound = typeof id === 'string' && typeof port === 'string' && Number.isSafeInteger(total);
    if (end < 0 || !isSound)
      throw wrongRequest('the piece has no head', 'send {"id":"…","offset":0,"total":…}, a line feed, bytes');
    if (Number(total) > this.#bytesMax) {
      throw wrongRequest(
        `a file of ${total} bytes is too large`,
        `raise firmware.image_max above ${this.#bytesMax} bytes`,
      );
    }
    if (offset === 0) this.#upload = { id, total: Number(total), parts: [], received: 0 };
    const upload = this.#upload;
    if (upload === null || upload.id !== id || upload.received !== offset) {
      throw wrongRequest('this piece does not follow the one before', 'begin anew at offset 0');
    }
    // A copy: it must not keep the chunk that it came in.
    upload.parts.push(Buffer.from(bytes));
    upload.received += bytes.length;
    if (upload.received < upload.total && bytes.length > 0) return { received: upload.received };
    this.#upload = null;
    await this.#actions.offer(Buffer.concat(upload.parts), port, by);
    return this.#actions.status();
  }
}
