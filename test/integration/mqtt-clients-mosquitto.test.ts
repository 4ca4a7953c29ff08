import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Child, type Exit } from '../support/child.ts';
import { type ClientBox, ClientMatrix, startClientBox } from '../support/client-box.ts';
import { atEnd, Lifetime, type Scope } from '../support/scope.ts';
import { startSocksProxy } from '../support/socks-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

/*
 * Every flag of mosquitto_pub, mosquitto_sub and mosquitto_rr against a real box. The last test reads the flags out of
 * `--help` and fails on one that was neither used here nor has a reason below.
 */

type Program = 'mosquitto_pub' | 'mosquitto_sub' | 'mosquitto_rr';
const programs: readonly Program[] = ['mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr'];
const versions = ['mqttv311', 'mqttv5'] as const;

/** Flags that the box has nothing to do with, or nothing to offer. */
const reasons: Readonly<Record<string, string>> = {
  '--unix': 'the box listens on no Unix socket',
  '--psk': 'TLS by certificates alone',
  '--psk-identity': 'TLS by certificates alone',
  '--tls-engine': 'a device of the client',
  '--tls-engine-kpass-sha1': 'a device of the client',
};

const matrix = new ClientMatrix();
const used: Readonly<Record<Program, Set<string>>> = {
  mosquitto_pub: new Set(),
  mosquitto_sub: new Set(),
  mosquitto_rr: new Set(),
};
const DEADLINE_MS = 10_000;

const life = new Lifetime();
let box: ClientBox;
before(async () => {
  box = await startClientBox(life);
});
after(() => {
  for (const line of matrix.lines()) console.log(line);
  return life.end();
});

interface Outcome extends Exit {
  lines: readonly string[];
}

function note(program: Program, args: readonly string[]): void {
  const is5 = args.includes('mqttv5') || (program === 'mosquitto_rr' && !args.includes('-V'));
  const isTls = args.some((arg) => arg === '--cafile' || arg === '--capath' || arg === '--tls-use-os-certs');
  const flags = args.filter((arg) => /^--?[A-Za-z]/.test(arg));
  for (const flag of flags) used[program].add(flag);
  for (const flag of flags) matrix.did(program, is5 ? '5.0' : '3.1.1', isTls ? 'TLS' : 'TCP', flag);
}

/** Adds host and port where the arguments name none. */
function whole(args: readonly string[]): string[] {
  const isNamed = args.includes('-L') || args.includes('-h');
  return isNamed ? [...args] : ['-h', '127.0.0.1', '-p', String(box.tcp), ...args];
}

/** Runs a client to its end. */
async function run(program: Program, args: readonly string[], stdin: string | null = null, env = {}): Promise<Outcome> {
  const child = new Child(program, whole(args), { env });
  note(program, whole(args));
  if (stdin !== null) child.process.stdin?.write(stdin);
  child.process.stdin?.end();
  const timer = setTimeout(() => child.signal('SIGKILL'), DEADLINE_MS);
  const exit = await child.exited;
  clearTimeout(timer);
  return { ...exit, lines: child.lines };
}

/** Publishes, and fails where that fails. */
async function pub(...args: string[]): Promise<void> {
  const { code, lines } = await run('mosquitto_pub', args);
  assert.equal(code, 0, `mosquitto_pub ${args.join(' ')}\n${lines.join('\n')}`);
}

/** A subscriber that has its SUBACK, line by line. */
async function sub(scope: Scope, ...args: string[]): Promise<Child> {
  const all = whole(['-d', ...args]);
  note('mosquitto_sub', all);
  const child = new Child('stdbuf', ['-oL', 'mosquitto_sub', ...all]);
  atEnd(scope, async () => {
    await child.kill();
  });
  await child.line('SUBACK', (line) => line.includes('Subscribed (mid'), DEADLINE_MS);
  return child;
}

const sees = (child: Child, text: string) => child.line(text, (line) => line === text, DEADLINE_MS);

