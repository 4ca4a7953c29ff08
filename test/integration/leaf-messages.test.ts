import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { buildHeaders, headerValue } from '../../src/core/headers.ts';
import { type LeafBox, startLinkedBox } from '../support/leaf-box.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { atEnd, Lifetime } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

const NONE = Buffer.alloc(0);
const NOBODY: readonly string[] = [];

describe('a linked box and a real hub', () => {
  const scope = new Lifetime();
  after(() => scope.end());
  let hub: NatsServer;
  let client: NatsConnection;
  let box: LeafBox;

  before(async () => {
    hub = await startNatsServer(scope, { leafnodes: true, jetstream: true, maxPayload: 65_536 });
    client = await connect({ servers: hub.clientUrl });
    atEnd(scope, () => client.close());
    box = await startLinkedBox(scope, hub.leafUrl);
  });

  /** Whoever publishes at the hub right behind this has the box's interest in front of it. */
  const announced = async (): Promise<void> => {
    await box.link.request('$JS.API.INFO', '', 5_000);
    await client.flush();
  };
  const received = (subject: string) => box.seen.messages.filter((message) => message.subject === subject);

  it('is listed by the hub as a leaf node with its name', async () => {
    const page = await hub.monitor<{ leafs: { name?: string; account: string; subscriptions: number }[] }>(
      '/leafz?subs=1',
    );
    assert.equal(page.leafs.length, 1);
    assert.equal(page.leafs[0]?.account, '$G');
    // 2.9 lists no names; its connection log and later versions do.
    assert.ok([undefined, 'plant1'].includes(page.leafs[0]?.name));
  });

  it('knows the hub', () => {
    const { hub: known, state, url, rttMs, interest } = box.link.status();
    assert.equal(state, 'up');
    assert.equal(url, hub.leafUrl);
    assert.equal(known?.serverName, 'hub');
    assert.equal(known?.headers, true);
    assert.equal(known?.jetstream, true);
    assert.equal(known?.maxPayload, 65_536);
    assert.ok(interest.hub > 0);
    assert.ok(rttMs !== null && rttMs >= 0);
  });

  it('gets messages it has interest in, with headers, and no others', async () => {
    box.link.interest('down.*', '', 1);
    await announced();
    const lines = headers();
    lines.set('Unit', 'bar');
    client.publish('up.nobody', 'x');
    client.publish('down.a', 'plain');
    client.publish('down.b', 'with headers', { headers: lines, reply: 'answer.here' });
    await waitFor('two messages', () => received('down.b').length === 1);
    assert.deepEqual(received('down.a'), [
      { subject: 'down.a', reply: '', headers: '', payload: 'plain', queues: [], shownAs: 'down.a' },
    ]);
    const [second] = received('down.b');
    assert.equal(second?.reply, 'answer.here');
    assert.equal(headerValue(Buffer.from(second?.headers ?? ''), 'Unit'), 'bar');
    assert.equal(received('up.nobody').length, 0);
  });

  it('gets a message once although several of its filters match', async () => {
    for (const filter of ['over.*', 'over.lap', 'over.>']) box.link.interest(filter, '', 1);
    await announced();
    client.publish('over.lap', '1');
    client.publish('over.end', '2');
    await waitFor('the last message', () => received('over.end').length === 1);
    assert.equal(received('over.lap').length, 1);
  });

  it('sends what the hub has interest in, with headers, and says so when nobody has', async () => {
    assert.equal(box.link.wants('line3.temp'), false);
    assert.equal(box.link.publish('line3.temp', '', NONE, Buffer.from('lost'), NOBODY), 'no-interest');
    const subscription = client.subscribe('line3.>');
    await waitFor('the interest of the hub', () => box.link.wants('line3.temp'));
    await waitFor('the listener to hear of it', () => box.seen.interestChanges > 0);
    const block = buildHeaders([['Petiole-Id', 'plant1.1.a.7']]);
    assert.equal(box.link.publish('line3.temp', 'reply.to', block, Buffer.from('21.5'), NOBODY), 'sent');
    for await (const message of subscription) {
      assert.equal(message.string(), '21.5');
      assert.equal(message.reply, 'reply.to');
      assert.equal(message.headers?.get('Petiole-Id'), 'plant1.1.a.7');
      break;
    }
    subscription.unsubscribe();
    await waitFor('the interest to go', () => !box.link.wants('line3.temp'));
  });

  it('carries empty and large payloads and subjects beyond ASCII', async () => {
    const got: { subject: string; bytes: number }[] = [];
    const subscription = client.subscribe('size.>', {
      callback: (_error, message) => void got.push({ subject: message.subject, bytes: message.data.length }),
    });
    await waitFor('the interest of the hub', () => box.link.wants('size.x'));
    for (const bytes of [0, 1, 16_383, 16_384, 65_536]) {
      assert.equal(box.link.publish(`size.größe.${bytes}`, '', NONE, Buffer.alloc(bytes, 1), NOBODY), 'sent');
    }
    await waitFor('five messages', () => got.length === 5);
    assert.deepEqual(
      got,
      [0, 1, 16_383, 16_384, 65_536].map((bytes) => ({ subject: `size.größe.${bytes}`, bytes })),
    );
    assert.equal(box.link.publish('size.x', '', NONE, Buffer.alloc(65_537), NOBODY), 'too-large');
    assert.equal(box.link.publish('size.x y', '', NONE, NONE, NOBODY), 'forbidden');
    assert.equal(box.link.publish('size.x\r\nPING', '', NONE, NONE, NOBODY), 'forbidden');
    subscription.unsubscribe();
  });

  it('answers requests from the hub', async () => {
    box.seen.answer = ({ subject, reply }) => {
      if (subject === 'ask.box') box.link.publish(reply, '', NONE, Buffer.from('42'), NOBODY);
    };
    box.link.interest('ask.box', '', 1);
    await announced();
    for (let i = 0; i < 50; i++) assert.equal((await client.request('ask.box', 'q')).string(), '42');
    box.seen.answer = () => {};
  });

  it('gets answers to its own requests and to those of local parties', async () => {
    const responder = client.subscribe('ask.hub', { callback: (_error, message) => void message.respond('yes') });
    await waitFor('the interest of the hub', () => box.link.wants('ask.hub'));
    const answer = await box.link.request('ask.hub', 'q', 5_000);
    assert.equal(answer.payload.toString(), 'yes');
    box.link.interest('_INBOX.local.1', '', 1);
    assert.equal(box.link.publish('ask.hub', '_INBOX.local.1', NONE, NONE, NOBODY), 'sent');
    await waitFor('the answer', () => received('_INBOX.local.1').length === 1);
    assert.equal(box.link.publish('ask.hub', '_INBOX.plant1.ack.7', NONE, NONE, NOBODY), 'sent');
    await waitFor('the answer on the own inbox', () => box.seen.inboxes.length === 1);
    assert.deepEqual(box.seen.inboxes, [{ token: 'ack.7', payload: 'yes' }]);
    responder.unsubscribe();
    await assert.rejects(box.link.request('ask.nobody', '', 5_000), { code: 'request_timeout' });
    await assert.rejects(box.link.request('$JS.API.NOTHING.HERE', '', 50), { code: 'request_timeout' });
  });

  it('names the queue groups at the hub that have no member here', async () => {
    const got: string[] = [];
    const callback = (name: string) => () => void got.push(name);
    const members = [
      client.subscribe('work.x', { queue: 'crew', callback: callback('crew') }),
      client.subscribe('work.x', { queue: 'night', callback: callback('night') }),
      client.subscribe('work.x', { callback: callback('plain') }),
    ];
    await client.flush();
    await waitFor('the interest of the hub', () => box.link.wants('work.x'));
    await announced();
    box.link.publish('work.x', '', NONE, NONE, NOBODY);
    await waitFor('one copy each', () => got.length === 3);
    assert.deepEqual(got.toSorted(), ['crew', 'night', 'plain']);
    got.length = 0;
    box.link.publish('work.x', '', NONE, NONE, ['crew']);
    await announced();
    await waitFor('the others', () => got.length === 2);
    assert.deepEqual(got.toSorted(), ['night', 'plain']);
    members[2]?.unsubscribe();
    members[1]?.unsubscribe();
    await announced();
    assert.equal(box.link.publish('work.x', '', NONE, NONE, ['crew']), 'no-interest');
    members[0]?.unsubscribe();
  });

  it('is chosen by name for its own queue groups, after the members at the hub', async () => {
    box.link.interest('jobs', 'team', 2);
    await announced();
    for (let i = 0; i < 10; i++) client.publish('jobs', String(i));
    await waitFor('the jobs', () => received('jobs').length === 10);
    assert.ok(received('jobs').every(({ queues }) => queues.length === 1 && queues[0] === 'team'));
    let atHub = 0;
    const member = client.subscribe('jobs', { queue: 'team', callback: () => void atHub++ });
    await client.flush();
    for (let i = 0; i < 10; i++) client.publish('jobs', String(i));
    await waitFor('the jobs at the hub', () => atHub === 10);
    assert.equal(received('jobs').length, 10);
    member.unsubscribe();
  });

  it('announces interest on the first member and withdraws it with the last', async () => {
    const isAnnounced = async (filter: string): Promise<boolean> => {
      await announced();
      const page = await hub.monitor<{ leafs: { subscriptions_list: string[] }[] }>('/leafz?subs=1');
      return page.leafs[0]?.subscriptions_list.includes(filter) ?? false;
    };
    box.link.interest('count.me', '', 1);
    box.link.interest('count.me', '', 2);
    box.link.interest('count.me', '', 1);
    assert.equal(await isAnnounced('count.me'), true);
    box.link.interest('count.me', '', 0);
    assert.equal(await isAnnounced('count.me'), false);
    box.link.interest('gone.at.once', '', 1);
    box.link.interest('gone.at.once', '', 0);
    assert.equal(await isAnnounced('gone.at.once'), false);
  });

  it('keeps the link although a local party subscribes where hubs forbid it', async () => {
    for (const filter of ['$KV.b.k', '$JS.API.STREAM.NAMES', '$OBJ.x', '_INBOX.>', '$LDS.x']) {
      box.link.interest(filter, '', 1);
    }
    await announced();
    assert.equal(box.link.epoch, 1);
    assert.equal(box.link.up, true);
  });

  it('reaches JetStream: publish with PubAck, management, direct get, consumer deliveries', async () => {
    const manager = await jetstreamManager(client);
    await manager.streams.add({ name: 'S', subjects: ['s.>'], allow_direct: true });
    await waitFor('the interest of the stream', () => box.link.wants('s.a'));
    assert.equal(box.link.forward('s.a', '_INBOX.plant1.ack.9', NONE, Buffer.from('record'), NOBODY), 'sent');
    const ack = await waitFor('the PubAck', () => box.seen.inboxes.find(({ token }) => token === 'ack.9'));
    assert.equal(JSON.parse(ack.payload).seq, 1);
    const info = await box.link.request('$JS.API.STREAM.INFO.S', '', 5_000);
    assert.equal(JSON.parse(info.payload.toString()).state.last_seq, 1);
    const direct = await box.link.request('$JS.API.DIRECT.GET.S', '{"last_by_subj":"s.a"}', 5_000);
    assert.equal(direct.payload.toString(), 'record');

    box.link.interest('_INBOX.deliver', '', 1);
    await announced();
    const consumer = { stream_name: 'S', config: { deliver_subject: '_INBOX.deliver', ack_policy: 'explicit' } };
    await box.link.request('$JS.API.CONSUMER.CREATE.S', JSON.stringify(consumer), 5_000);
    const delivered = await waitFor('the delivery', () => received('_INBOX.deliver').at(0));
    assert.equal(delivered.shownAs, 's.a');
    assert.match(delivered.reply, /^\$JS\.ACK\.S\.[^@]+$/);
    assert.equal(box.link.publish(delivered.reply, '', NONE, Buffer.from('+ACK'), NOBODY), 'sent');
    const pending = async () => {
      const { payload } = await box.link.request('$JS.API.CONSUMER.LIST.S', '', 5_000);
      return JSON.parse(payload.toString()).consumers[0].num_ack_pending as number;
    };
    await waitFor('the acknowledgement', async () => (await pending()) === 0);
    assert.ok((await jetstream(client).publish('s.b')).seq === 2);
  });

  it('counts what it carried', () => {
    const { in: received, out, drops } = box.link.status();
    assert.ok(received.messages > 80 && received.bytes > 100);
    assert.ok(out.messages > 60 && out.bytes > 90_000);
    assert.ok(drops['no-interest'] >= 3 && drops['too-large'] === 1 && drops.forbidden === 2);
  });
});

