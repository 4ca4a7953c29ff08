import { type Description, type Entity, readEntities } from './codec/entities.ts';
import type { BoardHello } from './codec/hello.ts';
import { feature, resets } from './codec/words.ts';
import { BoardEntity } from './entity.ts';

/** What is kept of the last board of a port, so that it need not describe itself at each start of the box. */
export interface BoardRecord {
  readonly identity: string;
  readonly description: number;
  /** The entity maps of its DESCRIBE, base64. */
  readonly maps: string;
  /** What it had lost when it last said so, and of which boot that is. */
  readonly lost: number;
  readonly bootCount: number;
}

/** Null for none, or for what no release of ours wrote. */
export function boardRecordOf(text: string | null): BoardRecord | null {
  try {
    const record = text === null ? null : (JSON.parse(text) as BoardRecord);
    return typeof record?.identity === 'string' && typeof record.maps === 'string' ? record : null;
  } catch {
    return null;
  }
}

/** One board, as it introduced itself and as far as it has described itself. */
export class Board {
  readonly hello: BoardHello;
  readonly #prefix: string;
  #entities: BoardEntity[] = [];
  #byName = new Map<string, BoardEntity>();
  #maps: Uint8Array[] = [];
  #isDescribed: boolean;

  /** `known`: the entity maps of an earlier conversation with the same description. */
  constructor(hello: BoardHello, prefix: string, known: Uint8Array | null) {
    this.hello = hello;
    this.#prefix = prefix;
    this.#isDescribed = hello.description === 0 || known !== null;
    if (known !== null) this.#add(readEntities(known));
  }

  get isOneWay(): boolean {
    return (this.hello.features & feature.oneWay) !== 0 || this.hello.window === 0;
  }

  has(bit: number): boolean {
    return (this.hello.features & bit) !== 0;
  }

  /** SHA-256 of the image that it runs, hexadecimal; '' where it does not know. */
  get hash(): string {
    return Buffer.from(this.hello.hash).toString('hex');
  }

  get resetReason(): string {
    return resets[this.hello.reset] ?? resets[0];
  }

  get isDescribed(): boolean {
    return this.#isDescribed;
  }

  get entities(): readonly BoardEntity[] {
    return this.#entities;
  }

  entity(number: number): BoardEntity | undefined {
    return this.#entities[number];
  }

  named(name: string): BoardEntity | undefined {
    return this.#byName.get(name);
  }

  /** What was seen before of the entities that are the same still. */
  takeValues(before: Board): void {
    for (const entity of this.#entities) {
      const known = before.named(entity.description.name);
      if (known?.description.type === entity.description.type) entity.takeValue(known);
    }
  }

  /** A DESCRIBE; gives the number of the entity that is wanted next, `total` once all are there. */
  describe({ first, total, entities, maps }: Description): number {
    if (first === 0 && (this.#isDescribed || this.#entities.length > 0)) {
      this.#entities = [];
      this.#byName.clear();
      this.#maps = [];
      this.#isDescribed = false;
    }
    if (first !== this.#entities.length) return this.#isDescribed ? total : this.#entities.length;
    this.#add(entities);
    this.#maps.push(maps);
    this.#isDescribed = this.#entities.length >= total;
    return this.#isDescribed ? total : this.#entities.length;
  }

  /** The whole description, for the next start of the box. */
  get maps(): Buffer {
    return Buffer.concat(this.#maps);
  }

  #add(entities: readonly Entity[]): void {
    for (const description of entities) {
      const entity = new BoardEntity(description, this.#prefix);
      this.#entities.push(entity);
      this.#byName.set(description.name, entity);
    }
  }
}
