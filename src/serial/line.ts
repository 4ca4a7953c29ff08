import { readSync } from 'node:fs';
import { GatewayError } from '../core/errors.ts';
import type { SingleUse } from '../core/keep-connected.ts';
import { once } from '../core/service.ts';
import type { LineSettings } from './options.ts';
import { keepPollers } from './pollers.ts';

/** An open port, used once: it ends, and whoever wants another opens one. */
export interface Line extends SingleUse {
  /** Resolves once the driver has the bytes; rejects with a GatewayError, and then the line ends. */
  write(bytes: Buffer): Promise<void>;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
  /** Resolves once the device is free for others. */
  close(reason: GatewayError): Promise<void>;
}

/** A port whose baud rate can be changed while it is open: opening it anew would reset some boards. */
export interface SerialDeviceLine extends Line {
  setBaud(baud: number): Promise<void>;
}

/** Called with what was read; the buffer is used again after the call. */
export type OnData = (chunk: Buffer) => void;

/** What one read takes at most; a kernel's terminal buffer holds 4 KiB, a pty or a USB modem more. */
const READ_BYTES = 64 * 1024;
/** A line held by flow control for longer than this is stuck. */
const WRITE_TIMEOUT_MS = 5_000;
/**
 * Reads that follow each other faster than this are gathered: USB hands over 62 bytes at a time, and at 921,600 baud
 * that would be 1,500 wake-ups a second and port. In that time 370 bytes come, of the 4,095 that the kernel keeps.
 */
const GATHER_MS = 4;

/** One for all lines: reads are synchronous on a descriptor that never blocks, and a chunk is used up in its call. */
const readBuffer = Buffer.allocUnsafe(READ_BYTES);

/** What we use of a port of @serialport/bindings-cpp. */
interface Binding {
  readonly fd: number | null;
  readonly poller: { once(event: 'readable', callback: (error: Error | null) => void): void };
  write(bytes: Buffer): Promise<void>;
  set(options: { rts?: boolean; dtr?: boolean }): Promise<void>;
  update(options: { baudRate: number }): Promise<void>;
  drain(): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly settings: LineSettings;
  readonly onData: OnData;
  /** A setting that the driver refused; the port works without it. */
  readonly onRefused: (setting: string, why: string) => void;
  /** Whether quick reads are gathered; not where an answer is awaited for the next request. */
  readonly isGathered: boolean;
}

/** Opens a device node, exclusively. Rejects with `port_busy`, `permission_denied`, `port_missing` or `port_failed`. */
export async function openSerialLine(path: string, options: OpenOptions): Promise<SerialDeviceLine> {
  // Loaded only where there is a port. Of the package we use the binding alone: its stream can miss an unplug, and
  // then reads for ever.
  const { SerialPort } = await import('serialport');
  keepPollers();
  const { baud, dataBits, parity, stopBits, flowControl, rts, dtr, rs485 } = options.settings;
  let binding: Binding;
  try {
    binding = (await SerialPort.binding.open({
      path,
      baudRate: baud,
      dataBits,
      parity,
      stopBits,
      rtscts: flowControl === 'rts-cts',
      xon: flowControl === 'xon-xoff',
      xoff: flowControl === 'xon-xoff',
      // A board that resets on DTR is reset once, when the machine starts, and not each time that we open the port.
      hupcl: dtr !== false,
      lock: true,
    })) as unknown as Binding;
  } catch (cause) {
    throw openFailure(path, cause);
  }
  const levels = { ...(rts !== null && { rts }), ...(dtr !== null && { dtr }) };
  if (rs485 !== 'off') Object.assign(levels, { rts: rs485 === 'rts-low' });
  if (Object.keys(levels).length > 0) {
    await binding
      .set(levels)
      .catch((error: Error) => options.onRefused(Object.keys(levels).join(' and '), error.message));
  }
  const line = new SerialLine(path, binding, options);
  line.read();
  return line;
}

class SerialLine implements SerialDeviceLine {
  readonly ended: Promise<GatewayError>;
  readonly #path: string;
  readonly #binding: Binding;
  readonly #options: OpenOptions;
  #resolveEnded: (reason: GatewayError) => void = () => undefined;
  #isOpen = true;
  #isPaused = false;
  #isPolling = false;
  #readAtMs = 0;
  #writing: Promise<void> = Promise.resolve();
  #gathering: NodeJS.Timeout | undefined;

