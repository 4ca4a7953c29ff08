import { GatewayError } from '../core/errors.ts';

/** Passes in a row that ended without an answer before the link itself is not trusted any more. */
const SILENT_PASSES_MAX = 2;
/**
 * And passes in a row that found a stream in whose subjects the hub shows no interest: some 8 s. A stream that elects a
 * leader takes less; an announcement that got lost comes only with a new link.
 */
const UNWANTED_PASSES_MAX = 4;

/** How the passes of one lane ended lately, and what that says of the link. */
export class LinkTrust {
  /** Passes in a row that got nothing acknowledged. */
  fruitless = 0;
  #silent = 0;
  #unwanted = 0;
  /** The link was made anew since the want of interest began: what the hub announced since is right. */
  #isAnnounced = false;

  /** Why the link should be cut; null: it is trusted. `progressed`: something was acknowledged. */
  passEnded(reason: GatewayError, progressed: boolean): GatewayError | null {
    this.fruitless = progressed ? 0 : this.fruitless + 1;
    if (progressed) this.#isAnnounced = false;
    this.#silent = reason.code === 'request_timeout' && !progressed ? this.#silent + 1 : 0;
    this.#unwanted = reason.code === 'no_interest' && !progressed ? this.#unwanted + 1 : 0;
    if (this.#silent >= SILENT_PASSES_MAX) {
      return new GatewayError('stale_connection', 'the hub answers pings but no publishes', { cause: reason });
    }
    if (this.#unwanted >= UNWANTED_PASSES_MAX && !this.#isAnnounced) {
      return new GatewayError('stale_connection', reason.message, { cause: reason });
    }
    return null;
  }

  /** The hub announces its interest anew with the next link; so one lane's cut serves all that wait for the same. */
  linkDown(): void {
    this.#isAnnounced ||= this.#unwanted > 0;
    this.fruitless = 0;
    this.#silent = 0;
    this.#unwanted = 0;
  }
}
