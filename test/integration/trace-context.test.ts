import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, headers } from '@nats-io/transport-node';
import { connectAsync } from 'mqtt';
import { startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { startNatsServer } from '../support/nats-server.ts';

/** W3C Trace Context, as OpenTelemetry writes it. */
const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const STATE = 'vendor=t61rcWkgMzE,other=00f067aa0ba902b7';

test('the trace context of a message reaches the stream untouched, from NATS headers and from MQTT 5 properties', async (t) => {
  const hub = await startNatsServer(t, { jetstream: true, leafnodes: true });
  const reader = await connectHub(t, hub.clientUrl);
  await createStream(reader, 'T', ['t.>']);
  const box = await startBox(t, { config: { upstream: { urls: [hub.leafUrl] } } });
  const program = await connect({ servers: box.natsUrl });
  t.after(() => program.close());
  const traced = headers();
  traced.set('traceparent', PARENT);
  traced.set('tracestate', STATE);
  program.publish('t.nats', 'x', { headers: traced });
  await program.flush();
  const sensor = await connectAsync(box.mqttUrl, { clientId: 'oven', protocolVersion: 5 });
  t.after(() => sensor.endAsync(true));
  const userProperties = { traceparent: PARENT, tracestate: STATE };
  await sensor.publishAsync('t/mqtt', 'x', { qos: 1, properties: { userProperties } });
  await waitForStream(reader, 'T', 2);
  const seen: string[] = [];
  await readStream(reader, 'T', ({ subject, header }) => {
    seen.push(subject);
    assert.deepEqual([header('traceparent'), header('tracestate')], [[PARENT], [STATE]], subject);
  });
  assert.deepEqual(seen.sort(), ['t.mqtt', 't.nats']);
});
