/** Numbers of the bridge protocol, by their names in PROTOCOL.md. */

/** Section 3. */
export const type = {
  hello: 0x01,
  describe: 0x02,
  data: 0x03,
  publish: 0x04,
  subscribe: 0x05,
  message: 0x06,
  request: 0x07,
  reply: 0x08,
  ack: 0x09,
  nak: 0x0a,
  ping: 0x0b,
  pong: 0x0c,
  log: 0x0d,
  time: 0x0e,
  firmware: 0x0f,
  skip: 0x10,
} as const;

/** From here on types are between firmware and programs of the same maker. */
export const PRIVATE_TYPE = 0x80;

export const flag = { numbered: 0x01, repeat: 0x02 } as const;
export const KNOWN_FLAGS: number = flag.numbered | flag.repeat;

export const feature = {
  oneWay: 0x01,
  keeps: 0x02,
  sleeps: 0x04,
  firmware: 0x08,
  trial: 0x10,
  commands: 0x20,
} as const;

export const resets = [
  'not known',
  'power on',
  'reset pin',
  'watchdog',
  'brown-out',
  'software',
  'new firmware',
  'woke from sleep',
] as const;

/** Section 7. */
export const code = {
  ok: 0,
  missing: 1,
  busy: 2,
  unknown_type: 3,
  unknown_flags: 4,
  malformed: 5,
  too_large: 6,
  not_permitted: 7,
  unknown_entity: 8,
  bad_value: 9,
  no_responders: 10,
  deadline: 11,
  unsupported: 12,
  version: 13,
  failed: 14,
  dropped: 15,
  wrong_target: 32,
  image_too_large: 33,
  older: 34,
  bad_signature: 35,
  bad_hash: 36,
  write_failed: 37,
  wrong_state: 38,
  low_power: 39,
  cancelled: 40,
} as const;

const codeNames = new Map<number, string>(Object.entries(code).map(([name, value]) => [value, name]));

/** The name of a code; one that is not known is treated as `failed`. */
export function codeName(value: number): string {
  return codeNames.get(value) ?? 'failed';
}

export const limit = {
  /** Plain bytes of a frame: before the handshake, and what it may agree on. */
  frameBytes: 256,
  frameBytesMin: 64,
  frameBytesMax: 1024,
  windowMax: 32,
  nameBytes: 32,
  subjectBytes: 128,
  entities: 255,
} as const;
