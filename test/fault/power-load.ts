import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import mqtt from 'mqtt';
import type { Box } from '../support/box.ts';
import type { RuledDisk } from '../support/ruled-disk.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

/** Publishes under way at once from each client: enough for several in a commit. */
const AHEAD = 12;
/** Payloads up to this length, so that a few thousand fill the write-ahead log and a checkpoint runs. */
const PADDING_MAX = 4_000;
const MQTT_CLIENTS = 3;
/** One in so many is retained too. */
const RETAINED_EVERY = 20;

/** A message that its publisher was told is safe, and how far the write log had got by then: not before it was. */
export interface Acked {
  text: string;
  logged: number;
}

export interface RetainedValue {
  topic: string;
  life: number;
  n: number;
  logged: number;
}

/** Stock MQTT and NATS clients that publish numbered messages until they are stopped or the box is gone. */
export class PowerLoad {
  readonly acked: Acked[] = [];
  readonly retained: RetainedValue[] = [];
  readonly #disk: RuledDisk;
  readonly #random: SeededRandom;
  readonly #life: number;
  readonly #ends: (() => Promise<unknown> | unknown)[] = [];
  #stopped = false;

  /** `life` goes into every payload, so that two runs never say the same. */
  constructor(life: number, disk: RuledDisk, random: SeededRandom) {
    this.#life = life;
    this.#disk = disk;
    this.#random = random;
  }

  async start(box: Box): Promise<void> {
    for (let c = 0; c < MQTT_CLIENTS; c++) {
      const client = await mqtt.connectAsync(box.mqttUrl, { clientId: `m${c}`, reconnectPeriod: 0 });
      client.on('error', () => undefined);
      this.#ends.push(() => client.end(true));
      const publish = async (text: string, n: number) => {
        const retain = n % RETAINED_EVERY === 0;
        const topic = `d/${c}${retain ? '/state' : ''}`;
        await client.publishAsync(topic, text, { qos: 1, retain });
        if (retain) this.retained.push({ topic, life: this.#life, n, logged: this.#disk.logged });
      };
      this.#flood(`m${c}`, publish);
    }
    const connection = await connect({ servers: box.natsUrl, reconnect: false });
    this.#ends.push(() => connection.close().catch(() => undefined));
    const js = jetstream(connection, { checkAPI: false });
    this.#flood('n0', async (text) => {
      await js.publish('d.n', text);
    });
  }

  /** In order, so that the store must hold each client's numbers in order. */
  #flood(client: string, publish: (text: string, n: number) => Promise<void>): void {
    let next = 0;
    const one = () => {
      if (this.#stopped) return;
      const n = next++;
      const text = `${this.#life}.${client}.${n} `.padEnd(Math.floor(this.#random.between(20, PADDING_MAX)), '.');
      publish(text, n).then(
        () => {
          this.acked.push({ text: nameOf(text), logged: this.#disk.logged });
          one();
        },
        // The box is gone: what was under way has no answer.
        () => undefined,
      );
    };
    for (let i = 0; i < AHEAD; i++) one();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const end of this.#ends.splice(0)) await end();
  }
}

/** `<life>.<client>.<number>` of a payload. */
export function nameOf(payload: string): string {
  return payload.slice(0, payload.indexOf(' '));
}
