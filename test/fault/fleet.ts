/**
 * `npm run test:fleet`: how a fleet comes back after its whole hub was away. A cluster of three real nats-servers, every box with
 * a user of its own and the least rights; some boxes are real processes with a journal, the others are the box's own leaf link
 * without the rest. All hubs are killed at once, the real boxes take messages meanwhile, all hubs start again.
 *
 *   --real N        real boxes (20): some 80 MiB each
 *   --simulated N   leaf links beside them (180)
 *   --away S        how long the hub is away, in seconds (5)
 *   --hub VERSION   of nats-server (the one on PATH)
 *   --isolate       the boxes want no interest of each other (upstream.isolate; hub 2.12 or newer): without it every hub keeps
 *                   the interest of all for each of them, and the work grows with the square of their number
 *   --quick         3 real, 20 simulated
 *
 * Prints when half of them, 95 in 100 and the last were back, counted from the moment at which the hub listened again, and the
 * CPU time of the hub. Exit 0: all came back, and every message is in the stream once. 1: not so. It fails on no time but its
 * last wait.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connectAsync } from 'mqtt';
import { hubBackoff } from '../../src/core/backoff.ts';
import { type Box, startBox } from '../support/box.ts';
import { readStream } from '../support/hub-stream.ts';
import { type LeafBox, startLeafBox } from '../support/leaf-box.ts';
import { type NatsCluster, startNatsCluster } from '../support/nats-cluster.ts';
import { natsServers } from '../support/procedures.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAM = 'FLEET';
const PASSWORD = 'of-this-run-alone';
const MESSAGES = 20;
/** Boxes that are started at once: more would wait for each other. */
const AT_ONCE = 2;
const LINKS_AT_ONCE = 200;
const BACK_TIMEOUT_MS = 600_000;
/** CLK_TCK of Linux on every machine that Node runs on. */
const TICKS_PER_S = 100;

