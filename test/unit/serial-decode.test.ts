import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError } from '../../src/serial/decode/decoded.ts';
import { loadPattern, makeDecoder } from '../../src/serial/decode/decoder.ts';
import { parseTime } from '../../src/serial/decode/local-time.ts';
import type { DecoderOptions } from '../../src/serial/options.ts';
import { decoder, field } from '../support/serial-options.ts';

/** The fields of one frame, or the fault and nothing else. */
async function decoded(options: Partial<DecoderOptions>, frame: string | Buffer): Promise<unknown> {
  const decode = await makeDecoder(decoder(options));
  try {
    const { fields, whole } = decode(Buffer.from(frame as string));
    return whole !== undefined && options.type !== 'json' ? whole : fields;
  } catch (error) {
    if (error instanceof DecodeError) return error.fault;
    throw error;
  }
}

test('text, raw and hex', async () => {
  assert.equal(await decoded({ type: 'text' }, 'hello'), 'hello');
  assert.equal(await decoded({ type: 'text' }, Buffer.from([0xff, 0xfe])), 'not_text');
  assert.equal(await decoded({ type: 'text', encoding: 'cp437' }, Buffer.from([0x81, 0xf8])), 'ü°');
  assert.equal(await decoded({ type: 'text', encoding: 'shift_jis' }, Buffer.from([0x8b, 0x43, 0x89, 0xb7])), '気温');
  assert.equal(await decoded({ type: 'hex' }, Buffer.from([0, 255])), '00ff');
  assert.deepEqual(await decoded({ type: 'raw' }, Buffer.from([0, 255])), Buffer.from([0, 255]));
  await assert.rejects(makeDecoder(decoder({ encoding: 'klingon' })), { code: 'config_invalid' });
});

test('JSON: objects, single values, and what is no reading', async () => {
  assert.deepEqual(await decoded({ type: 'json' }, '{"t":21.5,"on":true}'), { t: 21.5, on: true });
  assert.deepEqual(await decoded({ type: 'json' }, '[1,2]'), { value: [1, 2] });
  assert.equal(await decoded({ type: 'json' }, '{"t":'), 'not_json');
  assert.equal(await decoded({ type: 'json' }, '{"t":1e999}'), 'out_of_range');
  assert.equal(await decoded({ type: 'json' }, '['.repeat(10_000) + ']'.repeat(10_000)), 'too_deep');
  assert.equal(await decoded({ type: 'json' }, '{"a":'.repeat(10_000)), 'too_deep');
  assert.deepEqual(await decoded({ type: 'json' }, `{"t":"${'['.repeat(200)}"}`), { t: '['.repeat(200) });
  const polluted = (await decoded({ type: 'json' }, '{"__proto__":{"admin":true}}')) as object;
  assert.equal('admin' in {}, false);
  assert.equal(Object.getPrototypeOf(polluted), Object.prototype);
});

test('CSV: by the order of the fields, quotes, types, decimals and labels', async () => {
  const fields = [
    field('at', { type: 'time', format: 'DD.MM.YYYY HH:mm:ss' }),
    field('-'),
    field('kg', { type: 'number', decimals: 1 }),
    field('state', { type: 'number', labels: new Map([['1', 'stable']]) }),
  ];
  const options = { type: 'csv' as const, separator: ';', decimal: ',' as const, timeZone: 'Europe/Berlin', fields };
  assert.deepEqual(await decoded(options, '24.06.2026 12:00:00;x;1,25;1'), {
    at: '2026-06-24T10:00:00.000Z',
    kg: 1.3,
    state: 'stable',
  });
  assert.equal(await decoded(options, '24.06.2026 12:00:00;x;1,25'), 'no_match');
  assert.equal(await decoded(options, '31.02.2026 12:00:00;x;1,25;1'), 'bad_value');
  assert.equal(await decoded(options, '24.06.2026 12:00:00;x;a lot;1'), 'bad_value');
  assert.deepEqual(await decoded({ type: 'csv' }, '1,"a ""b"", c",007,+1.5e2,-'), {
    c1: 1,
    c2: 'a "b", c',
    c3: '007',
    c4: 150,
    c5: '-',
  });
  assert.equal(await decoded({ type: 'csv' }, '1,"open'), 'no_match');
});

test('key=value: pairs, other signs, and fields that must be there', async () => {
  assert.deepEqual(await decoded({ type: 'key-value', separator: ';' }, 'T=21.5; H=40 ;name=oven 3'), {
    T: 21.5,
    H: 40,
    name: 'oven 3',
  });
  const fields = [field('T', { type: 'number', scale: 0.1, unit: '°C' })];
  assert.deepEqual(await decoded({ type: 'key-value', separator: ' ', assign: ':', fields }, 'T:217 x'), { T: 21.7 });
  assert.equal(await decoded({ type: 'key-value', fields }, 'H=1'), 'no_match');
  assert.equal(await decoded({ type: 'key-value' }, 'nothing here'), 'no_match');
  assert.equal(await decoded({ type: 'key-value' }, 'T=1e999'), 'out_of_range');
});

