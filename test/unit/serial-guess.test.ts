import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { type Check, encodeFrame as encodeBridgeFrame } from '../../src/serial/bridge/codec/frame.ts';
import { writeBoardHello } from '../../src/serial/bridge/codec/hello.ts';
import { type } from '../../src/serial/bridge/codec/words.ts';
import { encodeFrame } from '../../src/serial/framing/framing.ts';
import { guess } from '../../src/serial/guess.ts';
import { plainFraming } from '../../src/serial/options.ts';
import { portLine, suggestPort } from '../../src/serial/suggest.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(20);
const bytes = (count: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: count }, () => Math.floor(random.between(0, 256))));
const repeated = (count: number, make: (index: number) => Buffer | string): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.from(make(index))));

const modbus = Buffer.from('1103006b000376871103060 22b00000064c8ba'.replace(' ', ''), 'hex');

const board = (check: Check, kind: number, payload: Uint8Array): Uint8Array =>
  encodeBridgeFrame({ check, type: kind, flags: 0, sequence: 0, channel: 0, payload });

const talkers: Readonly<Record<string, Buffer>> = {
  'NMEA 0183': repeated(4, () => '$GPGLL,4916.45,N,12311.12,W,225444,A*31\r\n'),
  'Modbus RTU': Buffer.concat([modbus.subarray(5), modbus, modbus, modbus.subarray(0, 4)]),
  'Modbus ASCII': repeated(5, () => ':010300000001FB\r\n'),
  'text: JSON lines': repeated(5, (i) => `{"t":${i},"name":"Öl"}\n`),
  'text: key=value pairs': repeated(5, (i) => `T=${i}.5;H=40\r\n`),
  'text: 3 columns': repeated(5, (i) => `ST,GS,${i}.5\r\n`),
  'text lines': repeated(5, (i) => `weight ${i}.5 kg\r\n`),
  'SLIP frames': repeated(8, () => encodeFrame(plainFraming('slip'), bytes(20))),
  'COBS frames': repeated(8, () => encodeFrame(plainFraming('cobs'), bytes(20))),
  'a Petiole board': Buffer.concat([bytes(9), Buffer.from([0]), board('crc32c', type.ping, Buffer.alloc(0))]),
  'frames of 12 bytes': repeated(20, () => Buffer.concat([Buffer.from([0xa5, 0x5a]), bytes(10)])),
  'binary, or another baud rate': bytes(600),
  nothing: Buffer.alloc(0),
};

for (const [what, said] of Object.entries(talkers)) {
  test(`what looks like ${what} is told so`, () => {
    const found = guess(said);
    assert.equal(found.what, what, JSON.stringify(found));
    assert.equal(found.sureness >= 0.5, !/^(binary|nothing)/.test(what), JSON.stringify(found));
  });
}

test('a board is told by its HELLO, and not by one short check that came right', () => {
  const hello = writeBoardHello({
    ...{ versionMin: 1, versionMax: 1, reset: 1, frameBytesMax: 128, window: 4, features: 0, nonce: 7, session: 1 },
    ...{ oldest: 0, bootCount: 1, uptimeMs: 5, lost: 0, description: 0, hash: new Uint8Array(0) },
    ...{ identity: 'th1', hardware: 'acme-th1', firmware: 'th', version: '1.0.0' },
  });
  const { what, why } = guess(Buffer.from(board('crc16', type.hello, hello)));
  assert.deepEqual([what, why], ['a Petiole board', '1 frame with its check, of th1 (acme-th1, version 1.0.0)']);
  assert.notEqual(guess(Buffer.from(board('crc16', type.ping, new Uint8Array(8)))).what, 'a Petiole board');
});

test('text with a parity bit is found behind it', () => {
  const said = repeated(5, () => 'ST,GS,12.5\r\n').map((byte) => {
    const isOdd = byte.toString(2).replaceAll('0', '').length % 2 === 1;
    return isOdd ? byte | 0x80 : byte;
  });
  const { what, configuration } = guess(Buffer.from(said));
  assert.equal(what, 'text: 3 columns, of 7 data bits and even parity');
  assert.deepEqual(configuration, ['data_bits: 7', 'parity: even']);
});

test('text heard at another rate is not taken for text, nor for anything sure', () => {
  // Each byte is another: as random as the sampling of bits at a wrong rate looks.
  const text = repeated(40, (i) => `ST,GS,${i}.5 kg\r\n`);
  const heard = text.map((byte, at) => (crc32(Buffer.of(byte, at & 7)) >>> 8) & 0xff);
  const found = guess(Buffer.from(heard));
  assert.ok(found.sureness < 0.5, JSON.stringify(found));
});

test('a device is named by what stays: serial number, name of one of several ports, place, node', () => {
  const device = (given: object) => ({
    ...{ path: '/dev/ttyUSB0', vendor: '', product: '', serial: '', description: '', usb: '', driver: '' },
    ...{ byId: [], byPath: [] },
    ...given,
  });
  const ftdi = device({ vendor: '0403', product: '6001', serial: 'A5', usb: '1-1' });
  const quad = ['00', '01'].map((one) =>
    device({ vendor: '0403', product: '6011', serial: 'FT', usb: '1-2', byId: [`usb-FTDI-if${one}`] }),
  );
  const nameless = ['1-3', '1-4'].map((usb) => device({ vendor: '1a86', product: '7523', usb }));
  const uart = device({ path: '/dev/ttyAMA0' });
  const all = [ftdi, ...quad, ...nameless, uart];
  assert.deepEqual(
    all.map((one) => portLine(suggestPort(one, all))),
    [
      'port: { vendor: "0403", product: "6001", serial: "A5" }',
      'port: { by_id: "usb-FTDI-if00" }',
      'port: { by_id: "usb-FTDI-if01" }',
      'port: { vendor: "1a86", product: "7523", usb: "1-3" }',
      'port: { vendor: "1a86", product: "7523", usb: "1-4" }',
      'port: /dev/ttyAMA0',
    ],
  );
});
