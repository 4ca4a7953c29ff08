import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startBox } from '../support/box.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import type { NatsBroker } from './nats-phases.ts';
import { readUsage } from './process-meter.ts';
import type { Sheet } from './sheet.ts';

export interface LeafRun {
  /** The box's column; null: without it. */
  readonly box: string | null;
  /** Null: without a peer. `path` undefined: the installed one, which is the hub as well. */
  readonly peer: { readonly version: string; readonly path: string | undefined } | null;
  /** The hub's program; undefined: the installed one. */
  readonly hub: string | undefined;
  readonly scale: number;
  attempt(what: string, work: () => Promise<void>): Promise<void>;
}

type StartLeaf = (scope: Scope, hub: NatsServer) => Promise<NatsBroker>;

/** All is live: the one lane takes nothing that is sent here. */
const startBoxLeaf: StartLeaf = async (scope, hub) => {
  const config = { lanes: [{ name: 'kept', subjects: ['kept.>'] }], upstream: { urls: [hub.leafUrl] } };
  const box = await startBox(scope, { config });
  return { port: box.natsPort, pid: box.pid };
};

function startServerLeaf(binary: string | undefined): StartLeaf {
  return async (scope, hub) => {
    const extra = `leafnodes { remotes: [{ url: "${hub.leafUrl}" }] }`;
    const leaf = await startNatsServer(scope, { name: 'leaf', extra, ...(binary === undefined ? {} : { binary }) });
    return { port: leaf.clientPort, pid: leaf.pid };
  };
}

/** Live messages over the leaf link, each way: a client at the leaf and one at the hub. Beside it a nats-server as leaf. */
export async function leafRows(sheet: Sheet, { box, peer, hub: binary, scale, attempt }: LeafRun): Promise<void> {
  const leaves: [name: string, start: StartLeaf][] = [];
  if (box !== null) leaves.push([box, startBoxLeaf]);
  if (peer !== null) leaves.push([`nats-server ${peer.version}`, startServerLeaf(peer.path)]);
  const messages = 1_000_000 * scale;
  const section = 'leaf: live messages over the link, 128 bytes, nothing kept';
  for (const [name, start] of leaves) {
    await attempt(`leaf ${name}`, async () => {
      await using life = new Lifetime();
      const hub = await startNatsServer(life, { leafnodes: true, ...(binary === undefined ? {} : { binary }) });
      const leaf = await start(life, hub);
      const linked = async () => (await hub.monitor<{ leafnodes: number }>('/leafz')).leafnodes === 1;
      await waitFor('the link', linked, { timeoutMs: 30_000 });
      for (const [way, from, to] of [
        ['up', leaf.port, hub.clientPort],
        ['down', hub.clientPort, leaf.port],
      ] as const) {
        const before = readUsage(leaf.pid).cpuS;
        const seconds = await flow(from, to, messages);
        const cpuS = readUsage(leaf.pid).cpuS - before;
        sheet.set(section, `${way}, messages/s`, name, messages / seconds, { atLeast: 150_000 });
        sheet.set(section, `${way}, CPU s of the leaf per 100,000`, name, (cpuS * 100_000) / messages, { digits: 2 });
      }
    });
  }
}

/** Seconds that `messages` take from one port to the other. */
async function flow(from: number, to: number, messages: number): Promise<number> {
  const file = join(import.meta.dirname, 'leaf-load-process.ts');
  const child = spawn(process.execPath, [file, String(from), String(to), String(messages)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = text(child.stdout);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the load ended with ${code}`);
  return (JSON.parse(await said) as { seconds: number }).seconds;
}
