import type { Duplex } from 'node:stream';
import { GatewayError } from '../core/errors.ts';
import type { HubAddress } from './hub-addresses.ts';
import { type LeafInfo, readInfo } from './hub-info.ts';
import type { LeafTls } from './leaf-types.ts';
import { infoBytesMax } from './parser.ts';
import { type StepOptions, takeStep } from './step.ts';

/** Reads up to the end of the first line, which must be an INFO; `rest` is what came behind it in the same chunk. */
export function firstInfo(
  stream: Duplex,
  address: HubAddress,
  step: Omit<StepOptions, 'during' | 'hint'>,
): Promise<{ info: LeafInfo; rest: Buffer }> {
  const during = 'waiting for INFO';
  const hint =
    'Something accepts the connection and says nothing: check that the port is the leafnode port of a hub; ' +
    'where the hub demands TLS first (handshake_first), set upstream.tls.handshake_first.';
  return takeStep(stream, { ...step, during, hint }, ({ done, fail }) => {
    let seen: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      const end = seen.indexOf(10);
      const isInfo = /^INFO[ \t]/i.test(seen.toString('latin1', 0, 5)) || seen.length < 5;
      if (!isInfo || seen.length > infoBytesMax) {
        fail(notNats(address));
        return;
      }
      if (end === -1) return;
      try {
        done({ info: readInfo(seen.toString('utf8', 5, end)), rest: seen.subarray(end + 1) });
      } catch (error) {
        fail(error as GatewayError);
      }
    };
    // A step before this one may have paused it.
    stream.on('data', read).resume();
    return () => {
      stream.removeListener('data', read);
      stream.pause();
    };
  });
}

/** Throws a GatewayError where this INFO is not that of a port the box can use. */
export function checkPort(info: LeafInfo, address: HubAddress, { cert }: LeafTls): void {
  if (!info.isLeafPort) {
    throw new GatewayError('wrong_port', `${address.url} is a port of a NATS server, but not its leafnode port`, {
      hint: "Use the port of the hub's leafnodes block (usually 7422, not 4222) in upstream.urls.",
    });
  }
  // Over WebSockets TLS comes before HTTP, and the fields speak of the leafnode port.
  if (address.path !== null) return;
  if (address.tls && !info.tlsRequired && !info.tlsAvailable) {
    throw new GatewayError('tls_failed', `${address.url}: the hub does not speak TLS`, {
      hint: "Switch TLS on in the hub's leafnodes block; nats:// in upstream.urls would send everything in the clear.",
    });
  }
  if (info.tlsVerify && cert === null) {
    throw new GatewayError('tls_failed', `${address.url}: the hub requires a client certificate`, {
      hint: "Set upstream.tls.cert and upstream.tls.key to a certificate that the hub's CA signed.",
    });
  }
}

function notNats(address: HubAddress): GatewayError {
  return new GatewayError('wrong_port', `${address.url} does not speak NATS`, {
    hint: "Use the address and port of the hub's leafnodes block in upstream.urls (of its websocket block for ws:// and wss://).",
  });
}
