import assert from 'node:assert/strict';
import type { NatsConnection } from '@nats-io/transport-node';
import { WATERMARK } from '../../src/upstream/watermark.ts';
import { readStream } from './hub-stream.ts';

export interface SentNumber {
  /** What the payload says. */
  n: number;
  /** Record identity without the sequence, and the sequence. */
  lane: string;
  sequence: number;
  subject: string;
}

/** What an uplink's records look like in a stream; watermarks are none. */
export async function readNumbers(connection: NatsConnection, stream: string): Promise<SentNumber[]> {
  const found: SentNumber[] = [];
  await readStream(connection, stream, ({ payload, id, subject, header }) => {
    if (header(WATERMARK).length > 0) return;
    const dot = id.lastIndexOf('.');
    const n = Number(Buffer.from(payload).toString());
    found.push({ n, lane: id.slice(0, dot), sequence: Number(id.slice(dot + 1)), subject });
  });
  return found;
}

/** Exactly the numbers from 1 to `count`, once and in order. */
export function assertExactly(found: readonly SentNumber[], count: number): void {
  const odd = found.find(({ n }, i) => n !== i + 1);
  assert.equal(odd, undefined, `at ${odd && found.indexOf(odd)}: ${JSON.stringify(odd)}`);
  assert.equal(found.length, count);
}