for (const version of versions) {
  const v = ['-V', version];

  test(`${version}: messages from arguments, files and standard input, at every QoS`, async (t) => {
    const file = join(tempDir(t, 'file'), 'message');
    writeFileSync(file, 'from a file');
    const reader = await sub(t, ...v, '-t', `${version}/in/#`, '-q', '2', '-F', '%t=%p');
    for (const qos of ['0', '1', '2']) {
      const topic = `${version}/in/${qos}`;
      const common = [...v, '-t', topic, '-q', qos];
      await pub(...common, '-m', 'from an argument', '-i', `named-${qos}`);
      await sees(reader, `${topic}=from an argument`);
      await pub(...common, '-f', file, '-I', 'prefix-', '-k', '10');
      await sees(reader, `${topic}=from a file`);
      await pub(...common, '-n', '--nodelay');
      await sees(reader, `${topic}=`);
      assert.equal((await run('mosquitto_pub', [...common, '-s', '-A', '127.0.0.1'], 'all of it')).code, 0);
      await sees(reader, `${topic}=all of it`);
      const lines = Array.from({ length: 40 }, (_, i) => `line ${i}`);
      assert.equal((await run('mosquitto_pub', [...common, '-l', '-M', '5'], `${lines.join('\n')}\n`)).code, 0);
      await sees(reader, `${topic}=line 39`);
      const seen = reader.lines.filter((line) => line.startsWith(`${topic}=line `));
      assert.deepEqual(
        seen,
        lines.map((line) => `${topic}=${line}`),
      );
      await pub(...common, '-m', 'again', '--repeat', '3', '--repeat-delay', '0.01', '-d');
      await waitFor('three of it', () => reader.lines.filter((line) => line === `${topic}=again`).length === 3);
    }
    await pub('-L', `mqtt://line3:secret@127.0.0.1:${box.tcp}/${version}/in/url`, ...v, '-m', 'by URL', '--quiet');
    await sees(reader, `${version}/in/url=by URL`);
    await pub(...v, '-u', 'line3', '-P', 'secret', '-t', `${version}/in/user`, '-m', 'by a user');
    await sees(reader, `${version}/in/user=by a user`);
    const wrong = await run('mosquitto_pub', [...v, '-u', 'line3', '-P', 'wrong', '-t', `${version}/in/x`, '-m', 'no']);
    assert.notEqual(wrong.code, 0);
  });

  test(`${version}: retained messages, and what a subscriber makes of them`, async (t) => {
    const topic = `${version}/kept/1`;
    await pub(...v, '-t', topic, '-m', 'kept', '-r', '-q', '1');
    await pub(...v, '-t', `${version}/kept/2`, '-m', 'also', '-r');
    const kept = await run('mosquitto_sub', [...v, '-t', `${version}/kept/#`, '-C', '2', '-v', '-W', '10']);
    assert.deepEqual([...kept.lines].sort(), [`${topic} kept`, `${version}/kept/2 also`]);
    const fresh = await sub(t, ...v, '-t', `${version}/kept/#`, '-R', '-T', `${version}/kept/2`, '-F', '%r %t=%p');
    await pub(...v, '-t', `${version}/kept/2`, '-m', 'filtered out');
    await pub(...v, '-t', topic, '-m', 'live');
    await sees(fresh, `0 ${topic}=live`);
    assert.ok(!fresh.lines.some((line) => line.includes('filtered out') || line.includes('kept/1=kept')));
    const only = await sub(t, ...v, '-t', topic, '--retained-only', '-F', '%r %p');
    await sees(only, '1 kept');
    await pub(...v, '-t', topic, '-m', 'ends it');
    assert.equal((await only.exited).code, 0);
    const removing = ['-t', `${version}/kept/#`, '--remove-retained', '-W', '2', '-N', '-k', '20'];
    await run('mosquitto_sub', [...v, ...removing]);
    const none = await run('mosquitto_sub', [...v, '-t', `${version}/kept/#`, '-W', '1']);
    assert.deepEqual(
      none.lines.filter((line) => line !== 'Timed out'),
      [],
      'nothing is retained any more',
    );
  });

  test(`${version}: how a subscriber is told to read`, async (t) => {
    const topic = `${version}/read`;
    const json = await sub(t, ...v, '-t', topic, '-F', '%j', '--pretty', '-i', `json-${version}`, '--nodelay');
    const some = await sub(t, ...v, '-t', topic, '--random-filter', '100', '-I', 'some-', '-A', '127.0.0.1');
    const off = await sub(t, ...v, '-t', topic, '-t', `${topic}/other`, '-U', topic, '-F', '%t=%p', '-q', '1');
    await pub(...v, '-t', topic, '-m', 'read me', '-q', '1');
    await pub(...v, '-t', `${topic}/other`, '-m', 'other', '-q', '1');
    await json.line('JSON', (line) => line.includes('"payload"') && line.includes('read me'), DEADLINE_MS);
    // Version 2.0.11 prints nothing all the same.
    await some.line('the PUBLISH', (line) => line.includes('received PUBLISH'), DEADLINE_MS);
    await sees(off, `${topic}/other=other`);
    assert.ok(!off.lines.includes(`${topic}=read me`), 'it has unsubscribed');
    const subscribed = await run('mosquitto_sub', [...v, '-t', topic, '-E', '--quiet']);
    assert.equal(subscribed.code, 0);
    const url = `mqtt://line3:secret@127.0.0.1:${box.tcp}/${topic}/url`;
    const timed = await run('mosquitto_sub', ['-L', url, ...v, '-W', '1']);
    assert.equal(timed.code, 27, 'its own time was over');
    assert.equal((await run('mosquitto_sub', [...v, '-u', 'line3', '-P', 'wrong', '-t', topic])).code !== 0, true);
  });

  test(`${version}: a will of each client`, async (t) => {
    const topic = `${version}/wills`;
    const watcher = await sub(t, ...v, '-t', `${topic}/#`, '-F', '%t=%p', '-q', '1');
    const wills = (name: string, qos: string) => [
      ...['--will-topic', `${topic}/${name}`, '--will-payload', 'gone', '--will-qos', qos, '--will-retain'],
    ];
    const doomed = await sub(t, ...v, '-t', 'x', ...wills('sub', '1'));
    await doomed.kill();
    await sees(watcher, `${topic}/sub=gone`);
    const args = whole([...v, '-t', 'x', '-l', ...wills('pub', '2')]);
    note('mosquitto_pub', args);
    const publisher = new Child('stdbuf', ['-oL', 'mosquitto_pub', ...args, '-d', '-i', `will-${version}`]);
    await publisher.line('its CONNACK', (line) => line.includes('received CONNACK'), DEADLINE_MS);
    await publisher.kill();
    await sees(watcher, `${topic}/pub=gone`);
    const asking = whole([...v, '-t', 'nobody', '-e', `${topic}/answer`, '-m', 'x', '-W', '20', ...wills('rr', '0')]);
    note('mosquitto_rr', asking);
    const requester = new Child('stdbuf', ['-oL', 'mosquitto_rr', ...asking, '-d', '-i', `rr-${version}`]);
    await requester.line('its SUBACK', (line) => line.includes('received SUBACK'), DEADLINE_MS);
    await requester.kill();
    await sees(watcher, `${topic}/rr=gone`);
    const kept = await run('mosquitto_sub', [...v, '-t', `${topic}/#`, '-C', '3', '-W', '10']);
    assert.deepEqual(kept.lines, ['gone', 'gone', 'gone'], 'their wills were retained');
  });

  test(`${version}: TLS in every way that the clients know`, async (t) => {
    const { authority, certificate } = box;
    const folder = join(tempDir(t, 'capath'), 'certs');
    mkdirSync(folder);
    writeFileSync(join(folder, 'ca.pem'), readFileSync(authority.ca));
    execFileSync('openssl', ['rehash', folder], { stdio: 'ignore' });
    const at = (port: number, host = '127.0.0.1') => ['-h', host, '-p', String(port), ...v];
    const proof = ['--cert', certificate.cert, '--key', certificate.key];
    const ways: [name: string, args: string[], env?: NodeJS.ProcessEnv][] = [
      ['cafile', [...at(box.tls), '--cafile', authority.ca, '--tls-version', 'tlsv1.3']],
      [
        'ciphers',
        [
          ...at(box.tls),
          '--cafile',
          authority.ca,
          '--tls-version',
          'tlsv1.2',
          '--ciphers',
          'ECDHE-ECDSA-AES128-GCM-SHA256',
        ],
      ],
      ['capath', [...at(box.tls, 'localhost'), '--capath', folder, '--tls-alpn', 'mqtt']],
      ['system', [...at(box.tls), '--tls-use-os-certs'], { SSL_CERT_FILE: authority.ca }],
      ['insecure', [...at(box.tls, '127.0.0.1'), '--cafile', authority.ca, '--insecure']],
      ['certificate', [...at(box.mutualTls), '--cafile', authority.ca, ...proof, '--keyform', 'pem']],
    ];
    const asking: Promise<Outcome>[] = [];
    for (const [name, args, env = {}] of ways) {
      const topic = `${version}/tls/${name}`;
      const published = await run('mosquitto_pub', [...args, '-t', topic, '-m', name, '-r', '-q', '1'], null, env);
      assert.equal(published.code, 0, `${name}: ${published.lines.join('\n')}`);
      const read = await run('mosquitto_sub', [...args, '-t', topic, '-C', '1', '-W', '10'], null, env);
      assert.deepEqual(read.lines, [name], name);
      const asked = [...args, '-t', `${topic}/none`, '-e', `${topic}/answer`, '-m', 'x', '-W', '1'];
      // Each waits a second for an answer that nobody gives: all at once.
      asking.push(run('mosquitto_rr', asked, null, env));
    }
    for (const { code, lines } of await Promise.all(asking)) assert.equal(code, 27, lines.join('\n'));
    const stranger = await run('mosquitto_pub', [...at(box.mutualTls), '--cafile', authority.ca, '-t', 'x', '-m', 'x']);
    assert.notEqual(stranger.code, 0, 'without a certificate');
  });

  test(`${version}: through a SOCKS proxy`, async (t) => {
    const proxy = await startSocksProxy(t);
    const url = `socks5h://127.0.0.1:${proxy.port}`;
    const reader = await sub(t, ...v, '-t', `${version}/socks`, '-F', '%p', '--proxy', url);
    await pub(...v, '-t', `${version}/socks`, '-m', 'through', '--proxy', url, '-q', '1');
    await sees(reader, 'through');
    const asked = [...v, '-t', `${version}/none`, '-e', `${version}/answer`, '-m', 'x', '-W', '1', '--proxy', url];
    assert.equal((await run('mosquitto_rr', asked)).code, 27);
    assert.equal(proxy.connections, 3);
  });

  test(`${version}: mosquitto_rr asks, and a responder answers`, async (t) => {
    const ask = `${version}/ask`;
    const answer = `${version}/answer`;
    const file = join(tempDir(t, 'file'), 'question');
    writeFileSync(file, 'from a file');
    const asked: [args: string[], stdin: string | null][] = [
      [['-m', 'from an argument', '-q', '0', '-F', '%t=%p'], null],
      [['-f', file, '-q', '1', '-v', '-i', `asker-${version}`, '-k', '30'], null],
      [['-n', '-q', '1', '-N', '-I', 'asker-', '--nodelay', '-A', '127.0.0.1'], null],
      [['-s', '-d', '-F', '%j', '--pretty', '-R', '--quiet'], 'from standard input'],
      [['-m', 'by a user', '-u', 'line3', '-P', 'secret', '-R'], null],
    ];
    for (const [args, stdin] of asked) {
      const responder = await sub(t, ...v, '-t', ask, '-C', '1', '-F', '%R|%p');
      const asking = run('mosquitto_rr', [...v, '-t', ask, '-e', answer, '-W', '15', ...args], stdin);
      const question = await responder.line('the question', (line) => line.includes('|'), DEADLINE_MS);
      assert.equal(
        question.split('|')[0],
        version === 'mqttv5' ? answer : '',
        'the response topic is a property of 5.0',
      );
      await pub(...v, '-t', answer, '-m', 'answered');
      const { code, lines } = await asking;
      assert.equal(code, 0, lines.join('\n'));
      assert.ok(
        lines.some((line) => line.includes('answered')),
        lines.join('\n'),
      );
    }
    const url = ['-L', `mqtt://line3:secret@127.0.0.1:${box.tcp}/${ask}`, ...v, '-e', answer, '-m', 'x', '-W', '1'];
    assert.equal((await run('mosquitto_rr', url)).code, 27);
  });
}