test('patterns are linear in the text: one that would backtrack for ever answers at once', async () => {
  const options = { type: 'pattern' as const, pattern: '^(?P<all>(a+)+)$' };
  const startedAt = performance.now();
  assert.equal(await decoded(options, `${'a'.repeat(4000)}!`), 'no_match');
  // A backtracking engine needs 2^4000 steps; the bound is generous because the machine may be busy.
  assert.ok(performance.now() - startedAt < 20_000);
  assert.deepEqual(await decoded({ type: 'pattern', pattern: '(?P<v>[0-9.]+) (?P<u>kg|g)?' }, 'N 2.50 kg'), {
    v: 2.5,
    u: 'kg',
  });
  await assert.rejects(loadPattern('(?=x)'), { code: 'config_invalid' });
  await assert.rejects(loadPattern('('), { code: 'config_invalid' });
});

test('NMEA: positions, time and speed by name, other sentences by their fields', async () => {
  const rmc = await decoded({ type: 'nmea' }, 'GPRMC,123519,A,4807.038,N,01131.000,W,022.4,084.4,230394,003.1,W');
  assert.deepEqual(rmc, {
    talker: 'GP',
    sentence: 'RMC',
    time: '1994-03-23T12:35:19Z',
    valid: true,
    latitude: 48.1173,
    longitude: -11.5166667,
    speed: 41.485,
    course: 84.4,
    values: ['123519', 'A', '4807.038', 'N', '01131.000', 'W', '022.4', '084.4', '230394', '003.1', 'W'],
  });
  const gga = (await decoded(
    { type: 'nmea' },
    'GNGGA,123519,4807.038,S,01131.000,E,1,08,0.9,545.4,M,46.9,M,,',
  )) as Record<string, unknown>;
  assert.deepEqual([gga.latitude, gga.altitude, gga.satellites], [-48.1173, 545.4, 8]);
  assert.deepEqual(await decoded({ type: 'nmea' }, 'PGRME,15.0,M'), {
    talker: 'PGRM',
    sentence: 'E',
    values: ['15.0', 'M'],
  });
  assert.equal(await decoded({ type: 'nmea' }, 'GPRMC,1,A,north,N,1,W,1,1,1'), 'bad_value');
  assert.equal(await decoded({ type: 'nmea' }, 'hello, world'), 'no_match');
});

test('binary layout: types, byte orders, bit fields, scale, labels, and places', async () => {
  const frame = Buffer.from('01 fffe 0200 00e1f505 41ac0000 9512 ff34 68690000 0000000000000080 e8', 'latin1');
  const bytes = Buffer.from(frame.toString('latin1').replaceAll(' ', ''), 'hex');
  const fields = [
    field('id', { type: 'u8' }),
    field('t', { type: 'i16', scale: 0.1, decimals: 1 }),
    field('le', { type: 'u16', endian: 'little' }),
    field('count', { type: 'u32', endian: 'little' }),
    field('f', { type: 'f32' }),
    field('bcd', { type: 'bcd', length: 2, endian: 'little' }),
    field('high', { type: 'u16', bit: 12, bits: 4 }),
    field('low', { type: 'u16', at: 15, bit: 0, bits: 3 }),
    field('flag', { type: 'boolean', at: 15, bit: 7, bits: 1 }),
    field('signed', { type: 'i8', at: 16, bit: 4, bits: 4 }),
    field('mode', { type: 'u8', at: 16, labels: new Map([['52', 'run']]) }),
    field('name', { type: 'text', length: 4 }),
    field('big', { type: 'u64', endian: 'little' }),
    field('rest', { type: 'bytes', length: 1 }),
  ];
  assert.deepEqual(await decoded({ type: 'binary', fields }, bytes), {
    id: 1,
    t: -0.2,
    le: 2,
    count: 100_000_000,
    f: 21.5,
    bcd: 1295,
    high: 15,
    low: 4,
    flag: true,
    signed: 3,
    mode: 'run',
    name: 'hi',
    big: '9223372036854775808',
    rest: 'e8',
  });
  assert.equal(await decoded({ type: 'binary', fields }, bytes.subarray(0, -1)), 'too_short');
  assert.equal(
    await decoded({ type: 'binary', fields: [field('b', { type: 'bcd', length: 1 })] }, '\x1a'),
    'bad_value',
  );
  const nan = Buffer.from('7fc00000', 'hex');
  assert.equal(await decoded({ type: 'binary', fields: [field('f', { type: 'f32' })] }, nan), 'out_of_range');
});

test('times of the device: its zone, both sides of a change of the clocks, ISO with and without offset', () => {
  const iso = (text: string, form: string, zone: string) => {
    const atMs = parseTime(text, form, zone);
    return atMs === null ? null : new Date(atMs).toISOString();
  };
  assert.equal(iso('2026-03-29T01:59:59', '', 'Europe/Berlin'), '2026-03-29T00:59:59.000Z');
  assert.equal(iso('2026-03-29T03:00:00', '', 'Europe/Berlin'), '2026-03-29T01:00:00.000Z');
  assert.equal(iso('2026-01-01 12:00:00.25+05:30', '', 'Europe/Berlin'), '2026-01-01T06:30:00.250Z');
  assert.equal(iso('260101120000', 'YYMMDDHHmmss', 'UTC'), '2026-01-01T12:00:00.000Z');
  assert.equal(iso('26-01-01', 'YYYY-MM-DD', 'UTC'), null);
});
