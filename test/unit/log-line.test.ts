import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { logLine } from '../../src/core/log-line.ts';

/** What one event looks like, without its time. */
function line(write: (log: pino.Logger) => void): string {
  let text = '';
  const options = { base: null, level: 'trace', timestamp: pino.stdTimeFunctions.isoTime };
  write(
    pino(options, {
      write: (json) => {
        text += logLine(json, false);
      },
    }),
  );
  assert.match(text, /^\d\d:\d\d:\d\d\.\d{3} /);
  return text.slice(13);
}

test('one event is one line: level, part, message, then the fields', () => {
  const text = line((log) => log.child({ part: 'status' }).info({ url: 'http://127.0.0.1:8080/' }, 'status page'));
  assert.equal(text, 'INFO  status   status page  url=http://127.0.0.1:8080/\n');
});

test('objects are flattened, addresses are written as one', () => {
  const listeners = {
    mqtt: [
      { host: '127.0.0.1', port: 1883 },
      { host: '::1', port: 1 },
    ],
    status: null,
  };
  const text = line((log) => log.info({ listeners, file: null }, 'ready'));
  assert.equal(text, 'INFO           ready  listeners.mqtt=127.0.0.1:1883,[::1]:1 listeners.status=none file=none\n');
});

test('the cure stands last, where it is looked for', () => {
  const text = line((log) => log.fatal({ hint: 'Mend it.', code: 'disk_full', lane: 'a b' }, 'no room'));
  assert.equal(text, 'FATAL          no room  code=disk_full lane="a b"  cure: Mend it.\n');
});

test('the message of a failure follows what it stopped', () => {
  const text = line((log) =>
    log.warn({ code: 'no_stream', message: 'no stream takes a.b', hint: 'Add one.' }, 'waits'),
  );
  assert.equal(text, 'WARN           waits: no stream takes a.b  code=no_stream  cure: Add one.\n');
});

test('text from outside cannot steer the terminal or fake a line', () => {
  const text = line((log) => log.warn({ says: 'x\x1b[2J', name: 'a\nINFO' }, 'the hub says \x9b31m\nINFO fine'));
  assert.equal(text.indexOf('\n'), text.length - 1);
  assert.doesNotMatch(text.trimEnd(), /\p{Cc}/u);
});

test('an error shows its stack, and only an error has more than one line', () => {
  const text = line((log) => log.fatal({ err: new Error('broken') }, 'a mistake'));
  assert.match(text, /^FATAL {10}a mistake\n {4}Error: broken\n {8}at /);
});

test('colours only where they are asked for, and never around what comes from outside unescaped', () => {
  const json = JSON.stringify({ level: 50, time: '2026-01-01T00:00:00.000Z', part: 'store', msg: 'broken' });
  assert.ok(logLine(json, true).includes('\x1b[31mERROR\x1b[0m'));
  assert.ok(!logLine(json, false).includes('\x1b'));
  assert.equal(logLine('not JSON\n', true), 'not JSON\n');
});
