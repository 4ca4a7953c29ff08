import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connectHub, createStream, streamState } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { Lifetime } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { STREAM } from './box-contender.ts';

/** The column of the link alone. */
export const RAW_LEAF = 'raw leaf link';

export interface RawLeafResult {
  /** Messages per second, from the first one to the last PubAck. */
  readonly rate: number;
  readonly cpuSPer100k: number;
}

/** The box's leaf link without its journal and its procedures, into the same kind of stream: what a drain could reach. */
export async function rawLeaf(dir: string, binary: string | undefined, messages: number): Promise<RawLeafResult> {
  await using life = new Lifetime();
  const hub = await startNatsServer(life, {
    dir: tempDir(life, 'raw', dir),
    jetstream: true,
    leafnodes: { user: 'box', password: 'bench' },
    ...(binary !== undefined && { binary }),
  });
  const reader = await connectHub(life, hub.clientUrl);
  await createStream(reader, STREAM, ['bench.>']);
  const args = [join(import.meta.dirname, 'raw-leaf-process.ts'), hub.leafUrl, String(messages)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = text(child.stdout);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`the raw link ended with ${code}`);
  const { seconds, cpuS } = JSON.parse(await said) as { seconds: number; cpuS: number };
  const held = (await streamState(reader, STREAM)).messages;
  if (held !== messages) throw new Error(`the stream has ${held} of ${messages} messages of the raw link`);
  return { rate: messages / seconds, cpuSPer100k: (cpuS * 100_000) / messages };
}
