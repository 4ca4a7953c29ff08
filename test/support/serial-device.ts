import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { atEnd, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

/** The far end of a serial line: a pty whose other side is in the hands of the test. */
export class SerialDevice {
  /** A link to the pty, gone while it is unplugged. */
  readonly path: string;
  /** Everything that was written to the device. */
  received: Buffer = Buffer.alloc(0);
  /** Called with what is written to the device, to answer it. */
  onData: (bytes: Buffer) => void = () => undefined;
  #child: ChildProcessWithoutNullStreams | null = null;

  constructor(path: string) {
    this.path = path;
  }

  get isThere(): boolean {
    return existsSync(this.path);
  }

  async plug(): Promise<void> {
    const child = spawn('socat', [`pty,raw,echo=0,link=${this.path}`, 'STDIO']);
    child.stdin.on('error', () => undefined);
    child.stdout.on('data', (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]).subarray(-1_000_000);
      this.onData(bytes);
    });
    this.#child = child;
    await waitFor(`the pty ${this.path}`, () => existsSync(this.path));
  }

  /** The terminal hangs up and its link goes, as when a plug is pulled. */
  async unplug(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill();
    await gone;
    await waitFor(`the link ${this.path} to go`, () => !existsSync(this.path));
  }

  /** Resolves once the kernel's side has taken them. */
  async send(bytes: string | Buffer): Promise<void> {
    if (this.#child?.stdin.write(bytes) === false) await once(this.#child.stdin, 'drain');
  }
}

/** A device that is plugged in, and unplugged when the scope ends. */
export async function plugDevice(scope: Scope, path: string): Promise<SerialDevice> {
  const device = new SerialDevice(path);
  atEnd(scope, () => device.unplug());
  await device.plug();
  return device;
}
