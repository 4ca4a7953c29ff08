import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { hashPassword } from '../../src/core/password.ts';
import type { UserRules } from '../../src/core/users.ts';
import { KIB, openRaw, type RawClient, startClientPort } from '../support/client-port.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { allNatsServers } from '../support/newer-nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { waitFor } from '../support/wait-for.ts';

/*
 * The same bytes to the port and to a nats-server, and the same answers. Each conversation is what one client (or two,
 * `b>` before the line) says; what comes back is compared whole, but for what differs by version (see `plain`), and but
 * for a last -ERR of the box where nats-server hangs up without a word: it stands beside the conversation.
 */

/** What each side is, to the conversations. */
interface Side {
  open(): Promise<RawClient>;
}

const LIMITS = { payloadBytesMax: 64 * KIB, subscriptionsMax: 5, connectTimeoutMs: 60_000 };

const rules = {
  publish: ['p.>', 'both', 'x.*', 'svc'],
  publishDeny: ['p.not.>'],
  subscribe: ['s.>', 'both', '_INBOX.>', 'svc'],
  subscribeDeny: ['s.not', 's.dark.*'],
};
let user: UserRules;
before(async () => {
  user = {
    name: 'u',
    passwordHash: await hashPassword('secret'),
    certificate: null,
    ...rules,
    responses: { max: 1, expiresMs: 120_000 },
  };
});

async function both(scope: Scope, binary: string, withUsers: boolean): Promise<[box: Side, server: Side]> {
  const list = (filters: readonly string[]): string => JSON.stringify(filters);
  const permissions = `permissions: {
    publish: { allow: ${list(rules.publish)}, deny: ${list(rules.publishDeny)} },
    subscribe: { allow: ${list(rules.subscribe)}, deny: ${list(rules.subscribeDeny)} },
    allow_responses: true
  }`;
  const users = `authorization { timeout: 60, users: [{ user: u, password: secret, ${permissions} }] }`;
  const server = await startNatsServer(scope, {
    binary,
    maxPayload: LIMITS.payloadBytesMax,
    extra: `max_subscriptions: ${LIMITS.subscriptionsMax}\n${withUsers ? users : ''}`,
  });
  const box = await startClientPort(scope, {
    ...LIMITS,
    connectionsMax: 1_000,
    ...(withUsers && { users: [user], listener: { anonymous: false } }),
  });
  return [box, { open: () => openRaw(scope, server.clientPort) }];
}

/**
 * Takes off what differs by version: the sid of a subscription that is refused (2.10 and the box), and the subject in the
 * header of a 503 (2.12).
 */
function plain(text: string): string {
  return text
    .replace(/(Violation for Subscription to "[^"]*".*?) \(sid "[^"]*"\)/g, '$1')
    .replace(/ \d+ \d+\r\nNATS\/1\.0 503\r\nNats-Subject: [^\r\n]*\r\n/g, ' 16 16\r\nNATS/1.0 503\r\n');
}

/** Says the lines; gives back all that came but INFO, by client, and whether the connection lives. */
async function converse(side: Side, connectFields: string | null, lines: readonly string[]): Promise<string[]> {
  const heard = new Map<string, string>();
  const clients = new Map<string, RawClient>();
  const get = async (name: string): Promise<RawClient> => {
    const known = clients.get(name);
    if (known !== undefined) return known;
    const client = await side.open();
    clients.set(name, client);
    heard.set(name, '');
    // A nats-server writes a blank behind its INFO.
    await waitFor('INFO', () => /\} ?\r\n$/.test(client.text), { intervalMs: 1 });
    client.text = '';
    if (connectFields !== null) await settle(name, client, [`CONNECT ${connectFields}`]);
    return client;
  };
  const settle = async (name: string, client: RawClient, said: readonly string[]): Promise<void> => {
    client.send(...said, 'PING');
    // Newest servers say a second INFO at some time after CONNECT.
    const answers = (): string => client.text.replace(/INFO [^\r\n]*\r\n/g, '');
    await waitFor(`an answer to ${said[0]?.slice(0, 80)}`, () => answers().endsWith('PONG\r\n') || client.ended, {
      intervalMs: 1,
    });
    heard.set(name, heard.get(name) + answers().replace(/PONG\r\n$/, ''));
    client.text = '';
  };
  // Those who are addressed by name come first, so that both are there.
  for (const line of lines) {
    const [, name = 'a', said = ''] = /^(?:([a-z])> )?([\s\S]*)$/.exec(line) ?? [];
    const client = await get(name);
    if (!client.ended) await settle(name, client, [Buffer.from(said).toString('latin1')]);
  }
  // What came to one while another spoke.
  for (const [name, client] of clients) if (!client.ended) await settle(name, client, []);
  const found = [...clients].map(
    ([name, client]) => `${name}${client.ended ? ' ended' : ''}: ${plain(heard.get(name) ?? '')}`,
  );
  for (const client of clients.values()) client.socket.destroy();
  return found;
}

