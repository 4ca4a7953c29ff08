import assert from 'node:assert/strict';
import { test } from 'node:test';
import mqtt, { type MqttClient } from 'mqtt';
import { type Box, startBox } from '../support/box.ts';
import { mosquittoPub, mosquittoSub } from '../support/mosquitto.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

async function die(box: Box): Promise<void> {
  await box.kill9();
  await box.start();
}

for (const version of ['mqttv311', 'mqttv5'] as const) {
  test(`mosquitto_sub -c -q 2 with ${version} gets what was published while it was away, over kills of the box`, async (t) => {
    const box = await startBox(t);
    const session = ['-V', version, '-i', 'meter', '-c', ...(version === 'mqttv5' ? ['-x', '3600'] : [])];
    const sub = (...args: string[]) => mosquittoSub(box.mqttPort, ...session, '-t', 'm/#', '-q', '2', ...args);
    const pub = async (...args: string[]) => {
      const { code } = await mosquittoPub(box.mqttPort, '-V', version, '-q', '2', ...args);
      assert.equal(code, 0);
    };
    // -E: leaves behind its SUBACK.
    assert.equal((await sub('-E')).code, 0);
    await pub('-t', 'm/1', '-m', 'one');
    await die(box);
    await pub('-t', 'm/2', '-m', 'two');
    await die(box);
    const { lines } = await sub('-F', '%t %q %p', '-C', '2');
    assert.deepEqual(lines, ['m/1 2 one', 'm/2 2 two']);
    await pub('-t', 'm/3', '-m', 'three');
    assert.deepEqual((await sub('-F', '%p', '-C', '1')).lines, ['three']);
  });
}

async function client(scope: Scope, box: Box, protocolVersion: 4 | 5, clientId: string): Promise<MqttClient> {
  const made = await mqtt.connectAsync(box.mqttUrl, {
    protocolVersion,
    clientId,
    clean: false,
    reconnectPeriod: 50,
    ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 3600 } }),
  });
  atEnd(scope, () => void made.end(true));
  return made;
}

for (const protocolVersion of [4, 5] as const) {
  test(`mqtt.js with protocol ${protocolVersion} keeps its session over kills: nothing missing, nothing twice at QoS 2`, async (t) => {
    const box = await startBox(t);
    const reader = await client(t, box, protocolVersion, 'reader');
    const seen: number[] = [];
    reader.on('message', (_topic, payload) => seen.push(Number(payload)));
    await reader.subscribeAsync('n', { qos: 2 });
    const sender = await client(t, box, protocolVersion, 'sender');
    const all = Array.from({ length: 600 }, (_, i) => i);
    const publishing = Promise.all(all.map((n) => sender.publishAsync('n', `${n}`, { qos: 2 })));
    for (const least of [50, 200]) {
      await waitFor('some of them', () => seen.length >= least);
      await die(box);
    }
    await publishing;
    await waitFor('all of them', () => seen.length >= all.length);
    assert.deepEqual(seen, all);
  });
}
