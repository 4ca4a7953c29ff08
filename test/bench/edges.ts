import type { NatsConnection } from '@nats-io/transport-node';
import { connectHub, createStream } from '../support/hub-stream.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { startNatsServer } from '../support/nats-server.ts';
import type { NewerMosquitto } from '../support/newer-mosquitto.ts';
import type { Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import { STREAM, startPlant, waitForLink } from './box-contender.ts';

const LINK_TIMEOUT_MS = 60_000;
const EDGE_STREAM = 'EDGE';
const DOMAIN = 'edge';

/** What stands between devices and the hub's stream: the box, or what people build without it. */
export interface Edge {
  readonly name: string;
  /** How a message gets from its PUBACK into the stream. */
  readonly way: string;
  /** Starts it with an empty store below `dir`, linked to a hub whose stream `BENCH` takes `bench.>`. */
  start(scope: Scope, dir: string): Promise<RunningEdge>;
}

export interface RunningEdge {
  readonly mqttPort: number;
  /** The edge alone, not the hub. */
  readonly pid: number;
  readonly reader: NatsConnection;
  /** Slowest hundredth of the latest commits, each with one fsync; absent where nobody says. */
  readonly fsyncP99Ms?: () => Promise<number>;
}

export function boxEdge(name: string, binary: string | undefined, saver: boolean): Edge {
  return {
    name,
    way: saver ? 'PubAck of the hub or fsync, by read-back' : 'fsync, then by read-back',
    async start(scope, dir) {
      const { box, hub, reader } = await startPlant(scope, dir, {
        procedure: 'read-back',
        hub: 'default sync',
        ...(saver && { journal: { flush: { saver: true } } }),
        ...(binary !== undefined && { binary }),
      });
      await waitForLink(hub);
      const fsyncP99Ms = async () => (await box.status()).store.fsyncP99Ms as number;
      return { mqttPort: box.mqttPort, pid: box.pid, reader, ...(!saver && { fsyncP99Ms }) };
    },
  };
}

/** A nats-server as leaf with JetStream and MQTT, whose stream the hub's stream sources. It does not fsync. */
export function leafEdge(binary: string): Edge {
  return {
    name: 'nats leaf',
    way: 'page cache, then sourced by the hub',
    async start(scope, dir) {
      const hub = await startNatsServer(scope, { binary, dir: `${dir}/hub`, jetstream: true, leafnodes: true });
      const leaf = await startNatsServer(scope, {
        binary,
        name: 'edge',
        dir: `${dir}/edge`,
        mqtt: true,
        jetstream: { domain: DOMAIN },
        extra: `leafnodes { remotes: [{ url: "${hub.leafUrl}" }] }`,
      });
      const linked = async () => (await hub.monitor<{ leafnodes: number }>('/leafz')).leafnodes === 1;
      await waitFor('the leaf link', linked, { timeoutMs: LINK_TIMEOUT_MS });
      const local = await connectHub(scope, leaf.clientUrl);
      await createStream(local, EDGE_STREAM, ['bench.>']);
      const reader = await connectHub(scope, hub.clientUrl);
      const external = { api: `$JS.${DOMAIN}.API`, deliver: '' };
      await createStream(reader, STREAM, [], { sources: [{ name: EDGE_STREAM, external }] });
      return { mqttPort: leaf.mqttPort, pid: leaf.pid, reader };
    },
  };
}

/** mosquitto with a QoS 1 bridge to the MQTT port of the hub; what waits is in memory, and with the plugin in SQLite as well. */
export function bridgeEdge(binary: string, newer: NewerMosquitto | null): Edge {
  return {
    name: newer === null ? 'mosquitto bridge' : 'bridge sqlite',
    way: `memory${newer === null ? '' : ' and SQLite'}, then a QoS 1 bridge to the MQTT port of the hub`,
    async start(scope, dir) {
      const hub = await startNatsServer(scope, { binary, dir: `${dir}/hub`, jetstream: true, mqtt: true });
      const reader = await connectHub(scope, hub.clientUrl);
      await createStream(reader, STREAM, ['bench.>']);
      const bridge = [
        'max_queued_messages 0',
        'max_inflight_messages 1000',
        'connection hub',
        // Newer servers take no dot in a client identifier, and the default one has the host name.
        'remote_clientid edge',
        `address 127.0.0.1:${hub.mqttPort}`,
        'topic bench/# out 1',
        'cleansession false',
        'bridge_protocol_version mqttv311',
        'try_private false',
        'notifications false',
        'restart_timeout 1',
      ];
      if (newer !== null) bridge.unshift(`global_plugin ${newer.sqlite}`);
      const broker = await startMosquitto(scope, {
        persistence: newer === null,
        persistenceDir: dir,
        extra: bridge.join('\n'),
        ...(newer !== null && { command: newer.command }),
      });
      const linked = async () => (await hub.monitor<{ connections: number }>('/varz')).connections >= 2;
      await waitFor('the bridge', linked, { timeoutMs: LINK_TIMEOUT_MS });
      return { mqttPort: broker.port, pid: broker.pid, reader };
    },
  };
}
