import { CborError, CborReader, type CborValue } from './cbor.ts';
import { Malformed, PayloadReader, PayloadWriter } from './payload.ts';

/** Section 4, DESCRIBE and DATA: what a board measures or holds, and its values. */

export const entityTypes = ['boolean', 'integer', 'float', 'text', 'bytes'] as const;
export type EntityType = (typeof entityTypes)[number];

export interface Entity {
  readonly name: string;
  readonly type: EntityType;
  /** '' for none. */
  readonly unit: string;
  /** The real value is the sent one times this. */
  readonly scale: number;
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly writable: boolean;
  /** Milliseconds between values; null: not known. */
  readonly intervalMs: number | null;
}

const key = { name: 0, type: 1, unit: 2, scale: 3, minimum: 4, maximum: 5, writable: 6, interval: 7 } as const;

const NAME = /^[A-Za-z0-9_-]{1,32}$/;

export interface Description {
  readonly first: number;
  readonly total: number;
  readonly entities: readonly Entity[];
  /** The maps as they stand in the frame. */
  readonly maps: Uint8Array;
}

export function readDescription(payload: Uint8Array): Description {
  const reader = new PayloadReader(payload);
  const first = reader.u8();
  const total = reader.u8();
  const maps = reader.rest().slice();
  return { first, total, entities: readEntities(maps), maps };
}

/** A row of entity maps. Throws Malformed. */
export function readEntities(maps: Uint8Array): Entity[] {
  return inSequence(maps, (reader) => readEntity(reader.value()));
}

export function writeDescribed(next: number, code: number): Uint8Array {
  return Uint8Array.of(next, code);
}

function readEntity(map: CborValue): Entity {
  if (!(map instanceof Map)) throw new Malformed('an entity is no map');
  const name = map.get(key.name);
  if (typeof name !== 'string' || !NAME.test(name)) throw new Malformed('an entity has no name, or an unusable one');
  const type = entityTypes[Number(map.get(key.type) ?? Number.NaN)];
  if (type === undefined) throw new Malformed(`the type of ${name} is not known`);
  const number = (at: number): number | null => {
    const value = map.get(at);
    if (value === undefined) return null;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new Malformed(`key ${at} of ${name} is no number`);
    return value;
  };
  const unit = map.get(key.unit) ?? '';
  const scale = number(key.scale) ?? 1;
  if (typeof unit !== 'string' || scale === 0) throw new Malformed(`unit or scale of ${name} make no sense`);
  return {
    name,
    type,
    unit,
    scale,
    minimum: number(key.minimum),
    maximum: number(key.maximum),
    writable: map.get(key.writable) === true,
    intervalMs: number(key.interval),
  };
}

/** `age` of a DATA that a board can't date. */
export const AGE_UNKNOWN = 0xffffffff;

/** Hands on each value of a DATA; gives its age in milliseconds. Throws Malformed, also behind the first values. */
export function readData(
  payload: Uint8Array,
  take: (entity: number, value: CborValue, olderMs: number) => void,
): number {
  const ageMs = new PayloadReader(payload).u32();
  const reader = new CborReader(payload, 4);
  try {
    while (!reader.isAtEnd) {
      const entity = reader.unsigned();
      const value = reader.value();
      take(entity, value, reader.unsigned());
    }
  } catch (error) {
    throw malformed(error);
  }
  return ageMs;
}

/** A DATA of values that are CBOR already: for boards and tests. */
export function writeData(ageMs: number, items: readonly Uint8Array[]): Uint8Array {
  const writer = new PayloadWriter().u32(ageMs);
  for (const item of items) writer.rest(item);
  return writer.done();
}

/** Everything in a CBOR sequence, by `read`. Throws Malformed. */
export function inSequence<T>(bytes: Uint8Array, read: (reader: CborReader) => T): T[] {
  const reader = new CborReader(bytes);
  const found: T[] = [];
  try {
    while (!reader.isAtEnd) found.push(read(reader));
  } catch (error) {
    throw malformed(error);
  }
  return found;
}

function malformed(error: unknown): unknown {
  return error instanceof CborError ? new Malformed(error.message) : error;
}
