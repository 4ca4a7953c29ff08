/**
 * Run by `npm test` before the tests: makes sure that the system programs which they start are there. With the argument
 * `appliance` also those that build and boot packages, containers and images.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { arm64 } from './arm64.ts';
import { NSS_WRAPPER } from './name-service.ts';
import { allNatsServers } from './newer-nats-server.ts';

/** Program → Debian package. */
const programs = {
  'nats-server': 'nats-server',
  mosquitto: 'mosquitto',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  strace: 'strace',
  socat: 'socat',
  openssl: 'openssl',
  python3: 'python3',
  'systemd-notify': 'systemd',
  'systemd-sysusers': 'systemd',
  chromium: 'chromium',
  mosquitto_rr: 'mosquitto-clients',
  gcc: 'build-essential',
  faketime: 'faketime',
  go: 'golang-go',
  'qemu-aarch64-static': 'qemu-user-static',
  ss: 'iproute2',
  clang: 'clang',
  'avr-gcc': 'gcc-avr',
  'arm-none-eabi-gcc': 'gcc-arm-none-eabi',
  'qemu-system-arm': 'qemu-system-arm',
  'docker-compose': 'docker-compose',
  prometheus: 'prometheus',
  avrdude: 'avrdude',
  stm32flash: 'stm32flash',
} as const;

/** Beside them, for `npm run test:appliance` and `npm run test:image`. */
const appliancePrograms = {
  buildah: 'buildah',
  runc: 'runc',
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  'qemu-system-aarch64': 'qemu-system-arm',
  mcopy: 'mtools',
  'mkfs.vfat': 'dosfstools',
  sfdisk: 'fdisk',
  cpio: 'cpio',
  depmod: 'kmod',
  'arch-test': 'arch-test',
  ssh: 'openssh-client',
  curl: 'curl',
} as const;

/** A file of a library → Debian package. */
const libraries = {
  [NSS_WRAPPER]: 'libnss-wrapper',
  '/usr/include/nats/nats.h': 'libnats-dev',
  '/usr/share/gocode/src/github.com/nats-io/nats.go/nats.go': 'golang-github-nats-io-go-nats-dev',
  '/usr/include/mosquitto.h': 'libmosquitto-dev',
  '/usr/lib/python3/dist-packages/paho/mqtt/client.py': 'python3-paho-mqtt',
  '/usr/include/modbus/modbus.h': 'libmodbus-dev',
  '/usr/lib/avr/include/avr/io.h': 'avr-libc',
  '/usr/lib/arm-none-eabi/newlib/thumb/v6-m/nofp/libc_nano.a': 'libnewlib-arm-none-eabi',
  '/usr/include/simavr/sim_avr.h': 'libsimavr-dev',
  '/usr/include/libelf.h': 'libelf-dev',
  '/usr/share/arduino/hardware/arduino/avr/cores/arduino/Arduino.h': 'arduino-core-avr',
  '/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a': 'libclang-rt-14-dev',
} as const;

const ATTEMPTS_MAX = 2;
const INSTALL_TIMEOUT_MS = 10 * 60_000;

// Servers live in /usr/sbin, which the PATH of an ordinary user may lack.
const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function missing(): string[] {
  const wanted = { ...programs, ...(process.argv.includes('appliance') && appliancePrograms) };
  const absent = Object.entries(wanted).filter(([name]) => !folders.some((folder) => isExecutable(join(folder, name))));
  const unread = Object.entries(libraries).filter(([path]) => !existsSync(path));
  return [...new Set([...absent, ...unread].map(([, debianPackage]) => debianPackage))];
}

/** What to put before apt-get: nothing for root, sudo where it asks nothing, undefined where we may not. */
function privilege(): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' });
  return sudo.status === 0 ? ['sudo', '-n'] : undefined;
}

function run(command: readonly string[]): boolean {
  const [file = '', ...args] = command;
  console.error(`setup: ${command.join(' ')}`);
  // All output to stderr, so that stdout is the test runner's alone.
  const { status } = spawnSync(file, args, { stdio: ['ignore', 2, 2], timeout: INSTALL_TIMEOUT_MS });
  return status === 0;
}

function install(packages: readonly string[], prefix: readonly string[]): void {
  const apt = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'];
  for (let attempt = 1; attempt <= ATTEMPTS_MAX && missing().length > 0; attempt++) {
    run([...apt, 'update', '-qq']);
    run([...apt, 'install', '-y', '-qq', '--no-install-recommends', ...packages]);
  }
}

const packages = missing();
if (packages.length > 0) {
  const command = `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const prefix = isExecutable('/usr/bin/apt-get') ? privilege() : undefined;
  if (prefix !== undefined) install(packages, prefix);
  const absent = missing();
  if (absent.length > 0) {
    console.error(`setup: the tests need these Debian packages: ${absent.join(' ')}\nInstall them with:\n  ${command}`);
    process.exitCode = 1;
  }
}

// Newer hubs for the tests that go through versions; those tests say themselves where one is missing.
const cache = join(import.meta.dirname, '../../.cache');
mkdirSync(cache, { recursive: true });
if (arm64(cache) === null) console.error('setup: Node for arm64, or the libraries under it, could not be fetched');
for (const command of allNatsServers(cache).missing) console.error(`setup: a nats-server is missing: ${command}`);
