import { join } from 'node:path';
import { startBox } from '../support/box.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { versionOf } from '../support/newer-nats-server.ts';
import { freePort } from '../support/ports.ts';
import type { Scope } from '../support/scope.ts';
import { startAedes } from './peers.ts';

/** One that takes MQTT clients, to be compared as a broker alone: nothing is journaled. */
export interface Broker {
  readonly name: string;
  start(scope: Scope, dir: string): Promise<RunningBroker>;
}

export interface RunningBroker {
  readonly port: number;
  pid(): number;
  /** Milliseconds from the start of its process until it is ready, on the data that it has. */
  restart(): Promise<number>;
}

/** Above what the phases need; the connect rate is what is measured. */
export const LIMITS = {
  connections_max: 20_000,
  connect_rate: 0,
  connect_rate_per_address: 0,
  sessions_max: 20_000,
  retained_max: 200_000,
  retained_bytes_max: '256MiB',
};

const petiole: Broker = {
  name: 'petiole',
  async start(scope, dir) {
    const port = await freePort();
    const config = {
      mqtt: { listeners: [{ listen: `127.0.0.1:${port}` }], ...LIMITS },
      lanes: [{ name: 'none', subjects: ['journaled.>'] }],
    };
    const box = await startBox(scope, { config, dataDir: join(dir, 'data') });
    return {
      port,
      pid: () => box.pid,
      async restart() {
        await box.stop();
        const startedAt = performance.now();
        await box.start();
        return performance.now() - startedAt;
      },
    };
  },
};

const mosquitto: Broker = {
  name: 'mosquitto',
  async start(scope, dir) {
    const options = { persistence: true, persistenceDir: dir, extra: 'max_queued_messages 0' };
    const broker = await startMosquitto(scope, options);
    return {
      port: broker.port,
      pid: () => broker.pid,
      restart: () => Promise.resolve(Number.NaN),
    };
  },
};

const aedes: Broker = {
  name: 'aedes',
  async start(scope) {
    const { port, pid } = await startAedes(scope);
    return { port, pid: () => pid, restart: () => Promise.resolve(Number.NaN) };
  },
};

/** The box, and the peers that are installed. */
export function brokers(withBox: boolean, withPeers: boolean): Broker[] {
  const peers = versionOf('mosquitto') === null ? [aedes] : [mosquitto, aedes];
  return [...(withBox ? [petiole] : []), ...(withPeers ? peers : [])];
}