const QUIET = '{"verbose":false,"headers":true,"no_responders":true,"protocol":1}';
const VERBOSE = '{"verbose":true,"pedantic":false,"headers":true,"no_responders":true}';
const PEDANTIC = '{"verbose":false,"pedantic":true,"headers":true}';
const OLD = '{"verbose":false}';

const block = 'NATS/1.0\r\nA: b\r\n\r\n';
type Talk = readonly [what: string, connectFields: string | null, lines: readonly string[], lastWord?: string];

const UNKNOWN = 'Unknown Protocol Operation';

const talks: readonly Talk[] = [
  ['PUB and SUB', QUIET, ['SUB a 1', 'PUB a 2\r\nhi', 'PUB a r 2\r\nhi', 'PUB b 1\r\nx', 'PUB a 0\r\n']],
  ['blanks and tabs between arguments, verbs in any case', QUIET, ['sUb\t a  \t1 ', 'pub  a\t 2 \r\nhi', 'pInG']],
  ['wildcards', QUIET, ['SUB a.* 1', 'SUB a.> 2', 'SUB * 3', 'PUB a.b 1\r\nx', 'PUB a 1\r\ny', 'PUB a.b.c 1\r\nz']],
  ['literal wildcards', QUIET, ['SUB a* 1', 'SUB b.>c 2', 'PUB a* 1\r\nx', 'PUB ax 1\r\ny', 'PUB b.>c 1\r\nz']],
  ['verbose', VERBOSE, ['SUB a 1', 'PUB a 2\r\nhi', 'UNSUB 1', 'PUB a 2\r\nhi', 'UNSUB 9']],
  ['before CONNECT: verbose', null, ['SUB a 1', 'PUB a 1\r\nx', 'UNSUB 1']],
  ['CONNECT twice', QUIET, ['CONNECT {"verbose":true}', 'SUB a 1', 'CONNECT {"verbose":false}', 'SUB b 2']],
  ['headers', QUIET, ['SUB a 1', `HPUB a 18 20\r\n${block}hi`, `HPUB a r 18 18\r\n${block}`]],
  [
    'headers for who takes none',
    OLD,
    ['SUB a 1', 'PUB a 1\r\nx', `HPUB a 18 20\r\n${block}hi`],
    'message headers not supported',
  ],
  ['no responders', QUIET, ['SUB _INBOX.x.* 7', 'PUB nobody _INBOX.x.1 0\r\n', 'PUB nobody other.1 0\r\n']],
  ['no responders by headers', QUIET, ['SUB in 7', `HPUB nobody in 18 18\r\n${block}`]],
  ['no responders, not asked for', OLD, ['SUB in 7', 'PUB nobody in 0\r\n']],
  ['no responders where only the asker listens', QUIET, ['SUB in 7', 'SUB svc 8', 'PUB svc in 1\r\nx']],
  ['no responders without headers', '{"no_responders":true}', ['PUB x 1\r\nx']],
  ['echo off', '{"verbose":false,"echo":false}', ['SUB a 1', 'b> SUB a 2', 'PUB a 1\r\nx', 'b> PUB a 1\r\ny']],
  ['max: counted from the SUB', QUIET, ['SUB a 1', 'PUB a 1\r\n1', 'UNSUB 1 2', 'PUB a 1\r\n2', 'PUB a 1\r\n3']],
  ['max: reached already', QUIET, ['SUB a 1', 'PUB a 1\r\n1', 'PUB a 1\r\n2', 'UNSUB 1 2', 'PUB a 1\r\n3']],
  ['max: raised and lowered', QUIET, ['SUB a 1', 'UNSUB 1 3', 'UNSUB 1 1', 'PUB a 1\r\n1', 'PUB a 1\r\n2']],
  ['max 0', QUIET, ['SUB a 1', 'UNSUB 1 0', 'PUB a 1\r\n1']],
  ['a sid in use', QUIET, ['SUB a 1', 'SUB b 1', 'PUB a 1\r\nx', 'PUB b 1\r\ny']],
  ['a sid after its UNSUB', QUIET, ['SUB a 1', 'UNSUB 1', 'SUB b 1', 'PUB a 1\r\nx', 'PUB b 1\r\ny']],
  ['any text as sid', QUIET, ['SUB a sid-é.*>', 'PUB a 1\r\nx', 'UNSUB sid-é.*>', 'PUB a 1\r\nx']],
  ['a queue group of one, beside a plain one', QUIET, ['SUB a g 1', 'SUB a 2', 'SUB a h 3', 'PUB a 1\r\nx']],
  ['UTF-8', QUIET, ['SUB é.> 1', 'PUB é.ü 2\r\né']],
  [
    'too many subscriptions',
    QUIET,
    ['SUB a 1', 'SUB b 2', 'SUB c 3', 'SUB d 4', 'SUB e 5', 'SUB f 6', 'UNSUB 5', 'SUB f 7'],
  ],
  ['illegal filters', QUIET, ['SUB a..b 1', 'SUB .a 2', 'SUB a. 3', 'SUB a.>.b 4', 'SUB >.a 5', 'SUB . 6']],
  ['illegal subjects', QUIET, ['SUB > 1', 'PUB a..b 1\r\nx', 'PUB .a 1\r\nx', 'PUB a. 1\r\nx']],
  ['wildcards in a subject, pedantic', PEDANTIC, ['SUB > 1', 'PUB a.* 1\r\nx', 'PUB a.> 1\r\ny', 'PUB a.b 1\r\nz']],
  ['illegal subjects, pedantic', PEDANTIC, ['PUB a..b 1\r\nx', 'PUB .a 1\r\nx', 'SUB a..b 1']],
  ['a payload at its bound', QUIET, [`PUB a ${64 * KIB}\r\n${'x'.repeat(64 * KIB)}`]],
  ['a payload above it', QUIET, [`PUB a ${64 * KIB + 1}\r\n`]],
  ['a negative size', QUIET, ['PUB a -1\r\nx'], UNKNOWN],
  ['a size that is no number', QUIET, ['PUB a x\r\nx'], UNKNOWN],
  ['a huge size', QUIET, ['PUB a 99999999999999999999\r\nx'], 'Maximum Payload Violation'],
  ['a payload longer than its size', QUIET, ['PUB a 1\r\nxyz']],
  ['too few arguments: PUB', QUIET, ['PUB a\r\n'], UNKNOWN],
  ['too many arguments: PUB', QUIET, ['PUB a b c 1\r\nx'], UNKNOWN],
  ['too few arguments: SUB', QUIET, ['SUB a'], UNKNOWN],
  ['too many arguments: SUB', QUIET, ['SUB a b c d'], UNKNOWN],
  ['no arguments: UNSUB', QUIET, ['UNSUB']],
  ['too many arguments: UNSUB', QUIET, ['UNSUB 1 2 3'], UNKNOWN],
  ['header size above the total', QUIET, [`HPUB a 20 18\r\n${block}`], UNKNOWN],
  ['header size 0', QUIET, ['HPUB a 0 0\r\n']],
  ['header size missing', QUIET, [`HPUB a 18\r\n${block}`], UNKNOWN],
  ['an unknown verb', QUIET, ['HELLO']],
  ['HTTP', null, ['GET / HTTP/1.1\r\nHost: x\r\n']],
  ['MSG from a client', QUIET, ['MSG a 1 1\r\nx']],
  ['an empty line', QUIET, ['']],
  ['+OK from a client', QUIET, ['+OK']],
  ['-ERR from a client', QUIET, ["-ERR 'x'"], UNKNOWN],
  ['CONNECT that is no JSON', null, ['CONNECT {'], 'Parser Error'],
  ['CONNECT of a list', null, ['CONNECT []'], 'Parser Error'],
  ['CONNECT with an unknown protocol', null, ['CONNECT {"protocol":2}']],
  ['a control line at its bound', QUIET, [`SUB ${'a'.repeat(4_000)} 1`]],
  ['a control line above it', QUIET, [`SUB ${'a'.repeat(5_000)} 1`]],
  ['a control line without end', QUIET, [`SUB ${'x'.repeat(64 * KIB)}`]],
  ['reserved subjects', QUIET, ['SUB $SYS.x 1', 'PUB $SYS.x 1\r\nx']],
  ['a reply of the system', QUIET, ['SUB a 1', 'PUB a $JS.ACK.x 1\r\nx', 'PUB a _R_.x 1\r\nx', 'PUB a _GR_.x 1\r\nx']],
];

