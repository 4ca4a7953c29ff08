/**
 * Goal: whatever is wrong with the hub, the box starts, takes and acknowledges messages, and says what is wrong and how
 * to mend it; once it is mended every message arrives, once. Method: the whole box against real servers set up wrongly,
 * and against a far end that speaks bytes for what no real server does.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Box, type BoxConfig, startBox } from '../support/box.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { leafInfo, startFakeHub } from '../support/fake-hub.ts';
import { auditStream, connectHub, createStream, readStream } from '../support/hub-stream.ts';
import { LaneBalance } from '../support/lane-balance.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { type NatsServer, type NatsServerOptions, startNatsServer } from '../support/nats-server.ts';
import type { Ranges } from '../support/ranges.ts';
import { Lifetime, type Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAM = 'PLANT';
const MESSAGES = 300;
/** Two failed attempts and the longest wait that may follow. */
const MENDED_TIMEOUT_MS = 60_000;

interface Failure {
  code: string;
  message: string;
  hint: string;
}

interface Status {
  link: { state: string; lastError: Failure | null };
  lanes: { name: string; state: string; reason: Failure | null; depth: number; inFlight: number }[];
  ledger: { lane: string; reason: string; count: number; synced: boolean }[];
  problems: (Failure & { part: string })[];
}

function statusOf(box: Box): Promise<Status> {
  return box.status();
}

function configFor(url: string, upstream: Record<string, unknown> = {}): BoxConfig {
  return {
    lanes: [{ name: 'bench', subjects: ['bench.>'] }],
    upstream: { urls: [url], connect_timeout: '1s', ping_interval: '1s', ...upstream },
  };
}

/** The box takes messages whatever its hub is like. */
async function publish(scope: Scope, { mqttPort: port }: Box): Promise<Record<string, Ranges>> {
  const load = await runLoad(scope, { port, connections: 3, messages: MESSAGES });
  assert.deepEqual(load.errors, []);
  assert.equal(load.acked, MESSAGES);
  return load.ackedRanges;
}

/** What the page says of it, with a cure. */
async function problemOf(box: Box, part: string, code: string): Promise<Failure> {
  const found = await waitFor(
    `the status to name ${code} of ${part}`,
    async () => {
      const { problems } = await statusOf(box);
      const problem = problems.find((candidate) => candidate.part === part && candidate.code === code);
      if (!problem) throw new Error(JSON.stringify(problems));
      return problem;
    },
    { timeoutMs: 20_000, intervalMs: 50 },
  );
  assert.notEqual(found.message, '');
  assert.notEqual(found.hint, '');
  return found;
}

/** Every message once and in order, and nothing to complain of any more. */
async function assertMended(scope: Scope, hub: NatsServer, box: Box, acked: Record<string, Ranges>): Promise<void> {
  const well = async () => {
    const { link, lanes, problems: all } = await statusOf(box);
    // A machine that others use too may well be slow.
    const problems = all.filter(({ code }) => code !== 'disk_slow');
    if (link.state !== 'up' || problems.length > 0) throw new Error(JSON.stringify({ link, problems }));
    return lanes.every(({ depth, inFlight }) => depth + inFlight === 0);
  };
  await waitFor('the box to have sent everything', well, { timeoutMs: MENDED_TIMEOUT_MS, intervalMs: 50 });
  const { messages, lost, duplicated, outOfOrder } = await auditStream(
    await connectHub(scope, hub.clientUrl),
    STREAM,
    acked,
  );
  assert.deepEqual(
    { messages, lost, duplicated, outOfOrder },
    { messages: MESSAGES, lost: 0, duplicated: 0, outOfOrder: 0 },
  );
}

async function addStream(scope: Scope, hub: NatsServer): Promise<void> {
  await createStream(await connectHub(scope, hub.clientUrl), STREAM, ['bench.>', 'petiole.*.ledger']);
}

/** A hub with a stream that takes everything of the box. */
async function startHub(scope: Scope, options: NatsServerOptions = {}): Promise<NatsServer> {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, ...options });
  await addStream(scope, hub);
  return hub;
}