describe("the hub's permissions", () => {
  it('are honoured both ways, so that the link is never the price', async (scope) => {
    const hub = await startNatsServer(scope, {
      leafnodes: true,
      accounts: `
        A: { users: [
          { user: box, password: secret, permissions: {
            publish: { allow: ["edge.plant1.>", "_INBOX.>", "$JS.API.>"], deny: ["edge.plant1.private.>"] },
            subscribe: { allow: ["cmd.plant1.>", "_INBOX.plant1.>"] }
          } },
          { user: office, password: secret }
        ] }`,
    });
    const client = await connect({ servers: hub.clientUrl, user: 'office', pass: 'secret' });
    atEnd(scope, () => client.close());
    const { link, seen } = await startLinkedBox(scope, hub.leafUrl, { user: 'box', password: 'secret' });
    assert.equal(link.status().hub?.remoteAccount, 'A');
    assert.deepEqual(link.status().hub?.export?.deny, ['edge.plant1.private.>']);
    assert.equal(link.mayPublish('edge.plant1.temp'), true);
    assert.equal(link.mayPublish('edge.plant1.private.x'), false);
    assert.equal(link.mayPublish('edge.plant2.temp'), false);

    const got: string[] = [];
    client.subscribe('edge.>', { callback: (_error, message) => void got.push(message.subject) });
    await waitFor('the interest of the hub', () => link.wants('edge.plant1.temp'));
    assert.equal(link.publish('edge.plant2.temp', '', NONE, NONE, NOBODY), 'forbidden');
    assert.equal(link.publish('edge.plant1.temp', '', NONE, NONE, NOBODY), 'sent');
    await waitFor('the allowed message', () => got.length === 1);
    assert.deepEqual(got, ['edge.plant1.temp']);

    link.interest('secret.literal', '', 1);
    link.interest('cmd.plant1.valve', '', 1);
    link.interest('>', '', 1);
    const { interest } = link.status();
    assert.equal(interest.local, 4);
    await waitFor('the announcement', () => link.status().interest.announced === 3);
    await waitFor('the command', () => {
      client.publish('secret.literal', 'no');
      client.publish('cmd.plant1.valve', 'open');
      return seen.messages.length > 0;
    });
    assert.ok(seen.messages.every(({ subject }) => subject === 'cmd.plant1.valve'));
    assert.equal(link.epoch, 1);
  });
});