const permitted: readonly Talk[] = [
  ['publish', 'u', ['PUB p.a 1\r\nx', 'PUB p.not.a 1\r\nx', 'PUB other 1\r\nx', 'PUB x.y 1\r\nx', 'PUB x.y.z 1\r\nx']],
  ['subscribe', 'u', ['SUB s.a 1', 'SUB s.not 2', 'SUB other 3', 'SUB s.dark.x 4', 'SUB > 5', 'SUB s.> 6']],
  ['subscribe in a queue group', 'u', ['SUB s.a q 1', 'SUB other q 2']],
  ['deny inside a wider subscription', 'u', ['SUB both 1', 'SUB s.* 2', 'SUB s.> 3', 'PUB both 1\r\nx']],
  ['verbose', 'uv', ['SUB other 1', 'PUB other 1\r\nx', 'SUB both 2', 'PUB both 1\r\ny']],
  ['an answer, once', 'u', ['SUB svc 1', 'PUB svc to.me 1\r\nq', 'PUB to.me 1\r\na', 'PUB to.me 1\r\nb']],
  ['an answer to nobody', 'u', ['PUB to.me 1\r\na']],
  ['a wrong password', 'wrong', ['PING']],
  ['no password', '{"verbose":false}', ['PING']],
  ['something before CONNECT', null, ['SUB a 1']],
  ['a PUB before CONNECT', null, ['PUB a 1\r\nx']],
];

const logins: Readonly<Record<string, string>> = {
  u: '{"verbose":false,"headers":true,"user":"u","pass":"secret"}',
  uv: '{"verbose":true,"user":"u","pass":"secret"}',
  wrong: '{"verbose":false,"user":"u","pass":"wrong"}',
};

// As the tests' set-up has fetched them: Debian's own, 2.10 and the newest.
const { found: servers } = allNatsServers(join(import.meta.dirname, '../../.cache'));

for (const { path, version } of servers) {
  for (const [what, withUsers, all] of [
    ['anonymous', false, talks],
    ['with a user', true, permitted],
  ] as const) {
    test(`the same answers as nats-server ${version} gives: ${what}`, async (t) => {
      const [box, server] = await both(t, path, withUsers);
      for (const [name, connectFields, lines, lastWord] of all) {
        await t.test(name, async () => {
          const fields = connectFields === null ? null : (logins[connectFields] ?? connectFields);
          const theirs = await converse(server, fields, lines);
          const expected = lastWord === undefined ? theirs : theirs.map((text) => `${text}-ERR '${lastWord}'\r\n`);
          assert.deepEqual(await converse(box, fields, lines), expected);
        });
      }
    });
  }
}
