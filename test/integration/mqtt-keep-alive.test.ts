import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEdge } from '../support/mqtt-edge.ts';
import { connectPacket, PINGREQ, PINGRESP, property } from '../support/mqtt-packets.ts';

/** One and a half keep alives, the sweep's step, and a busy machine. */
const CUT_WITHIN_MS = 6_000;

test('a client that is silent for one and a half keep alives is cut, and one that pings is not [MQTT-3.1.2-24]', async (t) => {
  const edge = await startEdge(t);
  const connectedAtMs = performance.now();
  const [three, five, pinging] = await Promise.all([
    edge.connect(4, 'three', { keepAlive: 1 }),
    edge.connect(5, 'five', { keepAlive: 1 }),
    edge.connect(5, 'pinging', { keepAlive: 1 }),
  ]);
  const pings = (async () => {
    while (!three.closed || !five.closed) {
      pinging.send(PINGREQ);
      await pinging.expect(PINGRESP);
      await sleep(300);
    }
  })();
  await Promise.all([three.expectClosed(CUT_WITHIN_MS), five.expectDisconnect(0x8d, CUT_WITHIN_MS)]);
  const tookMs = performance.now() - connectedAtMs;
  assert.ok(tookMs >= 1_490, `cut after ${Math.round(tookMs)} ms`);
  await pings;
  await pinging.expectQuiet();
});

test('keep alive 0 and one above the bound get the server’s [MQTT-3.2.2-21]', async (t) => {
  const edge = await startEdge(t, { keepAliveMaxS: 100 });
  for (const [asked, answered] of [
    [0, 100],
    [101, 100],
    [65_535, 100],
    [100, undefined],
    [1, undefined],
  ] as const) {
    const wire = await edge.open();
    wire.send(connectPacket({ version: 5, clientId: `k${asked}`, keepAlive: asked }));
    const { reasonCode, properties } = await wire.connAck();
    assert.equal(reasonCode, 0);
    assert.equal(properties.get(property.serverKeepAlive), answered, `asked for ${asked} s`);
  }
});

test('the server’s keep alive is enforced, also on who asked for none', async (t) => {
  const edge = await startEdge(t, { keepAliveMaxS: 1 });
  const wire = await edge.connect(5, 'endless', { keepAlive: 0 });
  await wire.expectDisconnect(0x8d, CUT_WITHIN_MS);
});
