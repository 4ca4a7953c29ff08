import { reachableInUrl } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import type { Snapshot } from '../ops/snapshot.ts';

const ANSWER_TIMEOUT_MS = 5_000;

/** What a box that holds the lock on its journal says of itself; throws `locked` where it can't be asked. */
export async function snapshotOf({ status }: Config, locked: GatewayError): Promise<Snapshot> {
  if (status === null) throw locked;
  const url = `http://${reachableInUrl(status.host)}:${status.port}/status.json`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS), redirect: 'error' });
    return (await answer.json()) as Snapshot;
  } catch (cause) {
    const message = `${locked.message}, and its status page does not answer at ${url}`;
    throw new GatewayError('store_locked', message, { cause, hint: locked.hint });
  }
}
