import { SeededRandom } from './seeded-random.ts';

/*
 * What a hostile client says to the NATS port, and a hostile hub to the leaf link: sound operations of that side, sound
 * ones with something wrong in them, and then bytes that chance has changed. A seed and a number make a case, so each can
 * be had again.
 */

/** Who speaks. */
export type Role = 'client' | 'hub';

export interface NatsCase {
  readonly number: number;
  readonly bytes: Buffer;
}

const OPERATIONS_MAX = 8;
const MUTATIONS_MAX = 4;
/** Long enough to come past every bound of a control line. */
const LONG = 1024 * 1024;
const PAYLOADS = [0, 1, 2, 17, 128, 4_096, 70_000];

const sizes = [
  '-1',
  '0',
  '1',
  '99999999',
  '9999999999',
  '18446744073709551616',
  '0x10',
  '1e3',
  '+5',
  '',
  ' ',
  'NaN',
  '2147483648',
];
const names = [
  'a',
  'a.b',
  'a.*',
  'a.>',
  '>',
  '*',
  'a..b',
  '.a',
  'a.',
  '.',
  'a.>.b',
  'é.ü',
  '\xff\xfe',
  'a\u0000b',
  '$SYS.x',
  '$JS.API.INFO',
  '$JS.ACK.S.C.1.2.3.4.5@a.b',
  '_INBOX.x.1',
  '$LDS.x',
  '_GR_.a.b.c',
  '$KV.b.k',
  'x'.repeat(3_000),
  `${'a.'.repeat(300)}a`,
  '$SYS.REQ.USER.INFO',
];
const blocks = [
  'NATS/1.0\r\nA: b\r\n\r\n',
  'NATS/1.0 503\r\n\r\n',
  'NATS/1.0\r\n\r\n',
  'NATS/1.0',
  'HTTP/1.1 200\r\n\r\n',
  '',
  '\r\n\r\n',
  'NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Msg-Id: 2\r\n\r\n',
  'NATS/1.0\r\n: \r\n\r\n',
  `NATS/1.0\r\n${'K: v\r\n'.repeat(500)}\r\n`,
  'NATS/1.0\r\nNats-Expected-Last-Sequence: 1\r\n\r\n',
];
const connects = [
  '{"verbose":false,"headers":true,"no_responders":true,"protocol":1}',
  '{"verbose":true,"pedantic":true}',
  '{"headers":true}',
  '{',
  '[]',
  'null',
  '{"user":"x","pass":"y"}',
  '{"auth_token":"x"}',
  '{"nkey":"U","sig":"x"}',
  '{"jwt":"a.b.c"}',
  '{"protocol":-1}',
  '{"name":{"a":1},"lang":[]}',
  `{"name":"${'x'.repeat(5_000)}"}`,
  '{"__proto__":{"verbose":true}}',
];
const infos = [
  '{"connect_info":true}',
  '{"max_payload":1}',
  '{"max_payload":-1}',
  '{"import":{"allow":["a"]}}',
  '{"export":{"deny":[">"]}}',
  '{"leafnode_urls":["x:1","","\\u0000"]}',
  '{',
  '[]',
  '{"nonce":1}',
  '{"tls_required":true}',
  `{"leafnode_urls":${JSON.stringify(Array.from({ length: 2_000 }, (_, i) => `h${i}:1`))}}`,
  '{"ldm":true}',
];
const errors = [
  "'Authorization Violation'",
  "'Stale Connection'",
  "''",
  'x',
  '\'Permissions Violation for Publish to "a"\'',
  `'${'x'.repeat(2_000)}'`,
];

export class NatsCases {
  readonly #role: Role;
  readonly #seed: number;

  constructor(role: Role, seed: number) {
    this.#role = role;
    this.#seed = seed;
  }

  get(number: number): NatsCase {
    const chance = new Chance(this.#seed * 0x9e3779b1 + number);
    const operations = Array.from({ length: 1 + chance.below(OPERATIONS_MAX) }, () =>
      this.#role === 'client' ? clientOperation(chance) : hubOperation(chance),
    );
    let bytes: Buffer = Buffer.from(operations.join(''), 'latin1');
    for (let left = chance.below(MUTATIONS_MAX); left > 0; left--) bytes = mutate(bytes, chance);
    return { number, bytes };
  }
}

class Chance {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(count: number): number {
    return Math.floor(this.#random.next() * count);
  }

