import { type Path, pathText, quote, type Report } from './problems.ts';
import type { Draft, Refused } from './validate.ts';

type Ports = NonNullable<Draft['serial']>;
type Port = NonNullable<Ports[number]>;

/** What must be true between the keys of `serial:`. */
export function checkSerial({ serial = [] }: Draft, refused: Refused, report: Report): void {
  const names = new Map<string, number>();
  const devices = new Map<string, number>();
  serial.forEach((port, index) => {
    if (port === undefined) return;
    const at = (...path: (string | number)[]): Path => ['serial', index, ...path];
    if (port.name !== undefined) {
      const first = names.get(port.name);
      if (first === undefined) names.set(port.name, index);
      else report(at('name'), `${quote(port.name)} is the name of serial[${first}] already`, 'give each port its own');
    }
    if (port.port !== undefined && !refused(at('port'))) checkIdentity(port.port, at('port'), index, devices, report);
    const has = (...path: string[]): boolean => {
      let value: unknown = port;
      for (const step of path) value = (value as Record<string, unknown> | undefined)?.[step];
      return value !== undefined || refused(at(...path));
    };
    if (port.bridge !== undefined) {
      checkBridge(port, at, report);
      return;
    }
    if (!has('subject')) report(at('subject'), 'this key is missing', 'add subject: line3.scale, or bridge: true');
    if (port.modbus !== undefined) {
      checkModbus(port, at, report);
      return;
    }
    checkFrame(port, at, has, report);
    checkDecode(port, at, has, report);
    checkCommands(port, at, has, report);
  });
}

/** A board says all of this itself. */
const notOfBridge = ['modbus', 'payload', 'polls', 'filters'] as const;

function checkBridge(port: Port, at: At, report: Report): void {
  for (const key of notOfBridge) {
    const value = port[key];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    report(at(key), 'a bridge has no such key: the board says for itself what it sends', `remove ${key}, or bridge`);
  }
  if ((port.subject ?? '').replaceAll('{port}', '').includes('{')) {
    report(at('subject'), 'a bridge has no fields', 'give a subject without {…}: entities are the tokens below it');
  }
}

function checkModbus({ modbus, subject }: Port, at: At, report: Report): void {
  const names = new Map<string, number>();
  modbus?.units?.forEach((unit, index) => {
    if (unit === undefined) return;
    const here = (...path: (string | number)[]): Path => at('modbus', 'units', index, ...path);
    const name = unit.name ?? `unit${unit.unit}`;
    const first = names.get(name);
    if (first === undefined) names.set(name, index);
    else report(here(), `${quote(name)} is the name of units[${first}] already`, 'give each unit a name of its own');
    const groups = new Set(unit.groups?.map((group) => group?.name));
    if (unit.registers?.length === 0)
      report(here(), 'has no registers', 'add registers, or device: the file of its list');
    unit.registers?.forEach((register, place) => {
      if (register?.group === undefined || groups.has(register.group)) return;
      report(
        here('registers', place, 'group'),
        `there is no group ${quote(register.group)}`,
        'add it to groups of the unit',
      );
    });
  });
  if ((modbus?.units?.length ?? 0) > 1 && subject !== undefined && !/\{unit(_id)?\}/.test(subject)) {
    report(at('subject'), 'all units would share one subject', 'put {unit} into it, such as plant.{unit}');
  }
}

type At = (...path: (string | number)[]) => Path;
type Has = (...path: string[]) => boolean;

function checkIdentity(
  port: NonNullable<Port['port']>,
  at: Path,
  index: number,
  devices: Map<string, number>,
  report: Report,
): void {
  const given = Object.entries(port).filter(([, value]) => value !== undefined);
  if (given.length === 0) {
    report(
      at,
      'says nothing of the device',
      'add path: /dev/ttyUSB0, or vendor, product and serial (see petiole serial list)',
    );
    return;
  }
  if (port.tcp !== undefined && given.length > 1) {
    report([...at, 'tcp'], 'a serial server has no other key', 'keep tcp, or the others');
  }
  const key = JSON.stringify(given.sort(([a], [b]) => a.localeCompare(b)).map(([name, value]) => [name, lower(value)]));
  const first = devices.get(key);
  if (first === undefined) devices.set(key, index);
  else {
    report(
      at,
      `this is the device of ${pathText(['serial', first])} too, and one port has one reader`,
      'remove one of them, or tell the two devices apart by serial, usb or by_path (see petiole serial list)',
    );
  }
}

