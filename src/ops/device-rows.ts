import type { Device } from './api.ts';
import { shownPayload } from './payload.ts';
import type {
  BoardFacts,
  ClientFacts,
  EntityFacts,
  LostClientFacts,
  ModbusUnitFacts,
  NatsClientFacts,
  SerialPortFacts,
  Snapshot,
} from './snapshot.ts';

/** Nothing came for so long: it may be broken, or just have nothing to say. */
const SILENT_MS = 10 * 60_000;
/** Of the last value of a device, which stands in a cell. */
export const VALUE_BYTES_MAX = 256;

/** One row for each thing that is connected to the box. */
export function deviceRows(snapshot: Snapshot, canKick: boolean): Device[] {
  const { nowMs } = snapshot.gateway;
  return [
    ...snapshot.mqtt.clients.map((client) => mqttRow(client, nowMs, canKick)),
    ...snapshot.mqtt.lost.clients.map(lostRow),
    ...snapshot.nats.clients.map((client) => natsRow(client, nowMs, canKick)),
    ...snapshot.serial.flatMap((port) => [
      serialRow(port, nowMs),
      ...port.units.map((unit) => unitRow(port, unit)),
      ...(port.board === null ? [] : boardRows(port, port.board)),
    ]),
  ];
}

const NOTHING = {
  parent: '',
  user: '',
  remote: '',
  connectedAtMs: null,
  rateInPerS: 0,
  rateOutPerS: 0,
  messagesOut: 0,
  bytesOut: 0,
  lastError: '',
  subscriptions: 0,
  lastValue: null,
  canKick: false,
} as const;

function mqttRow(client: ClientFacts, nowMs: number, canKick: boolean): Device {
  const { clientId, dropped, inflight: _inflight, ...facts } = client;
  return {
    ...NOTHING,
    ...facts,
    id: `mqtt:${clientId}`,
    kind: 'mqtt',
    name: clientId,
    state: nowMs - client.lastSeenMs > SILENT_MS ? 'silent' : 'connected',
    errors: dropped,
    lastError: dropped === 0 ? '' : `${dropped} messages to it were dropped`,
    canKick,
  };
}

/** It went without a word: what was known of it stays to be found. */
function lostRow({ clientId, remote, lastSeenMs, messagesIn }: LostClientFacts): Device {
  return {
    ...NOTHING,
    id: `mqtt:${clientId}`,
    kind: 'mqtt',
    name: clientId,
    state: 'absent',
    protocol: 'MQTT',
    remote,
    lastSeenMs,
    messagesIn,
    bytesIn: 0,
    errors: 0,
    lastError: 'Its connection ended without a word',
  };
}

function natsRow(client: NatsClientFacts, nowMs: number, canKick: boolean): Device {
  const { clientId, name, lang, version, pendingBytes: _pending, ...facts } = client;
  return {
    ...NOTHING,
    ...facts,
    id: `nats:${clientId}`,
    kind: 'nats',
    name: name === '' ? `client ${clientId}` : name,
    state: nowMs - client.lastSeenMs > SILENT_MS ? 'silent' : 'connected',
    protocol: [`NATS`, lang, version].filter((text) => text !== '').join(' '),
    errors: 0,
    canKick,
  };
}

function serialRow(port: SerialPortFacts, nowMs: number): Device {
  const errors = port.undecodable + port.refused + port.commandsFailed + port.pollsUnanswered;
  const isOpen = port.state === 'open';
  const isSilent = port.lastSeenMs === null || nowMs - port.lastSeenMs > SILENT_MS;
  return {
    ...NOTHING,
    id: `serial:${port.name}`,
    kind: 'serial',
    name: port.name,
    state: port.state === 'absent' ? 'absent' : !isOpen ? 'faulty' : isSilent ? 'silent' : 'connected',
    protocol: port.kind === 'modbus' ? 'Modbus' : 'serial',
    remote: port.node,
    lastSeenMs: port.lastSeenMs,
    messagesIn: port.messagesIn,
    messagesOut: port.commands + port.polls,
    bytesIn: port.bytesIn,
    errors,
    lastError: port.lastError?.message ?? '',
  };
}

function unitRow(port: SerialPortFacts, unit: ModbusUnitFacts): Device {
  const states = { answers: 'connected', silent: 'silent', unknown: 'absent' } as const;
  return {
    ...NOTHING,
    id: `unit:${port.name}/${unit.unit}`,
    kind: 'unit',
    name: unit.name,
    parent: `serial:${port.name}`,
    state: states[unit.state],
    protocol: `Modbus unit ${unit.unit}`,
    lastSeenMs: unit.lastSeenMs,
    messagesIn: unit.requests - unit.failures,
    messagesOut: unit.requests,
    bytesIn: 0,
    errors: unit.failures,
    lastError: unit.lastError,
  };
}

/** The board of a bridge, and what it measures and sets. */
function boardRows(port: SerialPortFacts, board: BoardFacts): Device[] {
  const id = `board:${port.name}/${board.identity}`;
  const isAsleep = !board.isThere && board.sleepsUntilMs !== null;
  const row: Device = {
    ...NOTHING,
    id,
    kind: 'board',
    name: board.identity,
    parent: `serial:${port.name}`,
    state: board.isThere ? 'connected' : isAsleep ? 'silent' : 'absent',
    protocol: `${board.hardware} ${board.firmware} ${board.version}`.trim(),
    remote: port.node,
    lastSeenMs: port.lastSeenMs,
    messagesIn: port.messagesIn,
    messagesOut: port.commands,
    bytesIn: port.bytesIn,
    errors: board.lost + port.commandsFailed,
    lastError: board.lost === 0 ? '' : `${board.lost} messages did not fit into its memory`,
    subscriptions: board.subscriptions.length,
  };
  return [row, ...board.entities.map((entity) => entityRow(port, board, entity, id))];
}

function entityRow(port: SerialPortFacts, board: BoardFacts, entity: EntityFacts, parent: string): Device {
  const { name, unit, type, isWritable, value, atMs } = entity;
  const payload = Buffer.from(value === null ? '' : JSON.stringify(value));
  return {
    ...NOTHING,
    id: `entity:${port.name}/${board.identity}/${name}`,
    kind: 'entity',
    name,
    parent,
    state: board.isThere ? 'connected' : 'absent',
    protocol: [type, unit, isWritable ? 'writable' : ''].filter((text) => text !== '').join(', '),
    lastSeenMs: atMs,
    messagesIn: 0,
    bytesIn: 0,
    errors: 0,
    lastValue:
      atMs === null
        ? null
        : { subject: name, atMs, bytes: payload.length, payload: shownPayload(payload, VALUE_BYTES_MAX) },
  };
}
