import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type EdgeOptions, startEdge, type TestEdge } from '../support/mqtt-edge.ts';
import { connectPacket, PINGREQ, PINGRESP, packet, publishPacket, subscribePacket } from '../support/mqtt-packets.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';
import { conform } from './conform.ts';

/* MQTT over WebSocket (chapter 6). */

const listeners: EdgeOptions['listeners'] = [
  { host: '127.0.0.1', port: 0, anonymous: true, websocket: { path: '/mqtt' } },
];

interface Opened {
  socket: WebSocket;
  /** Binary messages, in order. */
  messages: Buffer[];
}

async function open(scope: Scope, edge: TestEdge, protocols: string[] = ['mqtt']): Promise<Opened> {
  const socket = new WebSocket(`ws://127.0.0.1:${edge.port}/mqtt`, protocols);
  atEnd(scope, () => socket.terminate());
  const messages: Buffer[] = [];
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    assert.ok(isBinary, 'the server sends binary frames alone');
    messages.push(data);
  });
  socket.on('error', () => {});
  await once(socket, 'open');
  return { socket, messages };
}

/** Where the CONNECT ends: its answer has come. */
async function connected(opened: Opened): Promise<void> {
  await waitFor('CONNACK', () => opened.messages.length > 0);
  assert.equal(opened.messages.shift()?.[0], 0x20);
}

conform('frames that are not binary', { 4: ['6.0.0-1'], 5: ['6.0.0-1'] }, async (t, version) => {
  const edge = await startEdge(t, { listeners });
  const early = await open(t, edge);
  early.socket.send(connectPacket({ version }).toString('latin1'));
  await once(early.socket, 'close');
  const late = await open(t, edge);
  late.socket.send(connectPacket({ version }));
  await connected(late);
  late.socket.send('text');
  await once(late.socket, 'close');
});

conform(
  'packets and frames have nothing to do with each other',
  { 4: ['6.0.0-2'], 5: ['6.0.0-2'] },
  async (t, version) => {
    const edge = await startEdge(t, { listeners });
    const published = publishPacket({ version, topic: 'w', payload: 'x'.repeat(300) });
    const conversation = Buffer.concat([
      connectPacket({ version }),
      subscribePacket(version, 1, [['w', 0]]),
      published,
      published,
      PINGREQ,
    ]);
    for (const bytes of [1, 2, 7, 100, conversation.length]) {
      const opened = await open(t, edge);
      for (let at = 0; at < conversation.length; at += bytes) opened.socket.send(conversation.subarray(at, at + bytes));
      const isAnswered = () => Buffer.concat(opened.messages).includes(PINGRESP);
      await waitFor('all answers', isAnswered);
      const all = Buffer.concat(opened.messages);
      assert.equal(all.toString('latin1').split(published.toString('latin1')).length - 1, 2);
      opened.socket.send(packet(0xe0));
      await once(opened.socket, 'close');
    }
  },
);

conform('the subprotocol is mqtt', { 4: ['6.0.0-3', '6.0.0-4'], 5: ['6.0.0-3', '6.0.0-4'] }, async (t, version) => {
  const edge = await startEdge(t, { listeners });
  const { socket } = await open(t, edge, ['chat', 'mqtt', 'mqttv3.1']);
  assert.equal(socket.protocol, 'mqtt');
  socket.send(connectPacket({ version }));
  // One that offers no subprotocol of ours does not become a connection.
  const stranger = new WebSocket(`ws://127.0.0.1:${edge.port}/mqtt`, ['chat']);
  atEnd(t, () => stranger.terminate());
  await Promise.race([once(stranger, 'error'), once(stranger, 'close')]);
  assert.notEqual(stranger.readyState, WebSocket.OPEN);
});