const { values } = parseArgs({
  options: {
    real: { type: 'string', default: '20' },
    simulated: { type: 'string', default: '180' },
    away: { type: 'string', default: '5' },
    hub: { type: 'string' },
    isolate: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});
const real = values.quick ? 3 : Number(values.real);
const simulated = values.quick ? 20 : Number(values.simulated);
const { isolate } = values;
const hub = natsServers().find(({ version }) => version === values.hub);
if (values.hub !== undefined && !hub) throw new Error(`--hub ${values.hub}: there is no such nats-server here`);

/** As `deploy/hub/accounts.conf` has it, for each box by its own name. */
function accounts(names: readonly string[]): string {
  const api = ['STREAM.NAMES', `STREAM.INFO.${STREAM}`, `CONSUMER.CREATE.${STREAM}`, `CONSUMER.MSG.NEXT.${STREAM}.*`];
  const bookkeeping = [...api, `CONSUMER.DELETE.${STREAM}.*`, `STREAM.MSG.GET.${STREAM}`].map(
    (name) => `"$JS.API.${name}"`,
  );
  const users = names.map((name) => {
    const publish = [`"${name}.>"`, `"petiole.${name}.>"`, ...bookkeeping].join(', ');
    const rights = `publish { allow: [${publish}] }, subscribe { deny: ["$JS.API.>", "$SYS.>"] }, allow_responses: true`;
    return `{ user: "${name}", password: "${PASSWORD}", permissions { ${rights} } }`;
  });
  users.push(`{ user: operator, password: "${PASSWORD}" }`);
  return `PLANT { jetstream: enabled, users: [\n${users.join('\n')}\n] }`;
}

async function inTurns<T>(count: number, atOnce: number, make: (n: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let n = 0; n < count; n += atOnce) {
    const some = Array.from({ length: Math.min(atOnce, count - n) }, (_, i) => make(n + i));
    made.push(...(await Promise.all(some)));
  }
  return made;
}

const nameOf = (kind: string, n: number) => `${kind}-${String(n + 1).padStart(4, '0')}`;

async function startReal(scope: Scope, cluster: NatsCluster, n: number): Promise<Box> {
  const name = nameOf('box', n);
  return startBox(scope, {
    name,
    config: {
      lanes: [{ name: 'telemetry', subjects: [`${name}.>`], stream: { name: STREAM } }],
      upstream: { urls: cluster.leafUrls, user: name, password: PASSWORD, isolate },
    },
  });
}

/** The link of a box at its own pace of trying again, with the interest that a box has. */
async function startSimulated(scope: Scope, cluster: NatsCluster, n: number): Promise<LeafBox> {
  const name = nameOf('link', n);
  const box = await startLeafBox(scope, cluster.leafUrls, {
    name,
    user: name,
    password: PASSWORD,
    isolate,
    backoff: hubBackoff,
    connectTimeoutMs: 10_000,
    inboxPrefix: `_INBOX.${name}`,
  });
  for (const filter of [`${name}.cmd.>`, `petiole.${name}.health`, `$PETIOLE.${name}.>`])
    box.link.interest(filter, '', 1);
  return box;
}

function cpuS(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return ((user ?? 0) + (system ?? 0)) / TICKS_PER_S;
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

async function publish(boxes: readonly Box[], from: number): Promise<void> {
  await Promise.all(
    boxes.map(async (box, n) => {
      const client = await connectAsync(box.mqttUrl, { protocolVersion: 5 });
      for (let i = 0; i < MESSAGES; i++)
        await client.publishAsync(`${nameOf('box', n)}/n`, String(from + i), { qos: 1 });
      await client.endAsync();
    }),
  );
}

const isUp = async (box: Box): Promise<boolean> => (await box.status()).link.state === 'up';

await using scope = new Lifetime();
const names = [
  ...Array.from({ length: real }, (_, n) => nameOf('box', n)),
  ...Array.from({ length: simulated }, (_, n) => nameOf('link', n)),
];
const login = { user: 'operator', pass: PASSWORD };
const cluster = await startNatsCluster(scope, {
  accounts: accounts(names),
  login,
  ...(hub && { binary: hub.path }),
});
await cluster.createStream(
  STREAM,
  names.slice(0, real).map((name) => `${name}.>`),
  { num_replicas: 3 },
);
const boxes = await inTurns(real, AT_ONCE, (n) => startReal(scope, cluster, n));
const links = await inTurns(simulated, LINKS_AT_ONCE, (n) => startSimulated(scope, cluster, n));
const until = (what: string, done: () => boolean | Promise<boolean>) =>
  waitFor(what, done, { timeoutMs: BACK_TIMEOUT_MS, intervalMs: 200 });
const realUp = async () => (await Promise.all(boxes.map(isUp))).every(Boolean);
await until('every link', () => links.every(({ link }) => link.up));
await until('every box', realUp);
await publish(boxes, 0);
console.log(`${real} boxes and ${simulated} links are up on ${cluster.servers.length} hubs`);

await Promise.all(cluster.servers.map((server) => server.kill()));
await publish(boxes, MESSAGES);
await sleep(Number(values.away) * 1000);
const upsBefore = links.map(({ seen }) => seen.ups.length);
const back = new Array<number>(simulated).fill(0);
for (const [n, { seen }] of links.entries()) {
  const up = seen.up.bind(seen);
  seen.up = (hub, epoch) => {
    up(hub, epoch);
    back[n] ||= performance.now();
  };
}
const cpuBefore = process.cpuUsage();
await Promise.all(cluster.servers.map((server) => server.restart()));
const beganMs = performance.now();
await until('every link again', () =>
  links.every(({ link, seen }, n) => link.up && seen.ups.length > (upsBefore[n] ?? 0)),
);
await until('every box again', realUp);
const realMs = performance.now() - beganMs;
const times = back.map((atMs) => (atMs - beganMs) / 1000).sort((a, b) => a - b);
const quantile = (q: number) => (times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0).toFixed(1);
const hubCpu = cluster.servers.map(({ pid }) => cpuS(pid));
const { user, system } = process.cpuUsage(cpuBefore);
console.log(
  `links back: half after ${quantile(0.5)} s, 95 in 100 after ${quantile(0.95)} s, the last after ${quantile(1)} s`,
);
console.log(`real boxes: all back after ${(realMs / 1000).toFixed(1)} s at most`);
console.log(
  `CPU until then: hubs ${hubCpu.map((s) => s.toFixed(1)).join(' + ')} s since their start, links ${((user + system) / 1e6).toFixed(1)} s`,
);
console.log(`memory of the hubs: ${cluster.servers.map(({ pid }) => `${residentMiB(pid).toFixed(0)} MiB`).join(', ')}`);

const wanted = real * MESSAGES * 2;
const got = new Map<string, number[]>();
await until('every message', async () => {
  got.clear();
  let count = 0;
  await readStream(cluster.client, STREAM, ({ subject, payload }) => {
    count++;
    got.set(subject, [...(got.get(subject) ?? []), Number(Buffer.from(payload).toString())]);
  });
  return count >= wanted;
});
console.log(`everything sent after ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
const expected = JSON.stringify(Array.from({ length: MESSAGES * 2 }, (_, i) => i));
const wrong = boxes.map((_, n) => nameOf('box', n)).filter((name) => JSON.stringify(got.get(`${name}.n`)) !== expected);
for (const name of wrong) console.log(`${name}: ${JSON.stringify(got.get(`${name}.n`))}`);
console.log(wrong.length === 0 ? `${wanted} messages, each once and in order` : `${wrong.length} boxes are not whole`);
process.exitCode = wrong.length === 0 ? 0 : 1;
