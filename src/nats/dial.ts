import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatewayError } from '../core/errors.ts';
import { secured } from './dial-tls.ts';
import { checkPort, firstInfo } from './first-info.ts';
import { type HttpProxy, tunnel } from './http-proxy.ts';
import type { HubAddress } from './hub-addresses.ts';
import type { ClockFloor } from './hub-certificate.ts';
import type { LeafInfo } from './hub-info.ts';
import type { LeafTls } from './leaf-types.ts';
import { stepUntil } from './step.ts';
import { openWebSocket } from './websocket-line.ts';

export interface DialOptions {
  readonly tls: LeafTls;
  /** Null: straight to the hub. */
  readonly proxy: HttpProxy | null;
  /** Bound of each step: TCP, the proxy, INFO, TLS, WebSocket. */
  readonly connectTimeoutMs: number;
  /** For a clock that is behind; absent: certificates are checked by the wall clock alone. */
  readonly clockFloor?: ClockFloor;
}

/** An open line to a leafnode port that has introduced itself. */
export interface Line {
  readonly stream: Duplex;
  /** The first INFO. Where TLS followed it, nobody has vouched for it. */
  readonly info: LeafInfo;
  /** What came behind the INFO in the same chunk; always empty where TLS followed it. */
  readonly rest: Buffer;
  readonly isSecure: boolean;
  /** Bytes that came over the wire so far. */
  receivedBytes(): number;
}

// A second address is tried beside the first after this time. Node's own 250 ms is less than one round trip over a
// satellite or a weak mobile line, where every attempt would be given up in turn.
const NEXT_ADDRESS_AFTER_MS = 2_000;

/**
 * DNS (anew each time) and TCP, then as the address and the hub want it:
 *
 *     TCP ──▶ [proxy] ──▶ INFO ──▶ [TLS]                 nats://, tls://
 *     TCP ──▶ [proxy] ──▶ TLS ──▶ INFO                   tls:// and handshake_first
 *     TCP ──▶ [proxy] ──▶ [TLS] ──▶ WebSocket ──▶ INFO   ws://, wss://
 *
 * Rejects with a GatewayError and leaves nothing open; so does an abort of the signal.
 */
export async function dial(address: HubAddress, options: DialOptions, signal: AbortSignal): Promise<Line> {
  const { tls, proxy, connectTimeoutMs: timeoutMs } = options;
  const step = { url: address.url, timeoutMs, signal };
  const { host, port } = proxy ?? address;
  const tcp = connect({ host, port, noDelay: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS });
  // An error that comes late, when somebody else already knows that the socket is lost.
  tcp.on('error', () => {});
  const receivedBytes = (): number => tcp.bytesRead;
  try {
    const during = proxy === null ? 'connecting' : `connecting to the proxy ${proxy.host}:${proxy.port}`;
    await stepUntil(tcp, 'connect', { ...step, during, hint: hintOf(proxy) });
    if (proxy !== null) await tunnel(tcp, address, proxy, step);
    if (address.path !== null) {
      const stream = await openWebSocket(
        await early(tcp, address, options, step),
        authorityOf(address),
        address.path,
        step,
      );
      const { info, rest } = await firstInfo(stream, address, step).catch((error: unknown) => {
        stream.destroy();
        throw error;
      });
      checkPort(info, address, tls);
      return { stream, info, rest, isSecure: address.tls, receivedBytes };
    }
    const first = tls.handshakeFirst ? await secured(tcp, address.tlsName, options, step) : tcp;
    const { info, rest } = await firstInfo(first, address, step);
    checkPort(info, address, tls);
    if (first !== tcp || (!address.tls && !info.tlsRequired)) {
      return { stream: first, info, rest, isSecure: first !== tcp, receivedBytes };
    }
    if (rest.length > 0) {
      // Bytes that would be taken for the hub's although they came before the encryption.
      throw new GatewayError('protocol_violation', `${address.url}: plain text before the TLS handshake`);
    }
    return { stream: await secured(tcp, address.tlsName, options, step), info, rest, isSecure: true, receivedBytes };
  } catch (error) {
    tcp.destroy();
    throw error;
  }
}

/** Over WebSockets TLS comes before everything else, or not at all. */
async function early(
  tcp: Socket,
  address: HubAddress,
  options: DialOptions,
  step: { url: string; timeoutMs: number; signal: AbortSignal },
): Promise<Duplex> {
  return address.tls ? secured(tcp, address.tlsName, options, step) : tcp;
}

function authorityOf({ host, port }: HubAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function hintOf(proxy: HttpProxy | null): string {
  if (proxy !== null) return 'Check upstream.proxy.url, and any firewall on the way to the proxy.';
  return 'Check the address, and any firewall on the way to the hub.';
}