for (const version of versions) {
  test(`${version}: -c and -x keep a session, and its messages at QoS 1 and 2, while the client is away`, async () => {
    const topic = `${version}/session`;
    const expiry = version === 'mqttv5' ? ['-x', '600'] : [];
    const v = ['-V', version, ...expiry, '-c', '-i', `session-${version}`];
    const first = await run('mosquitto_sub', [...v, '-t', `${topic}/#`, '-q', '2', '-E']);
    assert.equal(first.code, 0);
    for (const qos of ['1', '2']) await pub('-V', version, '-t', `${topic}/${qos}`, '-m', `missed ${qos}`, '-q', qos);
    const back = await run('mosquitto_sub', [
      ...v,
      '-t',
      `${topic}/#`,
      '-q',
      '2',
      '-C',
      '2',
      '-W',
      '10',
      '-F',
      '%q %p',
    ]);
    assert.deepEqual(back.lines, ['1 missed 1', '2 missed 2']);
    const clean = ['-V', version, '-i', `session-${version}`, '-t', `${topic}/#`, '-q', '2', '-W', '1'];
    for (const qos of ['1', '2']) await pub('-V', version, '-t', `${topic}/${qos}`, '-m', 'for nobody', '-q', qos);
    assert.ok(!(await run('mosquitto_sub', clean)).lines.includes('for nobody'), 'a clean session has no past');
    // A publisher and a requester with a session of their own come and go with it.
    await pub('-V', version, ...expiry, '-c', '-i', `p-${version}`, '-t', `${topic}/p`, '-m', 'x', '-q', '2');
    await pub('-V', version, ...expiry, '-c', '-i', `p-${version}`, '-t', `${topic}/p`, '-m', 'x', '-q', '2');
    const asking = ['-V', version, ...expiry, '-c', '-i', `r-${version}`, '-t', `${topic}/q`, '-e', `${topic}/a`];
    assert.equal((await run('mosquitto_rr', [...asking, '-m', 'x', '-W', '1'])).code, 27);
  });
}

