/** What happens with NATS clients, counted since the start; shown on the status page under these names. */
export interface ClientCounters {
  /** Accepted by the listener. */
  connections: number;
  /** More than connectionsMax. */
  connectionsRefused: number;
  connectTimeouts: number;
  /** Wrong or missing user, password, token, NKey or certificate. */
  loginsRefused: number;
  /** TLS handshakes that came to nothing. */
  tlsHandshakesFailed: number;
  /** Connections that asked for no WebSocket where there is nothing else, or from a page that may not. */
  handshakesRefused: number;
  /** No answer to our PINGs. */
  staleConnections: number;
  slowConsumers: number;
  /** Publishers that were not read for a while, so that a receiver could catch up. */
  publishersSlowed: number;
  protocolErrors: number;
  payloadsTooLarge: number;
  /** Subjects that are reserved or not legal, and subscriptions above the bounds. */
  operationsRefused: number;
  /** Publishes and subscriptions that the user has no right to. */
  permissionViolations: number;
  messagesIn: number;
  messagesOut: number;
  /** Publishes into a lane that were not kept. */
  messagesRefused: number;
  /** PubAcks of the box itself. */
  receipts: number;
  /** Publishes with an id that the lane has already. */
  duplicates: number;
  /** Requests that nobody could get. */
  noResponders: number;
}

export function newClientCounters(): ClientCounters {
  return {
    connections: 0,
    connectionsRefused: 0,
    connectTimeouts: 0,
    loginsRefused: 0,
    tlsHandshakesFailed: 0,
    handshakesRefused: 0,
    staleConnections: 0,
    slowConsumers: 0,
    publishersSlowed: 0,
    protocolErrors: 0,
    payloadsTooLarge: 0,
    operationsRefused: 0,
    permissionViolations: 0,
    messagesIn: 0,
    messagesOut: 0,
    messagesRefused: 0,
    receipts: 0,
    duplicates: 0,
    noResponders: 0,
  };
}

/** Why a connection of a client is ended. `message` is the text of the -ERR: clients compare it, so keep the wording. */
export class ClientFault extends Error {
  readonly counter: keyof ClientCounters;

  constructor(text: string, counter: keyof ClientCounters = 'protocolErrors') {
    super(text);
    this.name = 'ClientFault';
    this.counter = counter;
  }
}

export const fault = {
  authorization: (): ClientFault => new ClientFault('Authorization Violation', 'loginsRefused'),
  unknownOperation: (): ClientFault => new ClientFault('Unknown Protocol Operation'),
  controlLine: (): ClientFault => new ClientFault('maximum control line exceeded'),
  payload: (): ClientFault => new ClientFault('Maximum Payload Violation', 'payloadsTooLarge'),
} as const;
