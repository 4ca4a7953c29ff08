import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../../support/child.ts';
import { freePort } from '../../support/ports.ts';
import { atEnd, type Scope } from '../../support/scope.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Where build.sh puts the boot partition. */
const BOOT_OFFSET = '4M';
/** A card larger than the image, so that there is something to grow into. */
const CARD_BYTES = 2 * 1024 ** 3;
/** Pure emulation, on a machine that may have much else to do: a boot takes half a minute alone, and minutes then. */
export const SLOW = { timeoutMs: 900_000, intervalMs: 1_000 };

/** What the guest writes into its log goes to the console as well, for who wants to know why it did not come up. */
const LOGGED = 'systemd.journald.forward_to_console=1 systemd.journald.max_level_console=info';

/** Ports of the guest that the host reaches, by what is there. */
export const GUEST_PORTS = { ssh: 22, mqtt: 1883, status: 8080 } as const;
type Ports = Record<keyof typeof GUEST_PORTS, number>;

/**
 * A board with the image on its card, emulated: the kernel and the initial RAM disk of the boot partition, since the emulator
 * has no boot firmware of a Pi; everything from there on is the image's own. Its network reaches what is given, and nothing else.
 */
export class Guest {
  readonly card: string;
  readonly #dir: string;
  readonly #hubPort: number;
  #qemu: Child | null = null;
  ports: Ports = { ssh: 0, mqtt: 0, status: 0 };

  /** `hubPort`: of this machine; the guest finds it at 10.0.2.100:7422. */
  constructor(dir: string, image: string, hubPort: number) {
    this.#dir = dir;
    this.#hubPort = hubPort;
    this.card = join(dir, 'card.img');
    execFileSync('cp', ['--sparse=always', image, this.card]);
    execFileSync('truncate', ['-s', String(CARD_BYTES), this.card]);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')]);
    this.put('authorized_keys', readFileSync(join(dir, 'key.pub'), 'utf8'));
    for (const name of ['vmlinuz', 'initrd.gz']) this.#mtools('mcopy', '-o', `::${name}`, join(dir, name));
  }

  /** Puts a file onto the boot partition of the card, as a person with a card reader does; only while it is off. */
  put(name: string, text: string): void {
    const file = join(this.#dir, 'put');
    writeFileSync(file, text);
    this.#mtools('mcopy', '-o', file, `::${name}`);
  }

  folder(name: string): void {
    this.#mtools('mmd', '-D', 's', `::${name}`);
  }

  /** What is on the boot partition. */
  bootFiles(): string[] {
    return this.#mtools('mdir', '-b', '::')
      .split('\n')
      .filter(Boolean)
      .map((path) => path.replace(/^::\/?/, ''));
  }

  bootText(name: string): string {
    return this.#mtools('mtype', `::${name}`);
  }

  async start(): Promise<void> {
    this.ports = { ssh: await freePort(), mqtt: await freePort(), status: await freePort() };
    const forwards = Object.entries(GUEST_PORTS).map(
      ([name, port]) => `hostfwd=tcp:127.0.0.1:${this.ports[name as keyof Ports]}-:${port}`,
    );
    const hub = `guestfwd=tcp:10.0.2.100:7422-cmd:socat STDIO TCP:127.0.0.1:${this.#hubPort}`;
    this.#qemu = new Child('qemu-system-aarch64', [
      ...['-M', 'virt', '-cpu', 'cortex-a53', '-smp', '2', '-m', '512', '-accel', 'tcg,thread=multi'],
      ...['-kernel', join(this.#dir, 'vmlinuz'), '-initrd', join(this.#dir, 'initrd.gz')],
      ...['-append', `console=ttyAMA0 quiet panic=10 systemd.show_status=0 ${LOGGED}`],
      ...[
        '-drive',
        `if=none,id=card,file=${this.card},format=raw,cache=writeback`,
        '-device',
        'virtio-blk-device,drive=card',
      ],
      ...['-netdev', `user,id=net,restrict=on,${forwards.join(',')},${hub}`, '-device', 'virtio-net-device,netdev=net'],
      // It counts in the time of this machine, which may be too busy for the guest to feed it: that it is fed is looked at.
      ...['-device', 'virtio-rng-device', '-device', 'i6300esb', '-action', 'watchdog=none'],
      ...['-display', 'none', '-monitor', 'none', '-serial', `file:${join(this.#dir, 'console.log')}`],
    ]);
  }

  /** As at a power cut: what the guest has not flushed by then may be gone. */
  async cut(): Promise<void> {
    await this.#qemu?.kill();
    this.#qemu = null;
  }

  get console(): string {
    const file = join(this.#dir, 'console.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Status of /healthz; 0 while there is no answer. */
  health(): number {
    const url = `https://127.0.0.1:${this.ports.status}/healthz`;
    const { stdout } = spawnSync('curl', ['-sk', '-m', '20', '-o', '/dev/null', '-w', '%{http_code}', url], {
      encoding: 'utf8',
    });
    return Number(stdout) || 0;
  }

  async served(): Promise<void> {
    await waitFor(
      'the box to answer',
      () => {
        if (this.#qemu?.running !== true) throw new Error(`the emulator has ended: ${this.#qemu?.lines.join('\n')}`);
        return this.health() === 200;
      },
      SLOW,
    );
  }

  /** Runs a command in the guest as root; throws with what it says where it fails. */
  ssh(command: string): string {
    const options = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'];
    const timing = ['-o', 'ConnectTimeout=60', '-o', 'BatchMode=yes'];
    const args = [
      '-i',
      join(this.#dir, 'key'),
      '-p',
      String(this.ports.ssh),
      ...options,
      ...timing,
      'root@127.0.0.1',
      command,
    ];
    const { status, stdout, stderr } = spawnSync('ssh', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
    return stdout.trim();
  }

  #mtools(tool: string, ...args: string[]): string {
    return execFileSync(tool, ['-i', `${this.card}@@${BOOT_OFFSET}`, ...args], { encoding: 'utf8' });
  }
}

export function makeGuest(scope: Scope, image: string, hubPort: number): Guest {
  const guest = new Guest(tempDir(scope, 'guest'), image, hubPort);
  atEnd(scope, () => guest.cut());
  return guest;
}
