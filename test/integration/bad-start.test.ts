import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import mqtt from 'mqtt';
import { stringify } from 'yaml';
import { type LogLine, startBox } from '../support/box.ts';
import { Child } from '../support/child.ts';
import { mosquittoPub } from '../support/mosquitto.ts';
import { freePort } from '../support/ports.ts';
import { atEnd } from '../support/scope.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait-for.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
/** Far beyond what a command takes that only complains. */
const RUN_TIMEOUT_MS = 20_000;

interface Ended {
  code: number | null;
  lines: readonly string[];
  text: string;
  /** The last line of the log, where there is one. */
  last: LogLine;
}

/** Runs `petiole ARGS` to its end, as somebody does whose output goes to a file. */
async function petiole(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = new Child(process.execPath, [MAIN, ...args], { cwd, env });
  const timer = setTimeout(() => child.signal('SIGKILL'), RUN_TIMEOUT_MS);
  const { code } = await child.exited;
  clearTimeout(timer);
  const { lines } = child;
  const logged = lines.filter((line) => line.startsWith('{"level"'));
  return { code, lines, text: lines.join('\n'), last: JSON.parse(logged.at(-1) ?? '{}') };
}

interface Settings {
  data?: string;
  mqtt?: string;
  nats?: string;
  status?: string;
}

/** A folder with a petiole.yaml that is sound but for what a test puts in. */
function folderWith(t: TestContext, settings: Settings): string {
  const { data = 'data', mqtt = '127.0.0.1:0', nats = '127.0.0.1:0', status = '127.0.0.1:0' } = settings;
  const folder = tempDir(t, 'start');
  const config = {
    gateway: { name: 'box', data },
    mqtt: { listeners: [{ listen: mqtt }] },
    nats: { listen: nats },
    status: { listen: status },
  };
  writeFileSync(join(folder, 'petiole.yaml'), stringify(config));
  return folder;
}

/** A port of loopback that another program listens on. */
async function takenPort(t: TestContext): Promise<number> {
  const port = await freePort();
  const server = createServer().listen(port, '127.0.0.1');
  await new Promise<void>((resolve) => server.once('listening', resolve));
  atEnd(t, () => new Promise<void>((resolve) => void server.close(() => resolve())));
  return port;
}

const TEN_MISTAKES = `gateway:
  nmae: plant1
log: { level: debgu }
mqtt:
  listeners:
    - listen: 0.0.0.0:1884
  packet_max: 64
  connect_timeout: 10 seconds
lanes:
  - name: telemetry
    subjects: ["line3/#"]
    max_bytes: 1Gb
  - name: telemetry
    subjects: ["x.>"]
upstream:
  urls: ["hub:7422"]
  user: box
`;

test('ten mistakes in a configuration: all are told, each with its place and its cure, and nothing starts', async (t) => {
  const folder = tempDir(t, 'start');
  writeFileSync(join(folder, 'petiole.yaml'), TEN_MISTAKES);
  const expected: [number, string][] = [
    [2, 'gateway.nmae'],
    [3, 'log.level'],
    [6, 'mqtt.listeners[0].listen'],
    [7, 'mqtt.packet_max'],
    [8, 'mqtt.connect_timeout'],
    [11, 'lanes[0].subjects[0]'],
    [12, 'lanes[0].max_bytes'],
    [13, 'lanes[1].name'],
    [16, 'upstream.urls[0]'],
    [17, 'upstream.user'],
  ];
  for (const command of ['run', 'check']) {
    const { code, lines } = await petiole([command], folder);
    assert.equal(code, 78);
    for (const [line, key] of expected) {
      const at = lines.findIndex((text) => text.includes(`petiole.yaml:${line}:`) && text.includes(`: ${key}: `));
      assert.ok(at >= 0, `${key} in\n${lines.join('\n')}`);
      assert.match(lines[at + 1] ?? '', /^ {4}cure: \S/);
    }
    assert.equal(lines.at(-1), '10 problems');
  }
  assert.ok(!existsSync(join(folder, 'data')));
});

