/**
 * The SD-card image on an emulated board, nightly and as root: `npm run test:image`. Goal: a flashed card makes a box by itself,
 * with secrets of its own and nobody's password; a configuration is put onto the card; what is acknowledged reaches a hub
 * outside, also over a power cut; a wrong configuration is told and not taken. Not tried here: the boot firmware of a Pi.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashPassword } from '../../../src/core/password.ts';
import { arm64 } from '../../support/arm64.ts';
import { filesWithCredential } from '../../support/credential-scan.ts';
import { connectHub, createStream, readStream, waitForStream } from '../../support/hub-stream.ts';
import { mosquittoPub } from '../../support/mosquitto.ts';
import { startNatsServer } from '../../support/nats-server.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait-for.ts';
import { type Guest, makeGuest, SLOW } from './guest.ts';

const CLONE = join(import.meta.dirname, '../../..');
const CACHE = join(CLONE, '.cache');
const BINFMT = '/proc/sys/fs/binfmt_misc';
const HUB_PASSWORD = 'only for this test';
const DEVICE_PASSWORD = 'of the oven';

/** Builds package and image, or takes those of an earlier run: PETIOLE_TEST_IMAGE=FILE. */
function imageOf(folder: string): string {
  const given = process.env.PETIOLE_TEST_IMAGE;
  if (given) return given;
  const machine = arm64(CACHE);
  assert.ok(machine, 'Node for arm64: neither Debian nor npm can be reached');
  if (!existsSync(join(BINFMT, 'status'))) execFileSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', BINFMT]);
  if (!existsSync(join(BINFMT, 'qemu-aarch64'))) {
    execFileSync('sh', ['-c', `cat /usr/lib/binfmt.d/qemu-aarch64.conf > ${BINFMT}/register`]);
  }
  const run = (...command: string[]) =>
    execFileSync(command[0] ?? '', command.slice(1), {
      cwd: CLONE,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const deb = run('deploy/debian/build.sh', '--arch', 'arm64', '--node', machine.node, '--out', folder).trim();
  const image = join(folder, 'petiole.img');
  run('deploy/image/build.sh', '--deb', deb, '--out', image);
  console.log(
    `package ${statSync(deb).size} bytes, image ${statSync(image).size} bytes, ${execFileSync('du', ['-h', image], { encoding: 'utf8' }).split('\t')[0]} of it used`,
  );
  return image;
}

/** Nothing secret is in the image: no credential, no host key, no password, no identity. */
function scan(image: string, folder: string): void {
  const root = join(folder, 'root.ext4');
  // Where build.sh puts the root partition.
  execFileSync('dd', [`if=${image}`, `of=${root}`, 'bs=1M', 'skip=132', 'count=1024', 'conv=sparse', 'status=none']);
  for (const path of ['/etc', '/root', '/var/lib', '/usr/lib/petiole', '/usr/lib/petiole-image']) {
    const to = join(folder, path.replaceAll('/', '_'));
    mkdirSync(to);
    execFileSync('debugfs', ['-R', `rdump ${path} ${to}`, root], { stdio: 'ignore' });
    assert.deepEqual(filesWithCredential(to), [], path);
  }
  const etc = join(folder, '_etc/etc');
  assert.deepEqual(
    readdirSync(join(etc, 'ssh')).filter((name) => name.startsWith('ssh_host_')),
    [],
  );
  assert.doesNotMatch(readFileSync(join(etc, 'shadow'), 'utf8'), /^[^:]+:[^*!:]/m);
  assert.equal(readFileSync(join(etc, 'machine-id'), 'utf8'), '');
}

const minutes = (sinceMs: number) => `${Math.round((performance.now() - sinceMs) / 1000)} s`;

/** What must be each box's own: name → text. */
function secretsOf(guest: Guest): Map<string, string> {
  const files = {
    'machine-id': '/etc/machine-id',
    'host key': '/data/ssh/ssh_host_ed25519_key',
    'sign-in secrets': '/var/lib/petiole/sign-in.json',
    'key of the page': '/var/lib/petiole/status-key.pem',
  };
  return new Map(Object.entries(files).map(([name, path]) => [name, guest.ssh(`cat ${path}`)]));
}

test('a flashed card makes a box of its own, which survives a power cut and says what is wrong', async (t) => {
  const image = imageOf(tempDir(t, 'image'));
  scan(image, tempDir(t, 'scan'));
  const hub = await startNatsServer(t, { jetstream: true, leafnodes: true });
  const client = await connectHub(t, hub.clientUrl);
  await createStream(client, 'S', ['line3.>']);
  const guest = makeGuest(t, image, Number(new URL(hub.leafUrl).port));
  const configuration = `
status: { listen: "0.0.0.0:8080", viewer: anyone }
mqtt: { listeners: [{ listen: "0.0.0.0:1883" }] }
users: [{ name: oven, password_hash: "${await hashPassword(DEVICE_PASSWORD)}", publish: ["line3.>"] }]
lanes: [{ name: line3, subjects: ["line3.>"], stream: { name: S } }]
upstream: { urls: ["nats://10.0.2.100:7422"], user: box, password_file: hub.password, connect_timeout: 60s, ack_timeout: 60s }
`;
  guest.put('petiole.yaml', configuration);
  guest.folder('petiole');
  guest.put('petiole/hub.password', HUB_PASSWORD);
  const publish = async (value: string) => {
    const login = ['-u', 'oven', '-P', DEVICE_PASSWORD];
    const { code } = await mosquittoPub(guest.ports.mqtt, ...login, '-q', '1', '-t', 'line3/temp', '-m', value);
    assert.equal(code, 0);
  };

  let began = performance.now();
  await guest.start();
  await guest.served();
  console.log(`first boot to /healthz: ${minutes(began)}`);
  await publish('1');
  await waitForStream(client, 'S', 1, SLOW);

  // What the box is: see the table in the README.
  assert.equal(guest.ssh('systemctl --failed --plain --no-legend'), '');
  assert.match(guest.ssh('hostname'), /^petiole-[0-9a-f]{4}$/);
  assert.throws(() => guest.ssh('touch /media/root-ro/written'), /Read-only file system/);
  assert.ok(Number(guest.ssh('df --output=size -k /data | tail -n 1')) > 700_000, 'the data partition has grown');
  assert.throws(() => guest.ssh('test -e /var/log/journal'));
  assert.match(guest.ssh('journalctl --header | head -n 1'), /\/run\/log\/journal/);
  assert.match(guest.ssh('cat /proc/swaps'), /zram0/);
  assert.match(guest.ssh('wdctl'), /Timeout: +14 seconds/);
  assert.equal(
    guest.ssh('systemctl is-active petiole systemd-timesyncd systemd-resolved').replaceAll('\n', ' '),
    'active active active',
  );
  assert.match(guest.ssh('resolvectl mdns'), /\(eth0\): yes/);
  // Nobody can come in with a password: there is none.
  assert.equal(guest.ssh("awk -F: '$2 !~ /^[*!]/' /etc/shadow"), '');
  assert.match(guest.ssh('sshd -T | grep -i ^passwordauthentication'), /no$/);
  const listening = guest
    .ssh("ss -Hltun | awk '{ print $1, $5 }' | sed 's/.*\\(tcp\\|udp\\) .*:/\\1 /' | sort -u")
    .split('\n');
  assert.deepEqual(
    listening,
    ['tcp 1883', 'tcp 22', 'tcp 4222', 'tcp 8080', 'udp 5353', 'udp 68'],
    'as SECURITY.md has it',
  );
  console.log(
    `resident: ${guest.ssh('ps -o rss= -C MainThread,node | sort -n | tail -n 1')} KiB; installed: ${guest.ssh('df --output=used -h /media/root-ro | tail -n 1')}`,
  );
  const secrets = secretsOf(guest);
  for (const [name, text] of secrets) assert.ok(text.length >= 32, name);

  // The hub is away, and the supply goes.
  await hub.kill();
  await publish('2');
  await guest.cut();
  const left = guest.bootFiles();
  assert.ok(
    !left.some((name) => /petiole\.yaml|hub\.password|authorized_keys/.test(name)),
    `taken from the card: ${left}`,
  );
  guest.put('petiole.yaml', 'mqtt: { listener: 1 }\n');
  await hub.restart();
  began = performance.now();
  await guest.start();
  await guest.served();
  console.log(`boot after the power cut to /healthz: ${minutes(began)}`);
  await waitForStream(client, 'S', 2, SLOW);
  const values: string[] = [];
  await readStream(client, 'S', ({ payload }) => values.push(Buffer.from(payload).toString()));
  assert.deepEqual(values, ['1', '2'], 'once, in order');
  assert.deepEqual(secretsOf(guest), secrets, 'they last');

  // The wrong configuration is told on the page and on the card; the one before is in force.
  const problems = JSON.parse(
    execFileSync('curl', ['-sk', `https://127.0.0.1:${guest.ports.status}/status.json`], { encoding: 'utf8' }),
  ).problems;
  const told = problems.find(({ code }: { code: string }) => code === 'config_not_taken');
  assert.match(told.message, /petiole\.yaml:1.*listener/);
  await guest.cut();
  assert.ok(guest.bootFiles().includes('petiole.yaml.wrong'), guest.bootFiles().join(' '));
  assert.match(guest.bootText('petiole.yaml.problems.txt'), /cure: /);

  const other = makeGuest(t, image, Number(new URL(hub.leafUrl).port));
  began = performance.now();
  await other.start();
  await waitFor(
    'the other box to have its secrets',
    () => {
      try {
        return other.health() > 0 && secretsOf(other).size === secrets.size;
      } catch {
        return false;
      }
    },
    SLOW,
  );
  console.log(`another first boot, without a configuration: ${minutes(began)}`);
  const others = secretsOf(other);
  for (const [name, text] of secrets) assert.notEqual(others.get(name), text, `${name} of two boxes`);
});
