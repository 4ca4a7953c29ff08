import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TestEdge } from '../support/mqtt-edge.ts';
import { type Field, PINGREQ, subscribePacket, type Version } from '../support/mqtt-packets.ts';
import type { Wire } from '../support/mqtt-wire.ts';

/** Numbers of normative statements: '3.1.2-24' is [MQTT-3.1.2-24] of MQTT 3.1.1 under 4, of MQTT 5.0 under 5. */
export interface Statements {
  readonly 4?: readonly string[];
  readonly 5?: readonly string[];
}

const versionNames = { 4: '3.1.1', 5: '5.0' } as const;

/**
 * Registers a test for each version that it has statements of; statements.md names the test by `name`. The statements are
 * written where the test is, so that the two cannot drift apart (unit/mqtt-conformance-table.test.ts compares them).
 */
export function conform(
  name: string,
  statements: Statements,
  run: (t: TestContext, version: Version) => Promise<void>,
): void {
  for (const version of [4, 5] as const) {
    const numbers = statements[version] ?? [];
    if (numbers.length === 0) continue;
    const shown = numbers.map((number) => `[MQTT-${number}]`).join(' ');
    test(`${versionNames[version]}: ${name} ${shown}`, (t) => run(t, version));
  }
}

/** The server ends this connection: 5.0 hears one of the reason codes first, 3.1.1 hears nothing. */
export async function ends(wire: Wire, version: Version, reasonCodes: number | readonly number[]): Promise<void> {
  if (version === 5) await wire.expectDisconnect(reasonCodes);
  else await wire.expectClosed();
}

/** A connected client that sends this loses its connection for one of the reason codes. */
export async function expectEnds(
  edge: TestEdge,
  version: Version,
  reasonCodes: number | readonly number[],
  packets: Readonly<Record<string, Buffer>>,
): Promise<void> {
  for (const [what, bytes] of Object.entries(packets)) {
    const wire = await edge.connect(version, what);
    wire.send(bytes);
    await ends(wire, version, reasonCodes);
  }
  await edge.expectServing();
}

/** A CONNECT that is not accepted: 5.0 reads one of the reason codes, 3.1.1 the return code, or 0 for nothing at all. */
export async function expectRefused(
  edge: TestEdge,
  version: Version,
  code: { readonly 4?: number; readonly 5?: number | readonly number[] },
  packets: Readonly<Record<string, Buffer>>,
): Promise<void> {
  for (const [what, bytes] of Object.entries(packets)) {
    const wire = await edge.open(what);
    wire.send(bytes);
    if (version === 5) {
      const { reasonCode, sessionPresent } = await wire.connAck();
      const wanted = [code[5] ?? []].flat();
      assert.ok(wanted.includes(reasonCode), `${what}: reason code 0x${reasonCode.toString(16)}`);
      assert.equal(sessionPresent, false);
    } else if ((code[4] ?? 0) !== 0) await wire.expect(Buffer.of(0x20, 2, 0, code[4] ?? 0));
    await wire.expectClosed();
  }
  await edge.expectServing();
}

/** Subscribes and takes the SUBACK; resolves with its codes. */
export async function subscribe(
  wire: Wire,
  version: Version,
  filters: readonly (readonly [filter: Field, options: number])[],
  ...fields: Field[]
): Promise<number[]> {
  wire.send(subscribePacket(version, 9, filters, ...fields));
  const suback = await wire.next('SUBACK');
  assert.equal(suback[0], 0x90, `${wire.name}: no SUBACK: ${suback.toString('hex')}`);
  return [...suback.subarray(version === 5 ? 5 : 4)];
}

/** What the server still has to say, until it has answered two pings: the first may overtake what is written with it. */
export async function untilQuiet(wire: Wire): Promise<Buffer[]> {
  const seen: Buffer[] = [];
  for (let pings = 0; pings < 2; pings++) {
    wire.send(PINGREQ);
    for (let next = await wire.next('PINGRESP'); next[0] !== 0xd0; next = await wire.next('PINGRESP')) seen.push(next);
  }
  return seen;
}