  constructor(path: string, binding: Binding, options: OpenOptions) {
    this.#path = path;
    this.#binding = binding;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** Waits until there is something, reads it, and so on. */
  read(): void {
    if (!this.#isOpen || this.#isPaused || this.#isPolling) return;
    this.#isPolling = true;
    this.#binding.poller.once('readable', (error) => this.#readable(error));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.read();
  }

  write(bytes: Buffer): Promise<void> {
    // One after the other: RTS belongs to one of them.
    const written = this.#writing.then(() => this.#write(bytes));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async setBaud(baud: number): Promise<void> {
    await this.#binding.update({ baudRate: baud });
    // What came at the rate before.
    await this.#binding.flush();
  }

  readonly #shut = once(async () => {
    this.#isOpen = false;
    clearTimeout(this.#gathering);
    // What is not sent yet would hold up the close for as long as flow control does.
    await this.#binding.flush().catch(() => undefined);
    await this.#binding.close().catch(() => undefined);
  });

  async close(reason: GatewayError): Promise<void> {
    await this.#shut();
    this.#resolveEnded(reason);
  }

  #readable(error: Error | null): void {
    this.#isPolling = false;
    if (!this.#isOpen || this.#isPaused) return;
    const count = error === null ? this.#readNow() : 0;
    // What the poller says of a hang-up depends on the driver, and helps nobody.
    if (count === 0) this.#lost('the device hung up');
    else if (count === null) this.read();
    else this.#took(count);
  }

  /** Bytes read; null for nothing yet. 0, end of file, is a hang-up on a terminal: the device has gone. */
  #readNow(): number | null {
    try {
      return readSync(this.#binding.fd ?? -1, readBuffer, 0, READ_BYTES, null);
    } catch (failure) {
      const { code } = failure as NodeJS.ErrnoException;
      return code === 'EAGAIN' || code === 'EINTR' ? null : 0;
    }
  }

  #took(count: number): void {
    this.#options.onData(readBuffer.subarray(0, count));
    const nowMs = performance.now();
    if (this.#options.isGathered && nowMs - this.#readAtMs < GATHER_MS) {
      if (this.#gathering === undefined) this.#gathering = setTimeout(() => this.read(), GATHER_MS);
      else this.#gathering.refresh();
    } else this.read();
    this.#readAtMs = nowMs;
  }

  async #write(bytes: Buffer): Promise<void> {
    if (!this.#isOpen) throw new GatewayError('not_connected', `${this.#path} is closed`);
    const { rs485 } = this.#options.settings;
    let late: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      late = setTimeout(() => reject(new Error('it took no bytes for 5 s: flow control?')), WRITE_TIMEOUT_MS);
    });
    try {
      if (rs485 !== 'off') await this.#binding.set({ rts: rs485 === 'rts-high' }).catch(() => undefined);
      await Promise.race([this.#binding.write(bytes), deadline]);
      if (rs485 !== 'off') {
        await Promise.race([this.#binding.drain(), deadline]);
        await this.#binding.set({ rts: rs485 === 'rts-low' }).catch(() => undefined);
      }
    } catch (failure) {
      const why = failure instanceof Error ? failure.message : String(failure);
      this.#lost(why);
      throw new GatewayError('port_lost', `${this.#path} could not be written to: ${why}`);
    } finally {
      clearTimeout(late);
    }
  }

  #lost(why: string): void {
    if (!this.#isOpen) return;
    const hint = 'The cable, the adapter or its power; the port is opened again by itself';
    void this.close(new GatewayError('port_lost', `${this.#path} was lost: ${why}`, { hint }));
  }
}

function openFailure(path: string, cause: unknown): GatewayError {
  const why = cause instanceof Error ? cause.message : String(cause);
  if (/lock|busy|EBUSY/i.test(why)) {
    const hint = 'Stop the other program, such as ModemManager, a getty or a terminal program';
    return new GatewayError('port_busy', `${path} is used by another program`, { hint, cause });
  }
  if (/permission|EACCES/i.test(why)) {
    const hint = 'Let the user of the box be in the group of the device, mostly dialout';
    return new GatewayError('permission_denied', `${path} may not be opened`, { hint, cause });
  }
  if (/no such file|ENOENT/i.test(why)) return new GatewayError('port_missing', `${path} is not there`, { cause });
  const hint = 'Check that it is a serial port, and that the driver has this baud rate';
  return new GatewayError('port_failed', `${path} could not be opened: ${why}`, { hint, cause });
}
