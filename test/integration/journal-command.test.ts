import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { WATERMARK } from '../../src/upstream/watermark.ts';
import { type Box, DIST, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream, waitForStream } from '../support/hub-stream.ts';
import { openFile } from '../support/journal.ts';
import { runLoad } from '../support/mqtt-load.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { binaryFor, createStreamFor, type Procedure } from '../support/procedures.ts';
import type { Scope } from '../support/scope.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const WAIT = { timeoutMs: 60_000, intervalMs: 20 };
const SENT = 100;
const BACKLOG = 400;

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

function petiole(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(DIST, 'main.js'), ...args], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** A box that has sent SENT records, or none, and holds BACKLOG more behind a link that is down. */
async function setting(scope: Scope, { sent = SENT, procedure = 'read-back' as Procedure } = {}) {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true, ...binaryFor(procedure) });
  const link = await startTcpProxy(scope, hub.leafPort);
  await hub.restart({ leafnodes: { raw: `  advertise: "127.0.0.1:${link.port}"` } });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStreamFor(procedure, reader, 'T', ['t.>']);
  await createStream(reader, 'LEDGER', ['petiole.*.ledger']);
  const config = {
    lanes: [{ name: 't', subjects: ['t.>'] }],
    upstream: { urls: [`nats://127.0.0.1:${link.port}`] },
  };
  const box = await startBox(scope, { name: 'a', config });
  if (sent > 0) {
    await publish(scope, box, 'sent', sent);
    await waitForStream(reader, 'T', sent);
    // And the box must know of it: PubAcks that are lost with the link leave these records waiting too.
    await drained(box);
  }
  await link.refuse();
  link.cut();
  await waitFor('the link to be down', async () => (await box.status()).link.state !== 'up', WAIT);
  await publish(scope, box, 'backlog', BACKLOG);
  const dir = tempDir(scope, 'stick');
  const secret = join(dir, 'secret');
  writeFileSync(secret, 'correct horse\n');
  return { hub, link, reader, box, config, dir, secret, leaf: `nats://127.0.0.1:${hub.leafPort}` };
}

const publish = (scope: Scope, box: Box, clientPrefix: string, messages: number) =>
  runLoad(scope, { port: box.mqttPort, clientPrefix, messages, connections: 1, topic: 't/x' });

/** Each record of box a once and in order. */
async function assertOnce(reader: NatsConnection, count: number): Promise<void> {
  const found: string[] = [];
  await readStream(reader, 'T', ({ id, header }) => {
    if (header(WATERMARK).length === 0) found.push(id);
  });
  assert.equal(new Set(found).size, found.length, 'nothing twice');
  const numbers = found.map((id) => Number(id.split('.')[3]));
  assert(found.every((id) => id.startsWith('a.')));
  assert.deepEqual(
    numbers,
    Array.from({ length: count }, (_, i) => i + 1),
  );
}

const drained = (box: Box) =>
  waitFor(
    'the box to be drained',
    async () => {
      const { lanes, link } = await box.status();
      return link.state === 'up' && lanes.every(({ depth }: { depth: number }) => depth === 0);
    },
    WAIT,
  );

