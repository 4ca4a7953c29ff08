import { Lifetime, type Scope } from '../support/scope.ts';
import {
  bytesPerSubscription,
  fanOut,
  matching,
  type NatsBroker,
  requests,
  startBoxBroker,
  startServerBroker,
} from './nats-phases.ts';
import type { RowOptions, Sheet } from './sheet.ts';

export interface NatsRun {
  /** The box's column; null: without it. */
  readonly box: string | null;
  /** Null: without a peer. `path` undefined: the installed one. */
  readonly peer: { readonly version: string; readonly path: string | undefined } | null;
  /** 1: the full counts. */
  readonly scale: number;
  attempt(what: string, work: () => Promise<void>): Promise<void>;
}

/** The box as local broker of NATS clients, with nothing to keep; beside it a nats-server. */
export async function natsRows(sheet: Sheet, { box, peer, scale, attempt }: NatsRun): Promise<void> {
  const brokers: [name: string, start: (scope: Scope) => Promise<NatsBroker>][] = [];
  if (box !== null) brokers.push([box, startBoxBroker]);
  if (peer !== null) brokers.push([`nats-server ${peer.version}`, (scope) => startServerBroker(scope, peer.path)]);
  const [messages, fanned, asked, filters] = [1_000_000 * scale, 200_000 * scale, 20_000 * scale, 50_000 * scale];
  for (const [name, start] of brokers) {
    await attempt(`nats ${name}`, async () => {
      await using life = new Lifetime();
      const broker = await start(life);
      const section = 'nats: local clients, 128 bytes, nothing kept';
      const set = (label: string, value: number, row?: RowOptions) => sheet.set(section, label, name, value, row);
      const one = await fanOut(broker, messages, 1);
      set('1 to 1, messages/s', one.rate, { atLeast: 250_000 });
      set('1 to 1, CPU s per 100,000', one.cpuSPer100k, { digits: 2 });
      const ten = await fanOut(broker, fanned, 10);
      set('1 to 10, deliveries/s', ten.rate, { atLeast: 600_000 });
      set('1 to 10, CPU s per 100,000', ten.cpuSPer100k, { digits: 2 });
      const { p50, p99 } = await requests(broker, asked);
      set('request and answer, p50, us', p50, { digits: 1 });
      set('request and answer, p99, us', p99, { digits: 1 });
      set(`bytes for each of ${filters} subscriptions`, await bytesPerSubscription(broker, filters), { atMost: 1_024 });
      if (name === box) {
        const match = matching(filters);
        set('a match among them, p50, us', match.p50, { digits: 2 });
        set('a match among them, p99, us', match.p99, { digits: 2, atMost: 5 });
      } else if (box !== null) {
        const ratio = (sheet.get(section, 'request and answer, p50, us', box) ?? Number.NaN) / p50;
        sheet.set(section, 'ratio: request p50 of petiole / peer', box, ratio, { digits: 2, atMost: 3 });
      }
    });
  }
}
