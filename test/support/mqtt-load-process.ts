/** The load itself: `node mqtt-load-process.ts '<LoadOptions as JSON>'`. Progress and result are JSON lines on stdout. */
import { createHistogram } from 'node:perf_hooks';
import type { LoadOptions, LoadProgress, LoadResult } from './mqtt-load.ts';
import { Sender } from './mqtt-sender.ts';
import { clockUs } from './payload.ts';
import type { Ranges } from './ranges.ts';

const PACE_EVERY_MS = 1;
/** After "stop", for the PUBACKs under way. */
const STOP_GRACE_MS = 2_000;
/** Enough to see what is wrong; a broker that refuses everybody must not fill the result. */
const ERRORS_MAX = 20;

const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions;
const {
  connections = 1,
  messages,
  messagesPerSecond = 0,
  window = 100,
  clientPrefix = 'c',
  timeoutMs = 120_000,
  progressEveryMs = 100,
} = options;

const latency = createHistogram({ figures: 3 });
const errors: string[] = [];
const senders: Sender[] = [];
/** `performance.now()` and `clockUs()` of the same moment. */
let startedAtMs = 0;
let startedAtUs = 0;
let finished = 0;

function share(index: number): number {
  return Math.floor(messages / connections) + (index < messages % connections ? 1 : 0);
}

for (let index = 0; index < connections; index++) {
  const client = `${clientPrefix}${index}`;
  const { username, password } = options;
  senders.push(
    new Sender({
      host: options.host ?? '127.0.0.1',
      port: options.port,
      client,
      topic: (options.topic ?? 'bench/%c').replace('%c', client),
      messages: share(index),
      payloadBytes: options.payloadBytes ?? 128,
      window,
      version: options.version ?? 4,
      reconnect: options.reconnect ?? false,
      eager: messagesPerSecond === 0,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      latency,
      onConnected: () => startedAtMs === 0 && senders.every(({ connected }) => connected) && begin(),
      onDone: () => ++finished === connections && end(),
      onError: (text) => errors.length < ERRORS_MAX && errors.push(text),
    }),
  );
}

function begin(): void {
  startedAtMs = performance.now();
  startedAtUs = clockUs();
  for (const sender of senders) sender.begin();
  if (messagesPerSecond > 0) setInterval(pace, PACE_EVERY_MS);
}

let turn = 0;
/** Sends what is due, one message for each client in turn; what a full window holds back is made up for later. */
function pace(): void {
  const due = Math.floor(((performance.now() - startedAtMs) / 1000) * messagesPerSecond) + 1;
  let open = Math.min(due, messages) - sum((sender) => sender.sent);
  for (let idle = 0; open > 0 && idle < connections; ) {
    const sent = senders[turn++ % connections]?.send(1) ?? 0;
    open -= sent;
    idle = sent === 0 ? idle + 1 : 0;
  }
}

function sum(of: (sender: Sender) => number): number {
  return senders.reduce((total, sender) => total + of(sender), 0);
}

function progress(): LoadProgress {
  return {
    sent: sum((sender) => sender.sent),
    acked: sum((sender) => sender.acked.size),
    connected: sum((sender) => (sender.connected ? 1 : 0)),
  };
}

let ended = false;
function end(): void {
  if (ended) return;
  ended = true;
  const lastAckUs = Math.max(startedAtUs, ...senders.map(({ lastReadUs }) => lastReadUs));
  const elapsedMs = (lastAckUs - startedAtUs) / 1000;
  const acked = sum((sender) => sender.acked.size);
  const { user, system } = process.cpuUsage();
  const ackedRanges: Record<string, Ranges> = {};
  for (const sender of senders) ackedRanges[sender.client] = sender.acked.ranges();
  const result: LoadResult = {
    ...progress(),
    complete: senders.every(({ complete }) => complete),
    resent: sum((sender) => sender.resent),
    refused: sum((sender) => sender.refused),
    reconnects: sum((sender) => Math.max(0, sender.connects - 1)),
    elapsedMs,
    rate: elapsedMs === 0 ? 0 : acked / (elapsedMs / 1000),
    latencyMs: { p50: latency.percentile(50) / 1000, p99: latency.percentile(99) / 1000, max: latency.max / 1000 },
    cpuMs: (user + system) / 1000,
    ackedRanges,
    errors,
  };
  for (const sender of senders) sender.end();
  process.stdout.write(`${JSON.stringify({ result })}\n`, () => process.exit(0));
}

process.stdin.on('data', () => {
  for (const sender of senders) sender.stop();
  setTimeout(end, STOP_GRACE_MS);
});
setInterval(() => process.stdout.write(`${JSON.stringify({ progress: progress() })}\n`), progressEveryMs);
setTimeout(end, timeoutMs);
for (const sender of senders) sender.connect();
