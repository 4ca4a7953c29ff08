import { reason } from './reason-codes.ts';

/** What has happened since the start; shown on the status page under these names. */
export interface Counters {
  /** Accepted by a listener. */
  connections: number;
  /** More than connectionsMax. */
  connectionsRefused: number;
  /** CONNECTs beyond a rate. */
  connectsTooFast: number;
  connectTimeouts: number;
  keepAliveTimeouts: number;
  /** Clients that took none of what waited for them. */
  stalledClients: number;
  takeovers: number;
  malformedPackets: number;
  protocolErrors: number;
  packetsTooLarge: number;
  versionsRefused: number;
  /** CONNECTs with a wrong user name or password. */
  loginsFailed: number;
  /** CONNECTs that came while too many others waited for their check. */
  loginsRefused: number;
  /** Connections ended for want of a right: nobody named where a user is needed, a will, or (3.1.1) a publish. */
  usersRefused: number;
  tlsHandshakesFailed: number;
  /** Connections to a TLS or WebSocket listener that did not become one of MQTT. */
  handshakesRefused: number;
  /** Any other cause of a CONNACK or DISCONNECT: retain, QoS 2, topic alias, receive maximum. */
  featuresRefused: number;
  messagesIn: number;
  messagesOut: number;
  /** Publishes on topics that are not taken. */
  topicsRefused: number;
  filtersRefused: number;
  /** Retain flags of 3.1.1 while retained messages are off: these are taken as live ones. */
  retainIgnored: number;
  /** Messages that a limit kept from being retained. */
  retainedRefused: number;
  /** Messages that the journal did not keep; never acknowledged. */
  messagesRefused: number;
  /** QoS 0 that came in faster than the disk takes it. */
  messagesShed: number;
  /** Deliveries to a client that reads too slowly. */
  deliveriesDropped: number;
  /** Deliveries at QoS 1 or 2 beyond the bounds of their session or of the box. */
  deliveriesQueueFull: number;
  /** That waited for a client when its session ended. */
  deliveriesSessionEnded: number;
  /** Whose Message Expiry Interval ended before they were sent. */
  deliveriesExpired: number;
  /** That the store could not write; their publishers know. */
  deliveriesNotKept: number;
  /** Deliveries beyond a client's Maximum Packet Size. */
  deliveriesTooLarge: number;
  /** Deliveries that the rules of a user do not allow. */
  deliveriesForbidden: number;
  willsPublished: number;
  /** Persistent sessions that ended because their client stayed away. */
  sessionsExpired: number;
  /** Asked for beyond the bound: these clients got one that ends with its connection. */
  sessionsRefused: number;
  /** Of a user that is gone, or that another user's client took the identifier of. */
  sessionsDiscarded: number;
  /** Answers of NATS responders that reached the client that asked. */
  requestsAnswered: number;
  /** Requests of clients that the hub has no responder for. */
  requestsUnanswered: number;
  /** Answers to nobody: too late, or asked by nobody. */
  answersLate: number;
  /** Faults of clients that are counted here and have no line in the log: there were too many in one minute. */
  noticesWithheld: number;
}

export function newCounters(): Counters {
  return {
    connections: 0,
    connectionsRefused: 0,
    connectsTooFast: 0,
    connectTimeouts: 0,
    keepAliveTimeouts: 0,
    stalledClients: 0,
    takeovers: 0,
    malformedPackets: 0,
    protocolErrors: 0,
    packetsTooLarge: 0,
    versionsRefused: 0,
    loginsFailed: 0,
    loginsRefused: 0,
    usersRefused: 0,
    tlsHandshakesFailed: 0,
    handshakesRefused: 0,
    featuresRefused: 0,
    messagesIn: 0,
    messagesOut: 0,
    topicsRefused: 0,
    filtersRefused: 0,
    retainIgnored: 0,
    retainedRefused: 0,
    messagesRefused: 0,
    messagesShed: 0,
    deliveriesDropped: 0,
    deliveriesQueueFull: 0,
    deliveriesSessionEnded: 0,
    deliveriesExpired: 0,
    deliveriesNotKept: 0,
    deliveriesTooLarge: 0,
    deliveriesForbidden: 0,
    willsPublished: 0,
    sessionsExpired: 0,
    sessionsRefused: 0,
    sessionsDiscarded: 0,
    requestsAnswered: 0,
    requestsUnanswered: 0,
    answersLate: 0,
    noticesWithheld: 0,
  };
}

const causes: ReadonlyMap<number, keyof Counters> = new Map([
  [reason.malformedPacket, 'malformedPackets'],
  [reason.protocolError, 'protocolErrors'],
  [reason.packetTooLarge, 'packetsTooLarge'],
  [reason.unsupportedVersion, 'versionsRefused'],
  [reason.badUserNameOrPassword, 'loginsFailed'],
  [reason.serverBusy, 'loginsRefused'],
  [reason.notAuthorized, 'usersRefused'],
  [reason.quotaExceeded, 'connectionsRefused'],
  [reason.connectionRateExceeded, 'connectsTooFast'],
  [reason.keepAliveTimeout, 'keepAliveTimeouts'],
  [reason.takenOver, 'takeovers'],
]);

/** Counts a connection that was ended for this reason. */
export function countCause(counters: Counters, reasonCode: number): void {
  counters[causes.get(reasonCode) ?? 'featuresRefused']++;
}
