import assert from 'node:assert/strict';
import { test } from 'node:test';
import { render } from '../../src/ops/terminal.ts';
import { view } from '../../src/ops/view.ts';
import { CLIENT_ROWS_MAX } from '../../src/ops/view-rows.ts';
import { client, HOUR_MS, lane, loss, MINUTE_MS, NOW_MS, noLink, snapshot } from './ops-snapshot.ts';

const plain = { colour: false, columns: 120 };

test('one screen says what the page says', () => {
  const text = render(
    view(
      snapshot({
        lanes: [
          lane({ name: 'alarms', subjects: ['*.alarm.>'], full: 'refuse' }),
          lane({
            state: 'blocked',
            depth: 12_345,
            bytes: 1024 ** 3 / 2,
            oldestMs: NOW_MS - 2 * HOUR_MS,
            rateInPerS: 4.2,
            timeToFullS: 7200,
            reason: { code: 'no_stream', message: 'No stream takes line3.temp', hint: 'Create one' },
          }),
        ],
        ledger: [loss()],
        losses: { evicted: 12 },
      }),
    ),
    plain,
  );
  for (const line of [
    'plant1 Petiole 0.1.0',
    '▲ Connected to hub1, but lane telemetry waits with 12,345 messages: no stream takes line3.temp. Create one. 12 messages',
    '  ▲ lane telemetry: No stream takes line3.temp. Began 2 h ago.',
    'Link to the hub  Connected',
    '  Lane       State     Fill                          Kept  Oldest     In  Out  Full in  Empty in',
    '  alarms     All sent  ░░░░░░░░░░ 0 % of 1.0 GiB        0       –    0/s  0/s        –         –',
    '  telemetry  Blocked   █████░░░░░ 50 % of 1.0 GiB  12,345     2 h  4.2/s  0/s      2 h         –',
    '    No stream takes line3.temp. Create one.',
    '  12 evicted',
    '  telemetry  evicted        12    100–111  5 min ago  not yet',
  ]) {
    assert.ok(text.split('\n').includes(line), `no line\n${line}\nin\n${text}`);
  }
  assert.match(text, /^ {2}press-1 .* 2 s ago {2}2\.0\/s /m);
});

test('no line is longer than the terminal is wide', () => {
  const long = client('x'.repeat(500), { remote: 'y'.repeat(100) });
  const text = render(view(snapshot({ link: noLink, mqtt: { clients: [long] } })), { colour: false, columns: 60 });
  const widths = text.split('\n').map((line) => [...line].length);
  assert.ok(Math.max(...widths) <= 60, text);
});

test('colours only where they are wanted, and only our own escapes ever', () => {
  const hostile = snapshot({ mqtt: { clients: [client('\x1b]0;owned\x07\x1b[2J')] }, gateway: { name: 'a\x1b[31m' } });
  assert.ok(!render(view(hostile), plain).includes('\x1b'));
  const coloured = render(view(hostile), { ...plain, colour: true });
  assert.ok(coloured.includes('\x1b[32m●\x1b[0m'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what this is about
  assert.ok(!coloured.replace(/\x1b\[\d+m/g, '').includes('\x1b'));
});

test('many clients are counted and not all listed', () => {
  const clients = Array.from({ length: CLIENT_ROWS_MAX + 50 }, (_, i) => client(`c${String(i).padStart(4, '0')}`));
  const shown = view(snapshot({ mqtt: { clients } }));
  assert.equal(shown.clients.rows.length, CLIENT_ROWS_MAX);
  assert.equal(shown.clients.note, '50 more clients in /status.json.');
  const text = render(shown, plain);
  assert.match(text, /^ {2}and 188 more$/m);
  assert.ok(!text.includes('c0012'));
});

test('the rate of a client is taken from the earlier look at the same connection', () => {
  const earlier = snapshot({
    gateway: { nowMs: NOW_MS - 10_000 },
    mqtt: { clients: [client('a', { messagesIn: 7000 })] },
  });
  const rateOf = (before: typeof earlier | null, connectedAtMs = NOW_MS - HOUR_MS): string | undefined =>
    view(snapshot({ mqtt: { clients: [client('a', { connectedAtMs })] } }), before).clients.rows[0]?.cells[4];
  assert.equal(rateOf(null), '2.0/s');
  assert.equal(rateOf(earlier), '20/s');
  // It has connected anew, and so counts from there.
  assert.equal(rateOf(earlier, NOW_MS - 2000), '3,600/s');
});

test('NATS clients have a table, and a port that is not there says why', () => {
  const known = {
    user: '',
    clientId: 7,
    name: 'flow\x1b[2J',
    lang: 'nats.js',
    version: '3.4.0',
    remote: '127.0.0.1:40000',
    connectedAtMs: NOW_MS - MINUTE_MS,
    lastSeenMs: NOW_MS - 2000,
    messagesIn: 1200,
    messagesOut: 3,
    bytesIn: 10,
    bytesOut: 20,
    subscriptions: 4,
    pendingBytes: 0,
  };
  const shown = view(
    snapshot({ nats: { clients: [known, { ...known, clientId: 8, name: '', lang: '', version: '' }] } }),
  );
  assert.deepEqual(
    shown.natsClients.rows.map(({ cells }) => cells[2]),
    ['nats.js 3.4.0', '–'],
  );
  assert.equal(shown.natsClients.rows[1]?.cells[0], 'no name (8)');
  const text = render(shown, { colour: false, columns: 120 });
  assert.match(text, /NATS clients\n.*Library[\s\S]*nats\.js 3\.4\.0/);
  assert.equal(text.includes('\x1b'), false);
  const { wear } = snapshot().store;
  const young = view(snapshot({ store: { wear: { ...wear, bytesPerDay: null } } }));
  assert.match(render(young, plain), /Written a day: not known yet/);
  const without = view(snapshot({ nats: { listeners: [], note: '127.0.0.1:4222 is in use by another program' } }));
  assert.match(
    render(without, { colour: false, columns: 120 }),
    /Not listening[\s\S]*is in use[\s\S]*no port for NATS/,
  );
});
