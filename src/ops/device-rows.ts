import type { Device } from './api.ts';
import type { ClientFacts, ModbusUnitFacts, NatsClientFacts, SerialPortFacts, Snapshot } from './snapshot.ts';

/** Nothing came for so long: it may be broken, or just have nothing to say. */
const SILENT_MS = 10 * 60_000;

/** One row for each thing that is connected to the box. */
export function deviceRows(snapshot: Snapshot, canKick: boolean): Device[] {
  const { nowMs } = snapshot.gateway;
  return [
    ...snapshot.mqtt.clients.map((client) => mqttRow(client, nowMs, canKick)),
    ...snapshot.nats.clients.map((client) => natsRow(client, nowMs, canKick)),
    ...snapshot.serial.flatMap((port) => [serialRow(port, nowMs), ...port.units.map((unit) => unitRow(port, unit))]),
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