function lower(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value;
}

/** What each framing can't do without. */
const needs: Readonly<Record<string, readonly string[]>> = {
  delimiter: ['delimiter'],
  fixed: ['length'],
  'start-end': ['start', 'end'],
};

function checkFrame({ frame }: Port, at: At, has: Has, report: Report): void {
  if (frame?.type === undefined) return;
  for (const key of needs[frame.type] ?? []) {
    if (!has('frame', key)) report(at('frame', 'type'), `frames of the type ${frame.type} need ${key}`, `add ${key}`);
  }
  if (frame.type === 'idle' && !frame.gap && !has('frame', 'gap')) {
    report(
      at('frame', 'type'),
      'frames of the type idle need gap',
      'add gap: the pause between two frames, such as 20ms',
    );
  } else if (frame.type === 'idle' && frame.gap === 0) {
    report(
      at('frame', 'gap'),
      'frames of the type idle need a gap',
      'add gap: the pause between two frames, such as 20ms',
    );
  }
  if (frame.check?.place === 'behind' && frame.type !== 'start-end') {
    report(at('frame', 'check', 'place'), `frames of the type ${frame.type} have no end bytes`, 'take place: inside');
  }
  if (frame.type === 'fixed' && frame.length !== undefined && frame.max !== undefined && frame.length > frame.max) {
    report(at('frame', 'length'), `frames of ${frame.length} bytes are longer than max`, 'raise max');
  }
}

function checkDecode({ decode, subject }: Port, at: At, has: Has, report: Report): void {
  const { type, fields = [] } = decode ?? {};
  if (type === 'pattern' && !has('decode', 'pattern')) {
    report(at('decode', 'type'), 'there is no pattern', "add pattern: such as '(?P<weight>[0-9.]+) kg'");
  }
  if (type === 'binary' && fields.length === 0) {
    report(at('decode', 'type'), 'a binary layout needs fields', 'add fields: a list of name and type (u16, f32, …)');
  }
  const textual = new Set(['number', 'time', 'auto']);
  fields.forEach((one, index) => {
    if (one?.type === undefined) return;
    const isBinary = type === 'binary';
    if (isBinary && (one.type === 'number' || one.type === 'time')) {
      report(
        at('decode', 'fields', index, 'type'),
        `${one.type} is a type of text`,
        'take one such as u16, i32, f32 or unix',
      );
    } else if (!isBinary && !textual.has(one.type) && one.type !== 'text' && one.type !== 'boolean') {
      report(
        at('decode', 'fields', index, 'type'),
        `${one.type} is a type of a binary layout`,
        'take auto, number, text, boolean or time',
      );
    }
    const needsLength = one.type === 'text' || one.type === 'bytes' || one.type === 'bcd' || one.type === 'auto';
    if (isBinary && needsLength && !one.length) {
      report(
        at('decode', 'fields', index, 'type'),
        `${one.type} in a binary layout needs length`,
        'add length: its bytes',
      );
    }
  });
  const isWhole = type === undefined || type === 'raw' || type === 'hex' || type === 'text';
  const asked = (subject ?? '').replaceAll('{port}', '').includes('{');
  if (isWhole && asked && (type === undefined || type === 'raw')) {
    report(
      at('subject'),
      'asks for a field, and the decoder makes none',
      'take a decoder that makes fields, such as json',
    );
  }
}

function checkCommands({ command, polls = [] }: Port, at: At, has: Has, report: Report): void {
  if (command?.encode === 'json' && !has('command', 'template')) {
    report(at('command', 'encode'), 'json needs a template', "add template: such as 'SET {value}'");
  }
  if (command?.subject?.includes('*') || command?.subject?.endsWith('>')) {
    report(at('command', 'subject'), 'a command subject has no wildcards', 'name one subject');
  }
  polls.forEach((poll, index) => {
    if (poll === undefined) return;
    const every = poll.every !== undefined;
    const cron = poll.cron !== undefined;
    if (every === cron) {
      report(
        at('polls', index),
        every ? 'every and cron are both given' : 'neither every nor cron is given',
        'give one of them',
      );
    }
  });
}