test('a mistake in a variable of the environment is told by its name', async (t) => {
  const folder = folderWith(t, {});
  const { code, text } = await petiole(['run'], folder, { PETIOLE_GATEWAY_NMAE: 'x', PETIOLE_JOURNAL_RESERVE: '5' });
  assert.equal(code, 78);
  assert.match(text, /PETIOLE_GATEWAY_NMAE: no such setting\n {4}cure: did you mean PETIOLE_GATEWAY_NAME\?/);
  assert.match(text, /PETIOLE_JOURNAL_RESERVE: journal\.reserve: .*\n {4}cure: .*KiB/);
});

for (const [what, key] of [
  ['mqtt', 'mqtt.listeners'],
  ['nats', 'nats.listen'],
  ['status', 'status.listen'],
] as const) {
  test(`a taken port (${key}): the address and the setting are named, and nothing is left running`, async (t) => {
    const port = await takenPort(t);
    const folder = folderWith(t, { [what]: `127.0.0.1:${port}` });
    const { code, last } = await petiole(['run'], folder);
    assert.equal(code, 1);
    assert.equal(last.code, 'address_in_use');
    assert.equal(last.level, 60);
    assert.match(String(last.msg), new RegExp(`127\\.0\\.0\\.1:${port}`));
    assert.match(String(last.hint), new RegExp(key.replace('.', '\\.')));
    // The journal was open already, and has been closed: another box may have it.
    const other = await startBox(t, { dataDir: join(folder, 'data') });
    assert.deepEqual(await other.stop(), { code: 0, signal: null });
  });
}

test('a data folder that is a file, lies below a file, or may not be written: said, with gateway.data to mend', async (t) => {
  const folder = tempDir(t, 'start');
  writeFileSync(join(folder, 'file'), 'mine');
  mkdirSync(join(folder, 'shut/petiole.db'), { recursive: true });
  // /sys and /proc let nobody make folders, root neither.
  for (const data of [
    join(folder, 'file'),
    join(folder, 'file/data'),
    join(folder, 'shut'),
    '/sys/petiole',
    '/proc/petiole/data',
  ]) {
    const { code, last } = await petiole(['run'], folderWith(t, { data }));
    assert.equal(code, 1, data);
    assert.equal(last.code, 'store_failed');
    assert.ok(String(last.msg).includes(data), String(last.msg));
    assert.match(String(last.hint), /gateway\.data/, String(last.msg));
  }
});

test('a second box on the same data folder is told so, and the first goes on', async (t) => {
  const first = await startBox(t);
  const { code, last } = await petiole(['run'], folderWith(t, { data: first.dataDir }));
  assert.equal(code, 1);
  assert.equal(last.code, 'store_locked');
  assert.ok(String(last.msg).includes(first.dataDir));
  assert.match(String(last.hint), /gateway\.data/);
  assert.equal((await mosquittoPub(first.mqttPort, '-q', '1', '-t', 'a', '-m', 'b')).code, 0);
  await waitFor('one record', async () => (await first.status()).lanes[0].depth === 1);
});

