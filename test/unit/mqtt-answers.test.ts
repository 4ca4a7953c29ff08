import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildHeaders } from '../../src/core/headers.ts';
import { type Message, NO_HEADERS, type Party } from '../../src/core/message.ts';
import { Answers } from '../../src/mqtt/answers.ts';

const nats: Party = { kind: 'nats', name: 'program' };

function request(subject: string, reply: string, origin: Party = nats, headers: Buffer = NO_HEADERS): Message {
  return { subject, reply, headers, payload: Buffer.alloc(0), receivedAtMs: 0, origin };
}

test('requests on one subject are answered in their order, each once', () => {
  const answers = new Answers();
  for (const reply of ['_INBOX.1', '_INBOX.2']) answers.note(request('a.b', reply));
  answers.note(request('c', '_INBOX.3'));
  assert.equal(answers.subjectOf('$reply.c'), '_INBOX.3');
  assert.equal(answers.subjectOf('$reply.a.b'), '_INBOX.1');
  assert.equal(answers.subjectOf('$reply.a.b'), '_INBOX.2');
  assert.equal(answers.subjectOf('$reply.a.b'), null);
  assert.equal(answers.subjectOf('$reply.a'), null);
});

test('a response topic may be answered more than once, and only by who was asked', () => {
  const answers = new Answers();
  answers.note(request('a.b', '_INBOX.1'));
  assert.equal(answers.subjectOf('_INBOX.1'), '_INBOX.1');
  assert.equal(answers.subjectOf('_INBOX.1'), '_INBOX.1');
  assert.equal(answers.subjectOf('_INBOX.2'), null);
  assert.equal(answers.subjectOf('a.b'), null);
});

test("a device's request may be answered on its Response Topic, but not on one of the server", () => {
  const answers = new Answers();
  const of = (topic: string) => buildHeaders([['Mqtt-Response-Topic', topic]]);
  const device: Party = { kind: 'mqtt', name: 'd1' };
  answers.note(request('a', '_INBOX.1', device, of('resp/d1')));
  answers.note(request('a', '_INBOX.2', device, of('$SYS/x')));
  // A NATS publisher's header gives no right: its reply subject does.
  answers.note(request('a', '_INBOX.3', nats, of('valve/open')));
  assert.equal(answers.subjectOf('resp.d1'), '_INBOX.1', 'by the way of its request');
  assert.equal(answers.subjectOf('$SYS.x'), null);
  assert.equal(answers.subjectOf('valve.open'), null);
});

test('after two minutes the right is over', () => {
  let now = 0;
  const answers = new Answers(() => now);
  answers.note(request('a', '_INBOX.1'));
  answers.note(request('a', '_INBOX.2'));
  now = 120_001;
  answers.note(request('a', '_INBOX.3'));
  assert.equal(answers.subjectOf('_INBOX.1'), null);
  assert.equal(answers.subjectOf('$reply.a'), '_INBOX.3');
});

test('many requests do not fill the memory: the oldest are forgotten', () => {
  const answers = new Answers();
  for (let i = 0; i < 10_000; i++) answers.note(request('a', `_INBOX.${i}`));
  let open = 0;
  while (answers.subjectOf('$reply.a') !== null) open++;
  assert.equal(open, 64);
});
