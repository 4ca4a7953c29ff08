// Creates the stream TELEMETRY: HUB_OPERATOR_PASSWORD=… node deploy/hub/create-stream.mjs [URL] [replicas]
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, nanos } from '@nats-io/transport-node';

const [url = 'nats://127.0.0.1:4222', replicas = '1'] = process.argv.slice(2);
const hub = await connect({ servers: url, user: 'operator', pass: process.env.HUB_OPERATOR_PASSWORD });
const manager = await jetstreamManager(hub);
const { config } = await manager.streams.add({
  name: 'TELEMETRY',
  subjects: ['line3.>', 'petiole.*.ledger'],
  storage: 'file',
  // 3 in a cluster: an acknowledged message then outlives the loss of any one hub.
  num_replicas: Number(replicas),
  // A full stream refuses, and the box keeps the rest on its disk; 'old' would drop the oldest silently.
  discard: 'new',
  max_bytes: 1024 ** 3,
  // A second net only: exactly once does not depend on it, however long the outage.
  duplicate_window: nanos(120_000),
});
console.log(`${config.name} takes ${config.subjects.join(', ')} with ${config.num_replicas} replica(s)`);
await hub.close();
