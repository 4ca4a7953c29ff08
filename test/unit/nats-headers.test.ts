import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  appendHeaders,
  buildHeaders,
  headerEntries,
  headerStatus,
  headerValue,
  isHeaderBlock,
  isHeaderKey,
  removeHeader,
  renameHeader,
  statusHeaders,
} from '../../src/core/headers.ts';

const NONE = Buffer.alloc(0);

describe('header blocks', () => {
  it('are built and read', () => {
    const block = buildHeaders([
      ['Petiole-Id', 'plant1.1.a.7'],
      ['Größe', 'ü'],
      ['Empty', ''],
    ]);
    assert.equal(`${block}`, 'NATS/1.0\r\nPetiole-Id: plant1.1.a.7\r\nGröße: ü\r\nEmpty: \r\n\r\n');
    assert.equal(headerValue(block, 'Petiole-Id'), 'plant1.1.a.7');
    assert.equal(headerValue(block, 'Empty'), '');
    assert.equal(headerValue(block, 'petiole-id'), null);
    assert.equal(headerValue(block, 'Petiole'), null);
    assert.deepEqual(
      [...headerEntries(block)],
      [
        ['Petiole-Id', 'plant1.1.a.7'],
        ['Größe', 'ü'],
        ['Empty', ''],
      ],
    );
    assert.ok(isHeaderBlock(block));
  });

  it('are appended to without touching what is there', () => {
    const foreign = Buffer.from('NATS/1.0\r\nA:no blank\r\nA: twice\r\nbroken line\r\n\r\n');
    const more = appendHeaders(foreign, [['B', 'c']]);
    assert.equal(`${more}`, 'NATS/1.0\r\nA:no blank\r\nA: twice\r\nbroken line\r\nB: c\r\n\r\n');
    assert.equal(headerValue(more, 'A'), 'no blank');
    assert.equal(headerValue(more, 'B'), 'c');
    assert.equal(`${appendHeaders(NONE, [['B', 'c']])}`, 'NATS/1.0\r\nB: c\r\n\r\n');
  });

  it('cannot be forged by a value', () => {
    const block = buildHeaders([['A', 'x\r\nNats-Msg-Id: stolen\r\n\r\n']]);
    assert.equal(headerValue(block, 'Nats-Msg-Id'), null);
    assert.equal([...headerEntries(block)].length, 1);
    assert.ok(isHeaderBlock(block));
  });

  it('know their status', () => {
    assert.equal(headerStatus(Buffer.from('NATS/1.0 503\r\n\r\n')), 503);
    assert.equal(headerStatus(Buffer.from('NATS/1.0 404 No Messages\r\nA: b\r\n\r\n')), 404);
    assert.equal(headerStatus(statusHeaders(408, 'Request Timeout')), 408);
    for (const none of ['NATS/1.0\r\nA: 503\r\n\r\n', 'NATS/1.0 5030\r\n\r\n', 'NATS/1.0 x\r\n\r\n', '']) {
      assert.equal(headerStatus(Buffer.from(none)), 0);
    }
  });

  it('that are none are told from those that are', () => {
    for (const none of ['', 'NATS/1.0\r\n', 'NATS/1.1\r\n\r\n', 'NATS/1.0\r\nA: b\r\n']) {
      assert.equal(isHeaderBlock(Buffer.from(none)), false);
    }
    assert.ok(isHeaderBlock(statusHeaders(503)));
    assert.ok(isHeaderKey('Nats-Msg-Id') && !isHeaderKey('a:b') && !isHeaderKey('a b') && !isHeaderKey(''));
  });

  it('of any bytes are read without harm', () => {
    for (const odd of ['', '\n', ':', 'A:', '\r\n\r\n', 'NATS/1.0\r\nA', 'NATS/1.0\r\nA: b']) {
      assert.ok([null, 'b', ''].includes(headerValue(Buffer.from(odd), 'A')), odd);
    }
  });

  it('property: are searched and changed in place as line by line', () => {
    const key = fc.constantFrom('A', 'AB', 'a', 'Nats-Msg-Id', 'Nats-Msg-Id2');
    const value = fc.constantFrom('', ' ', ' b', 'b ', ' A: x', ':', ' ü', ' Nats-Msg-Id: 7');
    const line = fc.oneof(
      fc.tuple(key, value).map(([name, text]) => `${name}:${text}`),
      fc.constantFrom('broken', ':', 'A', ' A: b'),
    );
    const blocks = fc.array(line, { maxLength: 8 }).map((lines) => ['NATS/1.0', ...lines]);
    fc.assert(
      fc.property(blocks, key, key, (all, from, to) => {
        const block = Buffer.from(`${all.join('\r\n')}\r\n\r\n`);
        const [version = '', ...lines] = all;
        const isOf = (one: string): boolean => one.startsWith(`${from}:`);
        const first = lines.find(isOf);
        assert.equal(headerValue(block, from), first === undefined ? null : first.slice(from.length + 1).trim());
        const renamed = lines.map((one) => (isOf(one) ? to + one.slice(from.length) : one));
        assert.equal(`${renameHeader(block, from, to)}`, `${[version, ...renamed].join('\r\n')}\r\n\r\n`);
        const kept = lines.filter((one) => !isOf(one));
        assert.equal(`${removeHeader(block, from)}`, `${[version, ...kept].join('\r\n')}\r\n\r\n`);
      }),
      { numRuns: 2_000 },
    );
  });
});
