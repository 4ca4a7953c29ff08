import { type Changes, client, HOUR_MS, lane, loss, MINUTE_MS, NOW_MS, noLink } from './ops-snapshot.ts';

/** A box with much to say: offline, a lane that fills, another one blocked, losses, 14 sensors. */
export const busy: Changes = {
  link: { ...noLink, drops: { 'no-interest': 4 } },
  lanes: [
    lane({ name: 'alarms', subjects: ['*.alarm.>'], priority: 1, full: 'refuse', bytesMax: 64 * 1024 ** 2 }),
    lane({
      state: 'waiting-for-link',
      depth: 1_204_331,
      bytes: 0.62 * 1024 ** 3,
      oldestMs: NOW_MS - 2 * HOUR_MS,
      rateInPerS: 168,
      timeToFullS: 4000,
    }),
    lane({
      name: 'quality',
      subjects: ['line3.quality.>', 'line4.quality.>'],
      state: 'blocked',
      depth: 310,
      bytes: 120_000,
      oldestMs: NOW_MS - 26 * HOUR_MS,
      rateInPerS: 0.3,
      reason: {
        code: 'no_stream',
        message: 'No stream at the hub takes line3.quality.camera',
        hint: 'Create a stream with that subject, or name it under upstream.streams',
      },
    }),
  ],
  ledger: [
    loss({ atMs: NOW_MS - 40_000 }),
    loss({
      reason: 'oversize',
      count: 1,
      firstSequence: 88_113,
      lastSequence: 88_113,
      synced: true,
      atMs: NOW_MS - 70 * MINUTE_MS,
    }),
    loss({
      lane: 'alarms',
      reason: 'refused',
      count: 3,
      firstSequence: null,
      lastSequence: null,
      synced: true,
      atMs: NOW_MS - 30 * HOUR_MS,
    }),
  ],
  losses: { evicted: 1204, oversize: 1, refused: 3 },
  mqtt: {
    listeners: [{ host: '0.0.0.0', port: 1883, connections: 14 }],
    counters: { publishes: 1_204_977, malformedPackets: 3 },
    clients: Array.from({ length: 14 }, (_, i) =>
      client(`line${1 + (i % 4)}-sensor-${i}`, {
        lastSeenMs: NOW_MS - i * 900,
        messagesIn: 50_000 * (i + 1),
        dropped: i === 3 ? 7 : 0,
      }),
    ),
  },
};
