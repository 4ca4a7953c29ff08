// Prints the stream TELEMETRY: HUB_OPERATOR_PASSWORD=… node deploy/hub/read-stream.mjs [URL]
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

const hub = await connect({
  servers: process.argv[2] ?? 'nats://127.0.0.1:4222',
  user: 'operator',
  pass: process.env.HUB_OPERATOR_PASSWORD,
});
const { state } = await (await jetstreamManager(hub)).streams.info('TELEMETRY');
if (state.messages > 0) {
  const consumer = await jetstream(hub).consumers.get('TELEMETRY');
  for await (const { seq, subject, headers, data } of await consumer.consume()) {
    console.log(seq, headers?.get('Petiole-Id') ?? '-', subject, Buffer.from(data).toString());
    if (seq >= state.last_seq) break;
  }
}
console.log(`${state.messages} messages`);
await hub.close();
