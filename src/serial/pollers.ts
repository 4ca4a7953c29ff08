import { createRequire } from 'node:module';

/** What a port of @serialport/bindings-cpp uses of its poller. */
interface Poller {
  once(event: 'readable' | 'writable', callback: (error: Error | null) => void): unknown;
  removeAllListeners(): unknown;
  stop(): void;
  destroy(): void;
  emitCanceled(): void;
}

interface PollerModule {
  Poller: new (fd: number) => Poller;
}

const kept = new Map<number, Poller>();
let isArranged = false;

/**
 * A poller of @serialport/bindings-cpp 13 is never freed: its native part holds the callback, the callback holds it, and
 * its destructor is left out, since it could take another's descriptor out of the event loop. A port that comes and goes
 * would cost half a KiB each time, for ever. So the poller of a closed descriptor is kept, and is used again for the next
 * port with that number: there are never more than descriptors were open at the same time. Call it before a port is opened.
 */
export function keepPollers(): void {
  if (isArranged) return;
  isArranged = true;
  const require = createRequire(import.meta.resolve('serialport'));
  const module = require('@serialport/bindings-cpp/dist/poller.js') as PollerModule;
  const Fresh = module.Poller;
  // `new` of a function that returns an object gives that object.
  module.Poller = function pollerOf(fd: number): Poller {
    const known = kept.get(fd);
    kept.delete(fd);
    if (known !== undefined) return known;
    const poller = new Fresh(fd);
    // Called when the port is about to close its descriptor.
    poller.destroy = () => {
      poller.emitCanceled();
      poller.removeAllListeners();
      kept.set(fd, poller);
    };
    return poller;
  } as unknown as PollerModule['Poller'];
}