describe('petiole journal', { timeout: 240_000, concurrency: 2 }, () => {
  for (const procedure of ['read-back', 'atomic'] as const) {
    it(`carries a backlog to the hub, sealed, once: neither a second time nor the box sends it again (${procedure})`, async (scope) => {
      const { link, reader, box, dir, secret, leaf } = await setting(scope, { procedure });
      const bundle = join(dir, 'a.bundle');
      const config = ['--config', box.configFile];
      const locked = await petiole('journal', 'export', bundle, ...config);
      assert.deepEqual([locked.code, locked.stdout], [1, '']);
      assert.match(locked.stderr, /a box is running on .*systemctl stop petiole/i);
      // A running box composes its status once a second at the most.
      const counted = /the box is running[\s\S]*\nt +400 /;
      await waitFor(
        'the backlog',
        async () => counted.test((await petiole('journal', 'stats', ...config)).stdout),
        WAIT,
      );
      await box.stop();
      const out = await petiole('journal', 'export', bundle, '--passphrase-file', secret, '--json', ...config);
      assert.equal(JSON.parse(out.stdout).records, BACKLOG, out.stderr);
      assert(!readFileSync(bundle).includes('petiole_bundle'), 'nothing can be read in it');

      writeFileSync(join(dir, 'wrong'), 'tr0ub4dor\n');
      const wrong = await petiole(
        'journal',
        'send',
        bundle,
        '--hub',
        leaf,
        '--passphrase-file',
        join(dir, 'wrong'),
        ...config,
      );
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, /the passphrase is wrong, or it was changed/);

      const sendIt = () =>
        petiole('journal', 'send', bundle, '--hub', leaf, '--passphrase-file', secret, '--json', ...config);
      const first = await sendIt();
      assert.deepEqual([first.code, JSON.parse(first.stdout || '{}').sent], [0, BACKLOG], first.stderr);
      await assertOnce(reader, SENT + BACKLOG);
      assert.equal(JSON.parse((await sendIt()).stdout).sent, 0);

      await link.restore();
      await box.start();
      await publish(scope, box, 'later', 50);
      await drained(box);
      await assertOnce(reader, SENT + BACKLOG + 50);
      const audited = await petiole('journal', 'audit', '--hub', leaf, ...config);
      assert.match(audited.stdout, /^t: 550 produced = 550 received \+ 0 declared lost \+ 0 waiting\n/, audited.stderr);
      assert.match(audited.stdout, /The difference is empty\.\n$/);
      assert.equal(audited.code, 0);
    });
  }

  for (const { sent, format } of [
    { sent: SENT, format: 'ndjson' },
    { sent: 0, format: 'sqlite' },
  ]) {
    it(`another box takes ${format} of a box that had sent ${sent}; what went by radio meanwhile stays once`, async (scope) => {
      const { link, reader, box, config, dir, leaf } = await setting(scope, { sent });
      const bundle = join(dir, 'a.bundle');
      await box.stop();
      const out = await petiole('journal', 'export', bundle, '--format', format, '--config', box.configFile);
      assert.match(out.stdout, /400 records of 1 lanes/, out.stderr);
      // By radio after all, and all of it.
      await link.restore();
      await box.start();
      await waitForStream(reader, 'T', sent + BACKLOG);
      await box.stop();

      const other = await startBox(scope, { name: 'b', config: { ...config, upstream: { urls: [leaf] } } });
      await other.stop();
      const imported = await petiole('journal', 'import', bundle, '--config', other.configFile);
      assert.match(imported.stdout, /^400 new records in lane @a\.[a-z0-9]+\.t\n/, imported.stderr);
      assert.match((await petiole('journal', 'import', bundle, '--config', other.configFile)).stdout, /^0 new records/);
      await other.start();
      await drained(other);
      await assertOnce(reader, sent + BACKLOG);
      const own = await petiole('journal', 'import', bundle, '--config', box.configFile);
      assert.equal(own.code, 78);
      assert.match(own.stderr, /this box's own/);
    });
  }

  it('moves records to a box that has the way up, and tells a bundle that was cut off', async (scope) => {
    const { reader, box, config, dir, leaf } = await setting(scope);
    const bundle = join(dir, 'a.bundle');
    await box.stop();
    const moved = await petiole('journal', 'export', bundle, '--move', '--json', '--config', box.configFile);
    assert.equal(JSON.parse(moved.stdout).moved, true);
    const { stdout } = await petiole('journal', 'stats', '--json', '--config', box.configFile);
    assert.equal(JSON.parse(stdout).lanes[0].depth, 0);
    const cut = join(dir, 'cut.bundle');
    writeFileSync(cut, readFileSync(bundle));
    truncateSync(cut, readFileSync(bundle).length - 200);
    const other = await startBox(scope, { name: 'b', config: { ...config, upstream: { urls: [leaf] } } });
    await other.stop();
    const refused = await petiole('journal', 'import', cut, '--config', other.configFile);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /not a whole bundle/);
    await petiole('journal', 'import', bundle, '--config', other.configFile);
    await other.start();
    await drained(other);
    await assertOnce(reader, SENT + BACKLOG);
  });

  it('audit finds what the hub lost, and verify what the card did; a trim is declared', async (scope) => {
    const { link, reader, box, leaf } = await setting(scope);
    const config = ['--config', box.configFile];
    await box.stop();
    assert.match((await petiole('journal', 'verify', ...config)).stdout, /^Sound: (4\d\d|500) records/);
    const careless = await petiole('journal', 'trim', '--lane', 't', '--through', '150', ...config);
    assert.equal(careless.code, 78);
    const trimmed = await petiole('journal', 'trim', '--lane', 't', '--through', '150', '--yes', ...config);
    assert.match(trimmed.stdout, /^50 records thrown away/);
    await link.restore();
    await box.start();
    await waitForStream(reader, 'LEDGER', 1);
    await drained(box);
    const audited = await petiole('journal', 'audit', '--hub', leaf, ...config);
    assert.match(audited.stdout, /^t: 500 produced = 450 received \+ 50 declared lost \+ 0 waiting\n/, audited.stderr);
    assert.equal(audited.code, 0);
    const manager = await jetstreamManager(reader);
    await manager.streams.deleteMessage('T', 77);
    const lost = await petiole('journal', 'audit', '--hub', leaf, '--json', ...config);
    assert.equal(lost.code, 1);
    assert.deepEqual(JSON.parse(lost.stdout).lanes[0].missing, [[77, 77]]);

    await link.refuse();
    link.cut();
    await waitFor('the link to be down', async () => (await box.status()).link.state !== 'up', WAIT);
    await publish(scope, box, 'more', 100);
    await box.stop();
    const file = openFile(box.dataDir);
    file.exec(
      'UPDATE batch SET data = zeroblob(length(data)) WHERE id = (SELECT max(id) FROM batch WHERE id < (1 << 45))',
    );
    file.close();
    const damaged = await petiole('journal', 'verify', '--json', ...config);
    assert.equal(damaged.code, 1);
    assert.match(JSON.stringify(JSON.parse(damaged.stdout).damage), /checksum is wrong/);
  });

  it('audit knows what the hub had before the journal was salvaged, and numbers that were never used', async (scope) => {
    const { link, reader, box, leaf } = await setting(scope);
    const config = ['--config', box.configFile];
    await box.stop();
    // Of a full disk page that can't be read: the first one.
    const bytes = readFileSync(join(box.dataDir, 'petiole.db'));
    bytes.write('no store', 0);
    writeFileSync(join(box.dataDir, 'petiole.db'), bytes);
    await link.restore();
    await box.start();
    await drained(box);
    await publish(scope, box, 'later', 50);
    await drained(box);
    await box.stop();
    const file = openFile(box.dataDir);
    const lane = "(SELECT id FROM lane WHERE name = 't')";
    file.exec(`UPDATE lane SET last_sequence = last_sequence + 10 WHERE id = ${lane}`);
    file.exec(`UPDATE lane SET cursor = last_sequence WHERE id = ${lane}`);
    file.exec(
      "INSERT INTO ledger (lane, reason, count, first, last, at_ms, detail) VALUES ('t', 'unassigned', 10, 551, 560, 0, '')",
    );
    file.close();
    const audited = await petiole('journal', 'audit', '--hub', leaf, ...config);
    const sum =
      /^t: 550 produced = 550 received \+ 0 declared lost \+ 0 waiting; (\d+) of them before the journal was salvaged; 10 numbers never used\n/;
    assert.match(audited.stdout, sum, audited.stderr);
    assert(Number(sum.exec(audited.stdout)?.[1]) >= SENT);
    assert.equal(audited.code, 0);
    await assertOnce(reader, 550);
  });
});