test('an unknown command or option: the complaint first, then the help', async (t) => {
  const folder = tempDir(t, 'start');
  const unknown = await petiole(['strat'], folder);
  assert.equal(unknown.code, 64);
  assert.match(unknown.text, /^petiole: there is no command strat.*\n\nUsage: petiole COMMAND/);
  for (const command of ['run', 'check', 'status']) {
    const { code, text } = await petiole([command, '--colour'], folder);
    assert.equal(code, 64);
    assert.match(text, /unknown option '--colour'.*\n\n(Usage: )?petiole \w+ \[/i);
  }
  // Names that every object has are no commands.
  assert.equal((await petiole(['constructor'], folder)).code, 64);
  const bare = await petiole([], folder);
  assert.equal(bare.code, 64);
  assert.match(bare.text, /^Usage: petiole COMMAND/);
});

test('every command that the help lists has help of its own', async (t) => {
  const folder = tempDir(t, 'start');
  const { code, text } = await petiole(['--help'], folder);
  assert.equal(code, 0);
  const names = [...text.matchAll(/^ {2}(\w+) +\S/gm)].map(([, name = '']) => name);
  for (const name of ['run', 'check', 'status', 'version']) assert.ok(names.includes(name), name);
  for (const name of names) {
    const help = await petiole([name, '--help'], folder);
    assert.equal(help.code, 0);
    assert.match(help.text, new RegExp(`^(Usage: )?petiole ${name}\\b`));
    assert.ok(help.lines.every((line) => line.length <= 120));
    assert.equal((await petiole(['help', name], folder)).text, help.text);
  }
});

test('SIGTERM in the middle of a load: exit 0, and everything acknowledged is on the disk', async (t) => {
  const box = await startBox(t);
  const client = await mqtt.connectAsync(box.mqttUrl, { reconnectPeriod: 0 });
  atEnd(t, () => client.endAsync(true));
  client.on('error', () => undefined);
  let sent = 0;
  let acknowledged = 0;
  const publishing = Promise.all(
    Array.from({ length: 20 }, async () => {
      while (client.connected) {
        sent++;
        const isAcknowledged = await new Promise((resolve) =>
          client.publish('line3/temp', String(sent), { qos: 1 }, (error) => resolve(!error)),
        );
        if (isAcknowledged) acknowledged++;
      }
    }),
  );
  await waitFor('the load', () => acknowledged > 500);
  assert.deepEqual(await box.stop(), { code: 0, signal: null });
  assert.equal(box.log.at(-1)?.msg, 'stopped');
  await client.endAsync(true);
  await Promise.race([publishing, waitFor('the client to give up', () => !client.connected)]);
  await box.start();
  const { depth } = (await box.status()).lanes[0];
  assert.ok(depth >= acknowledged && depth <= sent, `${acknowledged} acknowledged, ${depth} kept, ${sent} sent`);
});

test('SIGTERM while the hub is away ends as quickly', async (t) => {
  const port = await freePort();
  const box = await startBox(t, { config: { upstream: { urls: [`nats://127.0.0.1:${port}`] } } });
  await box.logged('no link', (line) => line.code === 'connection_refused');
  assert.deepEqual(await box.stop(), { code: 0, signal: null });
});

test('check and status on a terminal: what a person sees, in the box up and away', async (t) => {
  const statusPort = await freePort();
  const folder = folderWith(t, { status: `127.0.0.1:${statusPort}` });
  const checked = await petiole(['check'], folder);
  assert.equal(checked.code, 0);
  assert.match(checked.text, /petiole\.yaml: no problems\n {2}gateway +box, data in \S+data\n {2}mqtt +127\.0\.0\.1:0/);
  const away = await petiole(['status'], folder);
  assert.equal(away.code, 1);
  assert.match(away.text, /^No box runs at http:\/\/127\.0\.0\.1:\d+\. Start it with `petiole run`/);

  const terminal = onTerminal(t, folder, 'run');
  await terminal.line('ready', (line) => line.includes(' ready '), RUN_TIMEOUT_MS);
  // The way to the status page is told beside the log, to whoever sits at the terminal.
  const events = terminal.lines.map(withoutColours).filter((line) => !line.startsWith('Sign in to the status page'));
  // One line for an event, whatever it carries.
  for (const line of events) assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} INFO +\w+ +\S/);
  assert.match(
    events.at(-1) ?? '',
    /^\S+ INFO +main +ready +listeners\.mqtt=127\.0\.0\.1:\d+ listeners\.nats=127\.0\.0\.1:\d+ listeners\.status=127\.0\.0\.1:\d+$/,
  );

  const up = onTerminal(t, folder, 'status');
  assert.equal((await up.exited).code, 0);
  const screen = up.lines.map(withoutColours);
  assert.match(screen[0] ?? '', /^box Petiole \d+\.\d+\.\d+$/);
  assert.match(screen.join(' ').replace(/\s+/g, ' '), /No upstream is configured: messages will be kept here until/);
  // A terminal that doesn't know its size counts as one of 80 columns.
  assert.ok(screen.every((line) => [...line].length <= 80));
  assert.ok(screen.some((line) => [...line].length > 40));
});

/** Runs `petiole COMMAND` on a terminal of its own. */
function onTerminal(t: TestContext, cwd: string, command: string): Child {
  const child = new Child('script', ['-qefc', `exec '${process.execPath}' '${MAIN}' ${command}`, '/dev/null'], { cwd });
  atEnd(t, async () => {
    child.process.stdin?.write('\x03');
    const { code } = await child.stop();
    assert.equal(code, 0);
  });
  return child;
}

function withoutColours(line: string): string {
  return line.replaceAll(/\p{Cc}\[\d*m/gu, '');
}
