import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import type { Snapshot } from '../ops/snapshot.ts';
import { pageOf } from './box-page.ts';

/** What a box that holds the lock on its journal says of itself; throws `locked` where it can't be asked. */
export async function snapshotOf(config: Config, locked: GatewayError): Promise<Snapshot> {
  if (config.status === null) throw locked;
  const page = pageOf(config);
  try {
    return await page.json<Snapshot>('/status.json');
  } catch (cause) {
    const message = `${locked.message}, and its status page does not answer at ${page.url.href}status.json`;
    throw new GatewayError('store_locked', message, { cause, hint: locked.hint });
  }
}