// Mostly waits between attempts to reconnect.
describe('a bad hub', { concurrency: 3, timeout: 120_000 }, () => {
  const life = new Lifetime();
  let authority: Authority;
  let good: Certificate;
  const tls = (ca: string) => ({ tls: { ca } });

  before(() => {
    authority = new Authority(life);
    good = authority.issue('hub', 'IP:127.0.0.1');
  });
  after(() => life.end());

  it('unreachable: nothing listens there, until it does', async (scope) => {
    const hub = await startHub(scope);
    await hub.kill();
    const box = await startBox(scope, { config: configFor(hub.leafUrl) });
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'upstream', 'connection_refused');
    assert.match(hint, /7422/);
    await hub.restart();
    await assertMended(scope, hub, box, acked);
  });

  it('accepts the socket and says nothing: given up within its bound, and tried again', async (scope) => {
    const hub = await startHub(scope);
    const link = await startTcpProxy(scope, hub.leafPort);
    link.blackhole();
    const box = await startBox(scope, { config: configFor(`nats://127.0.0.1:${link.port}`) });
    const acked = await publish(scope, box);
    const { message } = await problemOf(box, 'upstream', 'connection_timeout');
    assert.match(message, /nothing within 1000 ms/);
    await link.restore();
    await assertMended(scope, hub, box, acked);
  });

  it('wrong password: told, and mended in the configuration', async (scope) => {
    const hub = await startHub(scope, { leafnodes: { user: 'plant1', password: 'right' } });
    const login = (password: string) => configFor(hub.leafUrl, { user: 'plant1', password });
    const box = await startBox(scope, { config: login('wrong') });
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'upstream', 'authorization_failed');
    assert.match(hint, /upstream\.password/);
    assert.doesNotMatch(JSON.stringify(await statusOf(box)), /"wrong"/, 'a password is on no page');
    box.configure(login('right'));
    await box.restart();
    await assertMended(scope, hub, box, acked);
  });

  it('an authority that the box does not trust: told, and mended in the configuration', async (scope) => {
    const hub = await startHub(scope, { leafnodes: { tls: good } });
    const box = await startBox(scope, { config: configFor(hub.leafUrl, tls(new Authority(scope).ca)) });
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'upstream', 'tls_failed');
    assert.match(hint, /upstream\.tls\.ca/);
    box.configure(configFor(hub.leafUrl, tls(authority.ca)));
    await box.restart();
    await assertMended(scope, hub, box, acked);
  });

  it('an expired certificate: told with a look at the clock, until the hub has a new one', async (scope) => {
    const hub = await startHub(scope, { leafnodes: { tls: authority.issue('expired', 'IP:127.0.0.1', -1) } });
    const box = await startBox(scope, { config: configFor(hub.leafUrl, tls(authority.ca)) });
    const acked = await publish(scope, box);
    const { message, hint } = await problemOf(box, 'upstream', 'tls_failed');
    assert.match(message, /expired/);
    assert.match(hint, /clock/);
    await hub.restart({ leafnodes: { tls: good } });
    await assertMended(scope, hub, box, acked);
  });

  it('without JetStream: the link is up and the lane waits, until there is a stream', async (scope) => {
    const hub = await startNatsServer(scope, { leafnodes: true });
    const box = await startBox(scope, { config: configFor(hub.leafUrl) });
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'lane bench', 'hub_no_jetstream');
    assert.match(hint, /JetStream/);
    assert.equal((await statusOf(box)).link.state, 'up');
    await hub.restart({ jetstream: true });
    await addStream(scope, hub);
    await assertMended(scope, hub, box, acked);
  });

  it('without headers: records can bear no identity and wait, until the hub takes headers', async (scope) => {
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, extra: 'no_header_support: true' });
    await addStream(scope, hub);
    const box = await startBox(scope, { config: configFor(hub.leafUrl) });
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'lane bench', 'hub_no_headers');
    assert.match(hint, /no_header_support/);
    await hub.restart({ extra: '' });
    await assertMended(scope, hub, box, acked);
  });

  it('no stream takes the subject: the lane waits, and goes on as soon as one does', async (scope) => {
    const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
    const box = await startBox(scope, { config: configFor(hub.leafUrl) });
    const acked = await publish(scope, box);
    const { message, hint } = await problemOf(box, 'lane bench', 'no_stream');
    assert.match(message, /bench\.c\d/);
    assert.match(hint, /nats stream add/);
    await addStream(scope, hub);
    await assertMended(scope, hub, box, acked);
  });

  it('a leaf loop: told, and mended with another address', async (scope) => {
    const loop = await startFakeHub(scope);
    const box = await startBox(scope, { config: configFor(loop.url) });
    await loop.hears(/CONNECT /);
    loop.say(`INFO ${JSON.stringify({ ...leafInfo, connect_info: true })}\r\n`);
    const [, own] = await loop.hears(/LS\+ (\$LDS\.\S+)\r\n/);
    loop.say(`PONG\r\nLS+ ${own}\r\n`);
    const acked = await publish(scope, box);
    const { hint } = await problemOf(box, 'upstream', 'hub_loop');
    assert.match(hint, /remove one of the links/);
    const hub = await startHub(scope);
    box.configure(configFor(hub.leafUrl));
    await box.restart();
    await assertMended(scope, hub, box, acked);
  });

  it('max_payload smaller than a message: that one goes to the ledger, the others arrive', async (scope) => {
    const hub = await startHub(scope, { maxPayload: 4_096 });
    const box = await startBox(scope, { config: configFor(hub.leafUrl) });
    const { mqttPort: port } = box;
    const large = { port, payloadBytes: 5_000, messages: 4, clientPrefix: 'large' };
    const [{ ackedRanges }, { acked }] = await Promise.all([
      runLoad(scope, { port, connections: 3, messages: MESSAGES }),
      runLoad(scope, large),
    ]);
    assert.equal(acked, large.messages);
    const { message, hint } = await problemOf(box, 'lane bench', 'lost_oversize');
    assert.match(message, /4 messages/);
    assert.match(hint, /max_payload/);
    const told = async () => {
      const { lanes, ledger } = await statusOf(box);
      return ledger.every(({ synced }) => synced) && lanes.every(({ depth, inFlight }) => depth + inFlight === 0);
    };
    await waitFor('the loss to be told', told, { timeoutMs: MENDED_TIMEOUT_MS, intervalMs: 50 });

    const balance = new LaneBalance('bench');
    const reader = await connectHub(scope, hub.clientUrl);
    await readStream(reader, STREAM, ({ subject, payload, id }) => {
      if (subject === 'petiole.box.ledger') balance.addDeclaration(payload);
      else balance.addRecord(id);
    });
    assert.deepEqual(balance.report(MESSAGES + large.messages), {
      arrived: MESSAGES,
      declared: large.messages,
      refused: 0,
      both: 0,
      neither: 0,
      twice: 0,
      uneven: 0,
    });
    const { lost } = await auditStream(reader, STREAM, ackedRanges);
    assert.equal(lost, 0);
  });
});