test('properties of every packet that mosquitto can send (5.0)', async (t) => {
  const v = ['-V', 'mqttv5'];
  const property = (packet: string, name: string, ...values: string[]) => ['-D', packet, name, ...values];
  const connect = [
    ...property('connect', 'receive-maximum', '10'),
    ...property('connect', 'maximum-packet-size', '100000'),
    ...property('connect', 'user-property', 'site', 'north'),
    ...property('connect', 'request-problem-information', '1'),
    ...property('connect', 'request-response-information', '1'),
    ...property('connect', 'topic-alias-maximum', '3'),
  ];
  const reader = await sub(
    t,
    ...[...v, ...connect, '-t', 'props/#', '-q', '1', '-F', '%t|%p|%C|%R|%D|%E|%A|%S|%P', '-i', 'props-reader'],
    ...property('subscribe', 'subscription-identifier', '300'),
    ...property('subscribe', 'user-property', 'k', 'v'),
    ...['-U', 'props-not/here', ...property('unsubscribe', 'user-property', 'k', 'v')],
    ...property('disconnect', 'session-expiry-interval', '0'),
    ...['--will-topic', 'props/will', '--will-payload', 'gone'],
    ...property('will', 'content-type', 'text/will'),
    ...property('will', 'user-property', 'why', 'power'),
  );
  const publish = [
    ...property('publish', 'content-type', 'text/plain'),
    ...property('publish', 'response-topic', 'answers/1'),
    ...property('publish', 'correlation-data', 'abc'),
    ...property('publish', 'message-expiry-interval', '3600'),
    ...property('publish', 'payload-format-indicator', '1'),
    ...property('publish', 'topic-alias', '2'),
    ...property('publish', 'user-property', 'unit', 'celsius'),
    ...property('publish', 'user-property', 'place', 'line 3'),
  ];
  await pub(
    ...v,
    ...connect,
    '-t',
    'props/1',
    '-m',
    '21',
    '-q',
    '1',
    ...publish,
    '--property',
    'disconnect',
    'user-property',
    'a',
    'b',
  );
  const seen = await reader.line('the message', (line) => line.startsWith('props/1|'), DEADLINE_MS);
  assert.match(seen, /^props\/1\|21\|text\/plain\|answers\/1\|abc\|(3600|359\d)\|/);
  assert.match(seen, /unit:celsius.*place:line 3/);
  const watcher = await sub(t, ...v, '-t', 'props/will', '-F', '%C %P');
  await reader.kill();
  await sees(watcher, 'text/will why:power');
  const asked = [
    ...connect,
    ...property('publish', 'user-property', 'q', '1'),
    '-t',
    'props/ask',
    '-e',
    'props/answer',
    '-m',
    'x',
  ];
  const asking = run('mosquitto_rr', [...v, ...asked, '-W', '15']);
  const responder = await sub(t, ...v, '-t', 'props/ask', '-F', '%R');
  const isAsked = await Promise.race([
    responder.line('the question', (line) => line === 'props/answer', 1_000),
    asking,
  ]).catch(() => null);
  assert.ok(isAsked === null || typeof isAsked === 'string');
  await pub(...v, '-t', 'props/answer', '-m', 'done');
  await asking;
});

test('no flag was left out', (t) => {
  for (const program of programs) {
    const help = execFileSync('sh', ['-c', `${program} --help; true`]).toString();
    used[program].add('--help');
    const offered = new Set<string>(help.match(/(?<=^ |[[{ |])--?[A-Za-z][a-z0-9-]*/gm) ?? []);
    const open = [...offered].filter((flag) => !used[program].has(flag) && reasons[flag] === undefined);
    t.diagnostic(`${program}: ${offered.size} flags, ${used[program].size} used`);
    assert.deepEqual(open, [], program);
  }
});
