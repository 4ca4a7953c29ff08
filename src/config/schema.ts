import { hostname } from 'node:os';
import * as v from 'valibot';
import { safeToken } from '../core/subject.ts';
import * as field from './fields.ts';
import { firmware, toFirmware } from './firmware.ts';
import { LANES_MAX, lane, toLane } from './lanes.ts';
import { mqtt, toMqtt } from './mqtt.ts';
import { nats, toNats } from './nats.ts';
import type { Resolved } from './paths.ts';
import { PORTS_MAX, serialPort, toModbusPort, toSerialPort } from './serial.ts';
import { toBridgePort } from './serial-bridge.ts';
import { status, toStatus } from './status.ts';
import { toUpstream, upstream } from './upstream.ts';
import { toUser, USERS_MAX, user } from './users.ts';

/**
 * The one source of what a configuration file may say: keys, types, defaults and limits. The names of the environment
 * variables, the hints and the type `Config` are derived from it. Defaults are in the words of the file. Larger sections
 * have a file of their own, each with its keys and with what becomes of them.
 */

const gateway = field.map({
  /** Leaf server name and first part of every record id: two boxes of one hub must not share it. */
  name: v.optional(field.name(), () => safeToken(hostname())),
  /** The folder of the journal. Under systemd that is the unit's StateDirectory. */
  data: v.optional(field.path(), () => process.env.STATE_DIRECTORY ?? './data'),
});

const log = field.map({
  level: v.optional(field.choice(['trace', 'debug', 'info', 'warn', 'error']), 'info'),
});

const journal = field.map({
  /** Free space that the disk always keeps, so that the box can still boot, log and update: an update's worth. */
  reserve: v.optional(field.size('1MiB', '1TiB'), '64MiB'),
  /** `always`: every receipt waits for an fsync. See store/saver.ts for the other. */
  flush: v.optional(
    field.map({
      saver: v.optional(field.yesOrNo(), false),
      /** Longest wait for the hub's PubAck before a message is written. */
      hold: v.optional(field.duration('10ms', '10s'), '250ms'),
    }),
    {},
  ),
  /** What the hub has acknowledged is kept so long: one that loses power has not synced the last two minutes. */
  keep_after_ack: v.optional(field.duration('0', '1d'), '150s'),
  /** Of each lane, and never more than a quarter of its max_bytes. */
  keep_after_ack_bytes: v.optional(field.size('64KiB', '1TiB'), '64MiB'),
  /** Deflates what is stored where that pays. Off until the release before can read it, so that an update can go back. */
  compress: v.optional(field.yesOrNo(), false),
  /** Bytes that the card endures, by its data sheet (TBW); 0: not known, and no life is projected. */
  endurance: v.optional(field.size('0', '4096TiB'), 0),
});

/** The whole file. */
export const fileSchema = field.map({
  gateway: v.optional(gateway, {}),
  log: v.optional(log, {}),
  mqtt: v.optional(mqtt, {}),
  users: v.optional(field.list(user, 0, USERS_MAX), []),
  nats: v.optional(nats, {}),
  status: v.optional(status, {}),
  journal: v.optional(journal, {}),
  /** First match wins. The built-in lane leaves requests live, so that they reach their responders. */
  lanes: v.optional(field.list(lane, 1, LANES_MAX), [{ name: 'default', subjects: ['>'], replies: 'pass' }]),
  /** Without it messages are kept until there is one. */
  upstream: v.optional(upstream),
  serial: v.optional(field.list(serialPort, 0, PORTS_MAX), []),
  firmware: v.optional(firmware, {}),
});

/** The file's values with units resolved and defaults filled in; keys as in the file. */
export type FileValues = v.InferOutput<typeof fileSchema>;

/** Keys that say the same in two ways: the environment's way replaces the file's. */
export const alternatives: readonly (readonly [string, string])[] = [
  ['upstream.password', 'upstream.password_file'],
  ['upstream.token', 'upstream.token_file'],
  ['upstream.nkey_seed', 'upstream.nkey_seed_file'],
  ['upstream.proxy.password', 'upstream.proxy.password_file'],
];

/** What the parts are built from: plain numbers in the units that the names end in, absolute paths, null for none. */
export type Config = ReturnType<typeof toConfig>;
export type Lane = Config['lanes'][number];
export type UpstreamConfig = NonNullable<Config['upstream']>;

export function toConfig(file: FileValues, resolved: Resolved) {
  const { gateway, log, mqtt, users, nats, status, journal, lanes, upstream, serial } = file;
  const ports = serial.filter((port) => !port.modbus && !port.bridge);
  const { absolute } = resolved;
  return {
    gateway: { name: gateway.name, data: absolute(gateway.data) },
    log,
    mqtt: toMqtt(mqtt, absolute),
    users: users.map(toUser),
    nats: toNats(nats, absolute),
    status: toStatus(status, absolute(gateway.data), absolute),
    journal: {
      reserveBytes: journal.reserve,
      compress: journal.compress,
      saver: journal.flush.saver ? { holdMs: journal.flush.hold } : null,
      enduranceBytes: journal.endurance,
      keep: { ms: journal.keep_after_ack, bytesMax: journal.keep_after_ack_bytes },
    },
    serial: ports.map((port) => toSerialPort(port, absolute)),
    modbus: serial.filter(({ modbus }) => modbus).map((port) => toModbusPort(port, absolute)),
    bridges: serial.flatMap((port) => (port.bridge ? [toBridgePort(toSerialPort(port, absolute), port.bridge)] : [])),
    firmware: toFirmware(file.firmware),
    lanes: lanes.map(toLane),
    upstream: upstream ? toUpstream(upstream, gateway.name, resolved) : null,
  };
}
