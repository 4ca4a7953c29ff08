import { waitFor } from '../support/wait-for.ts';
import { DUPLICATE_WINDOW_MS, type Rig } from './rig.ts';

/** Of the kills, this share hits a box that is still opening its journal. */
const KILLED_AT_START = 0.2;
/** A box needs some 300 ms until it is ready. */
const START_MS = 300;
const FLOOD_TIMEOUT_MS = 60_000;

/** Phase A: the box is killed at random moments of a flood; its senders send again what was not acknowledged. */
export async function killBox(rig: Rig): Promise<void> {
  const { messages, kills } = rig.options;
  const load = rig.startLoad('a', { messages });
  let atStart = 0;
  // Not up to the last message: a kill after it would prove nothing.
  for (const acked of rig.random.moments(kills, 0, messages * 0.95)) {
    await waitFor(`${Math.ceil(acked)} PUBACKs`, () => load.progress.acked >= acked, {
      timeoutMs: FLOOD_TIMEOUT_MS,
      intervalMs: 2,
    });
    await rig.pause(0, 20);
    await rig.box.kill9();
    if (rig.random.chance(KILLED_AT_START)) {
      atStart++;
      const starting = rig.box.start().catch(() => undefined);
      await rig.pause(0, START_MS);
      await rig.box.kill9();
      await starting;
    }
    await rig.box.start();
  }
  const result = await load.result;
  if (!result.complete) throw new Error(`${result.acked} of ${messages} publishes have a PUBACK, and no more come`);
  rig.loads.push(result);
  rig.say(`A  the box killed ${kills} times in ${result.sent} publishes, and ${atStart} times more while it started`);
}

/** When the box is killed beside the hub; in turn. */
const BOX_DIES = ['while the hub is away', 'with the hub', 'while it catches up'] as const;

/** Phase B: the hub is killed and stays away for longer than it remembers ids, and the box is killed beside it. */
export async function breakHub(rig: Rig): Promise<void> {
  const { outages } = rig.options;
  await rig.whilePublishing('b', async () => {
    for (let outage = 0; outage < outages; outage++) {
      const boxDies = BOX_DIES[outage % BOX_DIES.length];
      await rig.settle();
      // Stored there, and the box does not hear of it: the hub that comes back must be asked.
      rig.link.swallow('down');
      await rig.pause(50, 150);
      await Promise.all([rig.hub.kill(), boxDies === 'with the hub' ? rig.restartBox() : undefined]);
      await rig.pause(2 * DUPLICATE_WINDOW_MS, 5 * DUPLICATE_WINDOW_MS);
      if (boxDies === 'while the hub is away') await rig.restartBox();
      await rig.mendLink();
      await rig.hub.restart();
      await rig.untilFlowing();
      if (boxDies === 'while it catches up') {
        await rig.restartBox();
        await rig.untilFlowing();
      }
    }
  });
  rig.say(`B  the hub and the box killed ${outages} times, the hub away for longer than its duplicate window`);
}

type Cut = (rig: Rig) => Promise<void>;

/** Some PubAcks, or the one of a batch; a few PINGs and PONGs are less. */
const lostBytesMin = ({ options }: Rig) => (options.procedure === 'atomic' ? 100 : 500);

/** How a link ends. */
const CUTS: Record<string, Cut> = {
  /** The hub has stored it, the PubAcks are lost. */
  'PubAcks lost': async (rig) => {
    for (let isLost = false; !isLost; ) {
      await rig.untilFlowing();
      const { connections, lost } = rig.link;
      const enough = lost.down + lostBytesMin(rig);
      rig.link.swallow('down');
      // On a busy machine the link may fall by itself at that very moment: then nothing was under way, and it is mended.
      const isOver = () => lost.down >= enough || rig.link.connections > connections;
      await waitFor('PubAcks to be lost', isOver, { timeoutMs: 60_000 });
      isLost = lost.down >= enough;
      if (!isLost) await rig.mendLink();
    }
    // Past the window, so that it is not the hub that forgives a box which sends them again.
    await rig.pause(2 * DUPLICATE_WINDOW_MS, 3 * DUPLICATE_WINDOW_MS);
    rig.link.cut();
  },
  cut: async (rig) => {
    await rig.pause(0, 100);
    rig.link.cut();
  },
  /** Both ends see an open socket. What waits on the way comes through late, from a connection given up long ago. */
  'half-open': async (rig) => {
    const { connections } = rig.link;
    rig.link.blackhole();
    await waitFor('the box to give the link up', () => rig.link.connections > connections, { timeoutMs: 60_000 });
  },
  /** The hub never had it, and the PubAcks of what came before are lost too. */
  'records lost': async (rig) => {
    rig.link.swallow('up', 'down');
    await rig.pause(50, 150);
    rig.link.cut();
  },
  /** The hub stands still, then goes on with all that has piled up: the box may have given it up meanwhile. */
  'silent hub': async (rig) => {
    rig.hub.pause();
    await rig.pause(100, 3_000);
    rig.hub.resume();
    await rig.pause(0, 50);
    rig.link.cut();
  },
};

/** Phase C: the link is cut in every way a link can end. */
export async function cutLink(rig: Rig): Promise<void> {
  const kinds = Object.entries(CUTS);
  const done = new Map<string, number>();
  await rig.whilePublishing('c', async () => {
    for (let cut = 0; cut < rig.options.cuts; cut++) {
      const [name, apply] = kinds[cut % kinds.length] as [string, Cut];
      await rig.settle();
      await apply(rig);
      await rig.mendLink();
      await rig.untilFlowing();
      done.set(name, (done.get(name) ?? 0) + 1);
    }
  });
  const list = [...done].map(([name, count]) => `${count} ${name}`).join(', ');
  rig.say(`C  the link cut ${rig.options.cuts} times: ${list}`);
}
