/**
 * Goal: records of an earlier connection that the hub stores while the box is looking at its stream are neither stored
 * twice nor overtaken. Method: a link so long that the hub's answer to STREAM.INFO and the box's next question are far
 * apart; in between the test stores the next records of the lane itself, as the hub does with what it had still queued.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { WATERMARK, watermarkSubject } from '../../src/upstream/watermark.ts';
import { readStream, streamState } from '../support/hub-stream.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { type Procedure, procedures } from '../support/procedures.ts';
import { ID_HEADER } from '../support/stream-audit.ts';
import { waitFor } from '../support/wait-for.ts';
import { LANE, STREAM, startRig } from './rig.ts';

const KNOWN = 100;
const LATE = 20;
const BEHIND = 500;
/** One way: the answer to STREAM.INFO and the next question are twice that apart. */
const LONG_LINK_MS = 150;

/** As the hub does with what an earlier connection of the box had sent. */
async function storeLate(hub: NatsConnection, procedure: Procedure, identity: string): Promise<void> {
  const publish = (subject: string, lines: Record<string, string | number>) => {
    const block = headers();
    for (const [key, value] of Object.entries(lines)) block.set(key, String(value));
    hub.publish(subject, 'late', { headers: block });
  };
  for (let place = 1; place <= LATE; place++) {
    const id = `${identity}.${KNOWN + place}`;
    const more = {
      'read-back': { 'Nats-Msg-Id': id },
      own: {},
      atomic: { 'Nats-Batch-Id': 'late', 'Nats-Batch-Sequence': place },
    };
    publish(`${LANE}.late`, { [ID_HEADER]: id, ...more[procedure] });
  }
  if (procedure === 'atomic') {
    const [gateway = ''] = identity.split('.');
    const subject = watermarkSubject(gateway, STREAM, LANE);
    const manager = await jetstreamManager(hub);
    const before = await manager.streams.getMessage(STREAM, { last_by_subj: subject });
    publish(subject, {
      [WATERMARK]: `${identity}.${KNOWN + LATE}`,
      'Nats-Batch-Id': 'late',
      'Nats-Batch-Sequence': LATE + 1,
      'Nats-Batch-Commit': 1,
      'Nats-Expected-Last-Subject-Sequence': before?.seq ?? 0,
      'Nats-Rollup': 'sub',
    });
  }
  await hub.flush();
}

describe('records that come late', { concurrency: 2, timeout: 120_000 }, () => {
  for (const procedure of procedures) {
    it(`${procedure}: stored while the stream is read back, they keep their place`, async (scope) => {
      const faults = { seed: 1, messages: 0, kills: 0, outages: 0, cuts: 0, prefix: '', build: null, say: () => {} };
      const rig = await startRig(scope, { ...faults, procedure });
      const { box, link, reader } = rig;
      const publish = (clientPrefix: string, messages: number) =>
        runLoad(scope, { port: box.mqttPort, clientPrefix, messages });
      await publish('known', KNOWN);
      await rig.untilDrained();
      let identity = '';
      await readStream(reader, STREAM, ({ id }) => {
        if (id !== '') identity = id.slice(0, id.lastIndexOf('.'));
      });

      await link.refuse();
      await publish('behind', BEHIND);
      // After a crash nobody knows what was sent.
      await box.kill9();
      const looked = new Promise<void>((resolve) => {
        reader.subscribe(`$JS.API.STREAM.INFO.${STREAM}`, { max: 1, callback: () => resolve() });
      });
      await reader.flush();
      await link.restore();
      link.delay(LONG_LINK_MS);
      await box.start();
      await looked;
      await storeLate(reader, procedure, identity);
      await waitFor('the late records', async () => (await streamState(reader, STREAM)).messages >= KNOWN + LATE);

      await rig.untilDrained();
      const order: number[] = [];
      await readStream(reader, STREAM, ({ id }) => {
        if (id !== '') order.push(Number(id.slice(id.lastIndexOf('.') + 1)));
      });
      assert.deepEqual(
        order,
        Array.from({ length: KNOWN + BEHIND }, (_, index) => index + 1),
      );
    });
  }
});
