import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/core/errors.ts';
import { ClientFault } from '../../src/nats/client-fault.ts';
import { type ClientOperations, ClientParser } from '../../src/nats/client-parser.ts';
import { type LeafOperations, LeafParser } from '../../src/nats/parser.ts';
import { natsFuzz, natsReport } from '../support/nats-fuzzer.ts';
import { NatsCases, type Role } from '../support/nats-mutations.ts';

/*
 * Goal: nothing that a client says to the NATS port, and nothing that a hub says on the leaf link, brings the box down,
 * fills its memory, or keeps it from others; and each hears an error as a server words it.
 * Method: a fixed seed chooses conversations with sizes that lie, header blocks that are none, subjects that are not
 * legal, floods of subscriptions and lines of a megabyte. A failure names the case, and
 * `npm run fuzz:nats -- --role ROLE --case N` sends it again.
 */

const SEED = 1;
const PAYLOAD_BYTES_MAX = 64 * 1024;

/** Writes down whatever is called, with what. */
function recorder<T extends object>(seen: string[]): T {
  const text = (value: unknown): string => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value));
  const get =
    (_: object, name: string) =>
    (...args: unknown[]) =>
      void seen.push(`${name} ${args.map(text).join('|')}`);
  return new Proxy({}, { get }) as T;
}

function parse(role: Role, chunks: Iterable<Buffer>): string[] {
  const seen: string[] = [];
  const parser =
    role === 'client'
      ? new ClientParser(recorder<ClientOperations>(seen), PAYLOAD_BYTES_MAX, 4_096)
      : new LeafParser(recorder<LeafOperations>(seen), PAYLOAD_BYTES_MAX);
  try {
    for (const chunk of chunks) parser.push(chunk);
  } catch (error) {
    if (!(error instanceof ClientFault || error instanceof GatewayError)) throw error;
    seen.push(`ends: ${error.name}`);
  }
  return seen;
}

function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

for (const role of ['client', 'hub'] as const) {
  test(`what a hostile ${role} says is read alike in one piece, in pieces, and byte by byte`, () => {
    const cases = new NatsCases(role, SEED);
    let ended = 0;
    for (let number = 0; number < 1_500; number++) {
      const { bytes } = cases.get(number);
      const whole = parse(role, [bytes]);
      const lengths = bytes.length < 5_000 ? [1, 7, 100] : [61, 4_096];
      for (const length of lengths) {
        assert.deepEqual(parse(role, cut(bytes, length)), whole, `case ${number} in pieces of ${length}`);
      }
      if (whole.at(-1)?.startsWith('ends')) ended++;
    }
    assert.ok(ended > 300 && ended < 1_400, `${ended} end in an error`);
  });

  const count = role === 'client' ? 2_000 : 500;
  test(`${count} conversations of a hostile ${role}: no crash, no growth, errors in a server's words`, async (t) => {
    const result = await natsFuzz(t, { role, cases: count, seed: SEED });
    for (const line of natsReport(result)) t.diagnostic(line);
    assert.deepEqual(result.failures, []);
    assert.equal(result.cases, count);
    const expected =
      role === 'client'
        ? [
            'Unknown Protocol Operation',
            'Maximum Payload Violation',
            'maximum control line exceeded',
            'Invalid Subject',
          ]
        : ['protocol_violation', 'connection_closed', 'hub_error'];
    for (const error of expected) assert.ok(result.errors.has(error), error);
  });
}
