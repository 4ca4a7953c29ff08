import { randomBytes } from 'node:crypto';
import type { HandshakeBounds, Listen, Listener, ListenerEvents, ListenerOptions, Opening } from '../core/listen.ts';
import type { ClientConnection } from './client-connection.ts';
import type { ClientContext, Greeting } from './client-context.ts';
import { info } from './client-info.ts';

/** 88 bits, as nats-server has it. */
const NONCE_BYTES = 11;

type From = Pick<Opening, 'remoteAddress' | 'remotePort'>;

/** One address of the port: its listener, what that says to whoever comes, and the connections that came of it. */
export class ClientDoor {
  readonly listener: Listener;
  readonly connections = new Set<ClientConnection>();
  readonly #context: ClientContext;
  readonly #options: ListenerOptions;
  /** Said in clear to connections whose TLS handshake is not done, by remote address and port. */
  readonly #greeted = new Map<string, Greeting>();

  constructor(
    context: ClientContext,
    options: ListenerOptions,
    listen: Listen,
    bounds: HandshakeBounds,
    events: Omit<ListenerEvents, 'greet'>,
  ) {
    this.#context = context;
    this.#options = options;
    this.listener = listen(options, bounds, { ...events, greet: (opening) => this.#greet(opening) });
  }

  /** What a connection is told, or was told before its TLS. */
  greeting(from: From): Greeting {
    return this.#greeted.get(placeOf(from)) ?? this.#compose(from, false);
  }

  #greet(opening: Opening): void {
    const place = placeOf(opening);
    const greeting = this.#compose(opening, true);
    this.#greeted.set(place, greeting);
    opening.on('close', () => this.#greeted.delete(place));
    opening.write(greeting.info(false));
  }

  #compose({ remoteAddress = '' }: From, isSaid: boolean): Greeting {
    const { server, options, authenticator } = this.#context;
    const { anonymous, tls, websocket } = this.#options;
    const { host, port } = this.listener.address ?? this.#options;
    const clientId = this.#context.nextClientId();
    const nonce = authenticator?.hasKeys ? randomBytes(NONCE_BYTES).toString('base64url') : '';
    // Behind a WebSocket, TLS is none of INFO's business. Where it came first, clients look all the same.
    const isTold = tls && !websocket;
    const words = {
      serverId: server.id,
      serverName: server.name,
      host,
      port,
      payloadBytesMax: options.payloadBytesMax,
      jetstream: server.jetstream,
      clientId,
      clientIp: remoteAddress,
      isAuthRequired: !anonymous,
      nonce,
      tls: isTold ? (tls.clientCertificates === 'required' ? 'verified' : 'required') : 'none',
    } as const;
    return { clientId, nonce, isSaid, info: (isLameDuck) => info({ ...words, isLameDuck }) };
  }
}

function placeOf({ remoteAddress, remotePort }: From): string {
  return `${remoteAddress} ${remotePort}`;
}
