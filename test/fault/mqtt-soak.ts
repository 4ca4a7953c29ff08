/**
 * `npm run soak:mqtt`: many devices that connect, publish at every QoS to each other, crash and come back, for a long time.
 *
 *   --minutes N   30
 *   --clients N   500, half of MQTT 3.1.1 and half of 5.0, each with a session that outlives its connections
 *   --rate N      messages a second of all (500), a third at each QoS
 *   --crash N     seconds between two crashes of one device, on average (20)
 *
 * Each device publishes numbered messages to the next one; a program at the NATS port hears them all. What was acknowledged
 * must arrive at both, and what was sent at QoS 2 must arrive once. A lane takes all of it up to a hub meanwhile. The
 * resident memory of the box is sampled, and its slope is that of the last three quarters.
 *
 * Exit 0: nothing lost, nothing twice, and the memory flat where the run was long enough to tell. 1: not so.
 */
import { parseArgs } from 'node:util';
import { connect } from '@nats-io/transport-node';
import { readUsage } from '../bench/process-meter.ts';
import { startBox } from '../support/box.ts';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { atEnd, Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';
import { Fleet } from './soak-fleet.ts';
import { slopeOf } from './soak-slope.ts';

const SAMPLE_MS = 2_000;
const SETTLE_MS = 60_000;
/** Shorter runs see the heap find its size, and say nothing of a leak. */
const SLOPE_MINUTES_MIN = 10;
/** 30 minutes of this are 4 MiB; a leak of one object for each message is ten times that. */
const SLOPE_KIB_PER_MINUTE_MAX = 128;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    clients: { type: 'string', default: '500' },
    rate: { type: 'string', default: '500' },
    crash: { type: 'string', default: '20' },
  },
});

function numberOf(key: keyof typeof values): number {
  const number = Number(values[key]);
  if (Number.isFinite(number) && number > 0) return number;
  throw new Error(`--${key} ${values[key]}: expected a number above 0`);
}

async function main(): Promise<number> {
  await using life = new Lifetime();
  const minutes = numberOf('minutes');
  const hub = await startNatsServer(life, { jetstream: true, leafnodes: true, dir: tempDir(life, 'hub') });
  const reader = await connectHub(life, hub.clientUrl);
  await createStream(reader, 'SOAK', ['soak.>'], { max_msgs: 10_000 });
  const lanes = [{ name: 'soak', subjects: ['soak.>'], stream: { name: 'SOAK' } }];
  const box = await startBox(life, { config: { lanes, upstream: { urls: [hub.leafUrl] } } });
  const program = await connect({ servers: box.natsUrl });
  atEnd(life, () => program.close());
  const fleet = new Fleet({
    url: box.mqttUrl,
    clients: numberOf('clients'),
    messagesPerS: numberOf('rate'),
    crashEveryS: numberOf('crash'),
  });
  program.subscribe('soak.>', { callback: (_, { data }) => fleet.heard(Buffer.from(data).toString()) });
  await program.flush();
  atEnd(life, () => fleet.end());
  await fleet.start();
  console.log(`soak: ${fleet.size} devices connected; ${minutes} minutes`);

  const samples: [minute: number, kib: number][] = [];
  const startedAt = performance.now();
  const minute = (): number => (performance.now() - startedAt) / 60_000;
  const sample = (): void => void samples.push([minute(), readUsage(box.pid).residentMiB * 1024]);
  sample();
  const sampling = setInterval(sample, SAMPLE_MS);
  const talking = setInterval(() => {
    const memory = `${((samples.at(-1)?.[1] ?? 0) / 1024).toFixed(1)} MiB`;
    console.log(`soak: minute ${minute().toFixed(0)}: ${fleet.line()}, ${memory}`);
  }, 60_000);
  fleet.publish();
  await waitFor('the end of the time', () => minute() >= minutes || !box.running, {
    timeoutMs: (minutes + 1) * 60_000,
    intervalMs: 200,
  });
  clearInterval(sampling);
  clearInterval(talking);
  await fleet.settle(SETTLE_MS);

  const slope = slopeOf(samples.filter(([at]) => at >= minutes / 4));
  const [first = 0, last = 0] = [samples[0]?.[1], samples.at(-1)?.[1]];
  const { counters } = (await box.status()).mqtt;
  const drops = Object.entries(counters as Record<string, number>).filter(
    ([name, count]) =>
      count > 0 && /dropped|refused|full|expired|notkept|toolarge|stalled|malformed|errors/i.test(name),
  );
  const report = fleet.report();
  console.log(`soak: ${fleet.line()}`);
  for (const [what, figure] of Object.entries(report)) console.log(`  ${what}: ${figure}`);
  console.log(`  counters of loss: ${drops.map(([name, count]) => `${name} ${count}`).join(', ') || 'none'}`);
  console.log(`  memory: ${(first / 1024).toFixed(1)} MiB at the start, ${(last / 1024).toFixed(1)} at the end`);
  console.log(`  memory slope of the last three quarters: ${slope.toFixed(1)} KiB/min`);
  const isLeaking = minutes >= SLOPE_MINUTES_MIN && slope > SLOPE_KIB_PER_MINUTE_MAX;
  const isBroken = report['acknowledged and lost'] + report['QoS 2 twice'] > 0;
  if (isLeaking) console.log(`  the memory grows by more than ${SLOPE_KIB_PER_MINUTE_MAX} KiB/min`);
  return isLeaking || isBroken || !box.running ? 1 : 0;
}

process.exitCode = await main();
