import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { watermarkFilter } from '../../src/upstream/watermark.ts';
import { createStream } from './hub-stream.ts';
import { allNatsServers, type Program } from './newer-nats-server.ts';

/** `read-back`: a stream that others may write to. `own`: it is this box's alone. `atomic`: it takes atomic batches. */
export const procedures = ['read-back', 'own', 'atomic'] as const;
export type Procedure = (typeof procedures)[number];

/** As the box's status calls it. */
export const statusNames = { 'read-back': 'read-back', own: 'own-stream', atomic: 'atomic-batch' } as const;

/** Atomic batches came with it. */
const ATOMIC_MINOR_MIN = 12;

const cache = join(import.meta.dirname, '../../.cache');
let servers: Program[] | null = null;

/** The nats-servers that are there, lowest version first. */
export function natsServers(): Program[] {
  mkdirSync(cache, { recursive: true });
  servers ??= allNatsServers(cache).found;
  return servers;
}

/** Those on which a procedure works. */
export function serversFor(procedure: Procedure): Program[] {
  return natsServers().filter(({ version }) => procedure !== 'atomic' || minorOf(version) >= ATOMIC_MINOR_MIN);
}

/** The program to take where one is enough: the newest for atomic batches, else the one on PATH. */
export function binaryFor(procedure: Procedure): { binary?: string } {
  if (procedure !== 'atomic') return {};
  const newest = serversFor(procedure).at(-1);
  if (!newest) throw new Error('atomic batches need a nats-server 2.12 or newer: see what the setup of the tests says');
  return { binary: newest.path };
}

/** A lane `t.>` whose stream is called T. */
export function laneFor(procedure: Procedure): { subjects: string[]; stream?: { name: string; own: boolean } } {
  return { subjects: ['t.>'], ...(procedure === 'own' && { stream: { name: 'T', own: true } }) };
}

/** Creates a stream that is what the procedure wants. */
export async function createStreamFor(
  procedure: Procedure,
  connection: NatsConnection,
  name: string,
  subjects: string[],
  more: Partial<StreamConfig> = {},
): Promise<void> {
  const { subjects: all, config } = streamFor(procedure, name, subjects);
  await createStream(connection, name, all, { ...config, ...more });
}

function minorOf(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 ? Infinity : minor;
}

/**
 * What a stream must be for a procedure: its subjects and the rest of its configuration. `place` is the prefix under which
 * the box is mounted, with its dot.
 */
export function streamFor(
  procedure: Procedure,
  stream: string,
  subjects: string[],
  place = '',
): { subjects: string[]; config: Partial<StreamConfig> } {
  if (procedure !== 'atomic') return { subjects, config: {} };
  const config = { allow_atomic: true, allow_rollup_hdrs: true, allow_msg_ttl: true };
  return { subjects: [...subjects, place + watermarkFilter(stream)], config };
}
