import type { Delivery, SessionStore } from './session-port.ts';

/** What has expired of a session's queue behind `after`, page by page: the memory never has more than one. */
export async function* expired(
  store: SessionStore,
  session: number,
  after: number,
  clock: () => number,
): AsyncGenerator<Delivery> {
  for (let isEnd = false; !isEnd; ) {
    const page = await store.read(session, after);
    const nowMs = clock();
    for (const delivery of page.deliveries) {
      if (delivery.expiresMs !== 0 && delivery.expiresMs <= nowMs) yield delivery;
    }
    after = page.through;
    isEnd = page.isEnd;
  }
}
