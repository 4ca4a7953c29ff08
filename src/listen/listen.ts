import type { Listen } from '../core/listen.ts';
import { ProtocolListener } from './listener.ts';
import type { Protocol } from './protocol.ts';

/** What makes the listeners of a protocol; handed to its edge by the gateway. */
export function listenFor(protocol: Protocol): Listen {
  return (options, bounds, events) => new ProtocolListener(protocol, options, bounds, events);
}
