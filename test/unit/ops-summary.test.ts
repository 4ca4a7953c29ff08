import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts, LaneFacts } from '../../src/ops/snapshot.ts';
import { summary } from '../../src/ops/summary.ts';
import { type Changes, client, facts, HOUR_MS, lane, MINUTE_MS, NOW_MS, noLink } from './ops-snapshot.ts';

const off: Partial<Facts['link']> = { state: 'off', url: '', hub: null, sinceMs: null };
const nearlyFull: Partial<LaneFacts> = { bytes: 0.95 * 1024 ** 3, timeToFullS: 1260 };

const FINE = 'Connected to hub1 for 3 h 12 min; everything sent; 2 sensors seen in the last minute.';

function lost(clientId: string, agoMs: number) {
  return { clientId, remote: '192.0.2.9:1', lastSeenMs: NOW_MS - agoMs, messagesIn: 1 };
}

function backlog(changes: Partial<LaneFacts> = {}): LaneFacts {
  return lane({
    state: 'waiting-for-link',
    depth: 12_345,
    oldestMs: NOW_MS - 2 * HOUR_MS,
    bytes: 1_600_000,
    ...changes,
  });
}

const situations: { name: string; changes: Changes; says: string }[] = [
  {
    name: 'fresh, the first connection is being made',
    changes: {
      gateway: { uptimeS: 4 },
      link: { state: 'connecting', hub: null, sinceMs: NOW_MS - 4000, reconnects: 0 },
      mqtt: { clients: [] },
    },
    says: 'Started 4 s ago; connecting to tls://hub.example.com:7422; no sensor connected.',
  },
  {
    name: 'no upstream configured, nothing kept yet',
    changes: { link: off },
    says:
      'No upstream is configured: messages will be kept here until there is one. ' +
      'Set upstream.urls to send them to a hub.',
  },
  {
    name: 'no upstream configured, messages kept',
    changes: { link: off, lanes: [backlog({ state: 'no-upstream', depth: 1204 })] },
    says: 'No upstream is configured: 1,204 messages are kept here. Set upstream.urls to send them to a hub.',
  },
  {
    name: 'offline for 2 h with messages kept',
    changes: { link: noLink, lanes: [backlog()] },
    says:
      'Offline for 2 h (hub.example.com:7422 refused the connection); ' +
      '12,345 messages are kept here and will be sent once the link is back.',
  },
  {
    name: 'offline and the lane fills',
    changes: { link: noLink, lanes: [lane(), backlog({ name: 'bulk', ...nearlyFull })] },
    says:
      'Offline for 2 h (hub.example.com:7422 refused the connection); ' +
      '12,345 messages are kept here and will be sent once the link is back. ' +
      'Lane bulk is 95 % full and will be full in 21 min. ' +
      'Then the oldest messages will be dropped: mend the link, or raise max_bytes of the lane.',
  },
  {
    name: 'lane 95 % full though connected',
    changes: { lanes: [backlog({ state: 'sending', full: 'refuse', ...nearlyFull })] },
    says:
      'Lane telemetry is 95 % full and will be full in 21 min. ' +
      'Then new messages will be refused: see what slows the way up, or raise max_bytes of the lane. ' +
      'Connected to hub1 for 3 h 12 min; catching up, 12,345 messages still to send; 2 sensors seen in the last minute.',
  },
  {
    name: 'wrong password',
    changes: {
      link: {
        ...noLink,
        lastError: {
          code: 'authorization_failed',
          message: 'The hub refused the user name or password.',
          hint: 'Check upstream.user and upstream.password.',
          atMs: NOW_MS,
        },
      },
      lanes: [backlog({ depth: 1 })],
    },
    says:
      'Offline for 2 h (the hub refused the user name or password); ' +
      '1 message is kept here and will be sent once the link is back. Check upstream.user and upstream.password.',
  },
  {
    name: 'no stream takes a subject',
    changes: {
      lanes: [
        backlog({
          state: 'blocked',
          reason: { code: 'no_stream', message: 'No stream takes line3.temp', hint: 'Create one for that subject' },
        }),
      ],
    },
    says:
      'Connected to hub1, but lane telemetry waits with 12,345 messages: no stream takes line3.temp. ' +
      'Create one for that subject.',
  },
  {
    name: 'the stream refuses, and another lane waits too',
    changes: {
      lanes: [
        backlog({
          state: 'blocked',
          reason: { code: 'stream_refused', message: 'stream TELEMETRY is full', hint: 'Raise its limits' },
        }),
        lane({ name: 'alarms', state: 'blocked' }),
      ],
    },
    says:
      'Connected to hub1, but lane telemetry (and 1 other lane) waits with 12,345 messages: ' +
      'stream TELEMETRY is full. Raise its limits.',
  },
  {
    name: 'store failing, which matters more than the link',
    changes: {
      link: noLink,
      store: { state: 'failed', error: { code: 'store_failed', message: 'I/O error in the journal', hint: '' } },
    },
    says: 'New messages are not kept: I/O error in the journal. Check the disk, then restart the box.',
  },
  {
    name: 'disk reserve reached',
    changes: { store: { state: 'full', freeBytes: 60 * 1024 ** 2 }, lanes: [backlog()] },
    says:
      'The disk is down to its reserve (60 MiB free, 64 MiB kept in reserve), so new messages are refused. ' +
      '12,345 messages are kept here; free some space, or lower max_bytes of the lanes.',
  },
  {
    name: 'no listener',
    changes: { mqtt: { listeners: [] } },
    says: 'No MQTT listener is open, so no sensor can connect. Add one under mqtt.listeners.',
  },
  {
    name: 'a lane is paused',
    changes: {
      lanes: [
        backlog({ state: 'paused', depth: 50, reason: { code: 'x', message: 'Outside its drain window', hint: '' } }),
      ],
    },
    says:
      'Connected to hub1 for 3 h 12 min; 50 messages wait while lane telemetry is paused (outside its drain window); ' +
      '2 sensors seen in the last minute.',
  },
  {
    name: 'catching up after an outage',
    changes: { lanes: [backlog({ state: 'sending', timeToEmptyS: 240 })] },
    says:
      'Connected to hub1 for 3 h 12 min; catching up, 12,345 messages still to send, done in about 4 min; ' +
      '2 sensors seen in the last minute.',
  },
  {
    name: 'the clock is wrong',
    changes: { clock: { trust: 'untrusted' } },
    says:
      'The time is not known (the clock says 2026-01-15 12:00 UTC): no message grows too old, and what comes in ' +
      'is marked until it is. ' +
      `Let the box reach a time server (timedatectl, chronyc), or fit a clock with a battery. ${FINE}`,
  },
  {
    name: 'the card is slow',
    changes: { store: { fsyncP50Ms: 420, fsyncP99Ms: 1900 } },
    says:
      'The disk is slow: a commit takes 420 ms, the slowest 1.9 s. ' +
      `A card this slow is often worn out: plan to replace it. ${FINE}`,
  },
  {
    name: 'a sensor has gone without a word',
    changes: {
      mqtt: { lost: { count: 1, clients: [lost('oven-13', 2 * HOUR_MS)] } },
    },
    says: `${FINE} Nothing has come from oven-13 for 2 h: check its power and its network.`,
  },
  {
    name: 'several have gone, the last one right now',
    changes: {
      mqtt: { lost: { count: 3, clients: [lost('a', 1000), lost('b', 5 * MINUTE_MS), lost('c', HOUR_MS)] } },
    },
    says: `${FINE} Nothing has come from b (and 2 other sensors) for 5 min: check its power and its network.`,
  },
  {
    name: 'a damaged store was mended',
    changes: {
      store: { mended: { atMs: NOW_MS - 5 * MINUTE_MS, note: 'it could not be read: 7 records are in the new one' } },
    },
    says:
      'The store was damaged, and has been mended 5 min ago: it could not be read: 7 records are in the new one. ' +
      `Nothing need be done now; where it happens again, replace the card. ${FINE}`,
  },
  {
    name: 'of three faults the one that may cost messages is told',
    changes: {
      clock: { trust: 'untrusted' },
      lanes: [lane(nearlyFull)],
      mqtt: { retained: { count: 100, countMax: 100, bytes: 0, bytesMax: 1, left: 0 } },
    },
    says:
      'Lane telemetry is 95 % full and will be full in 21 min. Then the oldest messages will be dropped: ' +
      `see what slows the way up, or raise max_bytes of the lane. ${FINE} 2 other things to look at, see below.`,
  },
  {
    name: 'all fine',
    changes: {},
    says: 'Connected to hub1 for 3 h 12 min; everything sent; 2 sensors seen in the last minute.',
  },
  {
    name: 'all fine, but no sensor speaks',
    changes: { mqtt: { clients: [client('press-1', { lastSeenMs: NOW_MS - 5 * MINUTE_MS })] } },
    says: 'Connected to hub1 for 3 h 12 min; everything sent; no sensor seen in the last minute.',
  },
];

for (const { name, changes, says } of situations) {
  test(`summary: ${name}`, () => assert.equal(summary(facts(changes)), says));
}
