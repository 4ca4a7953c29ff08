import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './config-loader.ts';

/** Each entry of `serial:` has this one problem at this path, and the mended one has none. */
const cases: readonly (readonly [name: string, entries: string[], path: string, message: RegExp, mended: string[]])[] =
  [
    [
      'the same port twice',
      ['name: a, port: /dev/ttyUSB0, subject: a', 'name: b, port: /dev/ttyUSB0, subject: b'],
      'serial[1].port',
      /device of serial\[0\] too/,
      ['name: a, port: /dev/ttyUSB0, subject: a', 'name: b, port: /dev/ttyUSB1, subject: b'],
    ],
    [
      'the same device twice, however its keys are written',
      [
        'name: a, port: { vendor: "1A86", product: "7523" }, subject: a',
        'name: b, port: { product: "7523", vendor: "1a86" }, subject: b',
      ],
      'serial[1].port',
      /device of serial\[0\] too/,
      [
        'name: a, port: { vendor: "1A86", product: "7523", usb: 1-1 }, subject: a',
        'name: b, port: { product: "7523", vendor: "1a86", usb: 1-2 }, subject: b',
      ],
    ],
    [
      'one name for two ports',
      ['name: a, port: /dev/ttyUSB0, subject: a', 'name: a, port: /dev/ttyUSB1, subject: b'],
      'serial[1].name',
      /name of serial\[0\] already/,
      ['name: a, port: /dev/ttyUSB0, subject: a'],
    ],
    [
      'a port without a device',
      ['name: a, port: {}, subject: a'],
      'serial[0].port',
      /says nothing of the device/,
      ['name: a, port: { by_id: usb-x }, subject: a'],
    ],
    [
      'frames by pauses without a pause',
      ['name: a, port: /dev/ttyUSB0, subject: a, frame: idle'],
      'serial[0].frame.gap',
      /need a gap/,
      ['name: a, port: /dev/ttyUSB0, subject: a, frame: { type: idle, gap: 20ms }'],
    ],
    [
      'a check behind an end that the framing has not',
      ['name: a, port: /dev/ttyUSB0, subject: a, frame: { type: line, check: { type: xor, place: behind } }'],
      'serial[0].frame.check.place',
      /no end bytes/,
      ['name: a, port: /dev/ttyUSB0, subject: a, frame: { type: line, check: { type: xor } }'],
    ],
    [
      'a poll with two plans',
      ['name: a, port: /dev/ttyUSB0, subject: a, polls: [{ send: "?", every: 1s, cron: "* * * * *" }]'],
      'serial[0].polls[0]',
      /both given/,
      ['name: a, port: /dev/ttyUSB0, subject: a, polls: [{ send: "?", cron: "* * * * *" }]'],
    ],
    [
      'units that share a subject',
      [
        'name: a, port: /dev/ttyUSB0, subject: a, modbus: { units: [{ unit: 1, device: eastron-sdm630 }, { unit: 2, device: waveshare-8io }] }',
      ],
      'serial[0].subject',
      /share one subject/,
      [
        'name: a, port: /dev/ttyUSB0, subject: "a.{unit}", modbus: { units: [{ unit: 1, device: eastron-sdm630 }, { unit: 2, device: waveshare-8io }] }',
      ],
    ],
  ];

const fileOf = (entries: readonly string[]): string =>
  `serial:\n${entries.map((entry) => `  - { ${entry} }\n`).join('')}`;

for (const [name, entries, path, message, mended] of cases) {
  test(name, (t) => {
    const { problems } = load(t, fileOf(entries));
    assert.deepEqual(
      problems.map((problem) => problem.path),
      [path],
      JSON.stringify(problems),
    );
    assert.match(problems[0]?.message ?? '', message);
    assert.deepEqual(load(t, fileOf(mended)).problems, []);
  });
}