  /** One time in `count`. */
  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** Mostly a short sound one. */
function name(chance: Chance): string {
  return chance.oneIn(3) ? chance.of(names) : `f${chance.below(20)}.${chance.below(5)}`;
}

function size(bytes: number, chance: Chance): string {
  return chance.oneIn(12) ? chance.of(sizes) : String(bytes + (chance.oneIn(12) ? chance.below(9) - 4 : 0));
}

function end(chance: Chance): string {
  return chance.oneIn(30) ? chance.of(['\n', '\r', '', '\r\n\r\n', ' \r\n']) : '\r\n';
}

/** The sizes and the bytes of a message: with a header block, or without. */
function body(hasHeaders: boolean, chance: Chance): string {
  const payload = 'p'.repeat(chance.of(PAYLOADS));
  if (!hasHeaders) return `${size(payload.length, chance)}${end(chance)}${payload}${end(chance)}`;
  const block = chance.of(blocks);
  return `${size(block.length, chance)} ${size(block.length + payload.length, chance)}${end(chance)}${block}${payload}${end(chance)}`;
}

function clientOperation(chance: Chance): string {
  const reply = chance.oneIn(3) ? `${name(chance)} ` : '';
  const sid = chance.oneIn(10) ? chance.of(names) : String(chance.below(9));
  switch (chance.below(12)) {
    case 0:
      return `CONNECT ${chance.of(connects)}${end(chance)}`;
    case 1:
    case 2:
    case 3:
      return `PUB ${name(chance)} ${reply}${body(false, chance)}`;
    case 4:
    case 5:
      return `HPUB ${name(chance)} ${reply}${body(true, chance)}`;
    case 6:
    case 7:
      return `SUB ${name(chance)} ${chance.oneIn(3) ? `${name(chance)} ` : ''}${sid}${end(chance)}`;
    case 8:
      return `UNSUB ${sid}${chance.oneIn(2) ? ` ${size(chance.below(5), chance)}` : ''}${end(chance)}`;
    case 9:
      return chance.of(['PING', 'PONG', '+OK', "-ERR 'x'", 'MSG a 1 0\r\n', 'LS+ a', 'INFO {}', '']) + end(chance);
    case 10:
      return chance.oneIn(20)
        ? `SUB ${'x'.repeat(LONG)}`
        : Array.from({ length: 200 }, (_, i) => `SUB flood.${i}.${chance.below(1_000)}.* ${i}\r\n`).join('');
    default:
      return `${chance.of(['pub', 'sUb', 'hpub'])}\t ${name(chance)}  ${body(false, chance)}`;
  }
}

function hubOperation(chance: Chance): string {
  const queues = Array.from({ length: 1 + chance.below(3) }, () => name(chance)).join(' ');
  const route = chance.of(['', `${name(chance)} `, `| ${queues} `, `+ ${name(chance)} ${queues} `, '+ ', '| ']);
  switch (chance.below(10)) {
    case 0:
      return `INFO ${chance.of(infos)}${end(chance)}`;
    case 1:
    case 2:
      return `LS+ ${name(chance)}${chance.oneIn(3) ? ` ${name(chance)} ${size(chance.below(9), chance)}` : ''}${end(chance)}`;
    case 3:
      return `LS- ${name(chance)}${chance.oneIn(3) ? ` ${name(chance)}` : ''}${end(chance)}`;
    case 4:
    case 5:
      return `LMSG ${name(chance)} ${route}${body(false, chance)}`;
    case 6:
    case 7:
      return `HMSG ${name(chance)} ${route}${body(true, chance)}`;
    case 8:
      return chance.oneIn(20)
        ? `LS+ ${'x'.repeat(LONG)}`
        : Array.from({ length: 200 }, (_, i) => `LS+ flood.${i}.${chance.below(1_000)}\r\n`).join('');
    default:
      return chance.of(['PING', 'PONG', '+OK', `-ERR ${chance.of(errors)}`, 'PUB a 1', 'RMSG a 1', '']) + end(chance);
  }
}

function mutate(bytes: Buffer, chance: Chance): Buffer {
  if (bytes.length === 0) return Buffer.from([chance.below(256)]);
  const at = chance.below(bytes.length);
  const to = Math.min(bytes.length, at + 1 + chance.below(20));
  switch (chance.below(5)) {
    case 0: {
      const copy = Buffer.from(bytes);
      copy[at] = chance.below(256);
      return copy;
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(chance.of(sizes)), bytes.subarray(at)]);
    default:
      return bytes.subarray(0, at);
  }
}
