import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { createStream } from './hub-stream.ts';
import { NatsServer } from './nats-server.ts';
import { freePort } from './ports.ts';
import { atEnd, type Scope } from './scope.ts';
import { tempDir } from './temp.ts';
import { waitFor } from './wait-for.ts';

/** Electing a first leader takes some seconds. */
const READY_TIMEOUT_MS = 120_000;

/** Servers of one JetStream cluster on loopback, each to be killed and started again by itself. */
export class NatsCluster {
  readonly servers: readonly NatsServer[];
  /** A client that goes on with whichever server is left. */
  readonly client: NatsConnection;

  constructor(servers: readonly NatsServer[], client: NatsConnection) {
    this.servers = servers;
    this.client = client;
  }

  get leafUrls(): string[] {
    return this.servers.map(({ leafUrl }) => leafUrl);
  }

  /** As `createStream`, once the cluster has heard of enough of its servers. */
  async createStream(name: string, subjects: string[], config: Partial<StreamConfig>): Promise<void> {
    const create = () => createStream(this.client, name, subjects, config).then(() => true);
    await waitFor(`stream ${name} to be made`, create, { timeoutMs: READY_TIMEOUT_MS, intervalMs: 200 });
  }

  /** Name of the server that leads the stream; '' while there is none. */
  async leaderOf(stream: string): Promise<string> {
    const manager = await jetstreamManager(this.client, { checkAPI: false, timeout: 1_000 });
    return (await manager.streams.info(stream)).cluster?.leader ?? '';
  }

  /** The stream has a leader, and as many replicas as it should that follow it. */
  async untilWell(stream: string): Promise<void> {
    const isWell = async () => {
      const manager = await jetstreamManager(this.client, { checkAPI: false, timeout: 1_000 });
      const { cluster } = await manager.streams.info(stream);
      const replicas = cluster?.replicas ?? [];
      const followers = replicas.filter(({ current, offline }) => current && !offline);
      if (cluster?.leader && followers.length === this.servers.length - 1) return true;
      throw new Error(`leader ${cluster?.leader}, replicas ${JSON.stringify(replicas)}`);
    };
    await waitFor(`${stream} to be well`, isWell, { timeoutMs: READY_TIMEOUT_MS, intervalMs: 100 });
  }
}

/** A running cluster that is killed when the scope ends. */
export async function startNatsCluster(
  scope: Scope,
  options: {
    binary?: string;
    size?: number;
    dir?: string;
    /** Body of the accounts block, and the user of it that the test's own client is. */
    accounts?: string;
    login?: { user: string; pass: string };
  } = {},
): Promise<NatsCluster> {
  const { size = 3, dir, login, ...given } = options;
  const routes = await Promise.all(Array.from({ length: size }, () => freePort()));
  const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  const servers = routes.map((port, index) => {
    const extra = `cluster { name: "cloud", listen: "127.0.0.1:${port}", routes: [${urls}] }`;
    const name = `hub${index + 1}`;
    return new NatsServer({ ...given, name, jetstream: true, leafnodes: true, extra }, tempDir(scope, name, dir));
  });
  for (const server of servers) atEnd(scope, () => server.kill());
  await Promise.all(servers.map((server) => server.start()));
  const client = await connect({
    ...login,
    servers: servers.map(({ clientUrl }) => clientUrl),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    // A server is killed often here: nobody should wait long for an answer of a dead one.
    pingInterval: 1_000,
  });
  atEnd(scope, () => client.close());
  const hasLeader = async () => (await jetstreamManager(client, { timeout: 1_000 })).getAccountInfo();
  await waitFor('the cluster to have a leader', hasLeader, { timeoutMs: READY_TIMEOUT_MS, intervalMs: 100 });
  return new NatsCluster(servers, client);
}
