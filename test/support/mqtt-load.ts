import { join } from 'node:path';
import { Child } from './child.ts';
import type { Ranges } from './ranges.ts';
import { atEnd, type Scope } from './scope.ts';

/**
 * A QoS 1 load from a process of its own, fast enough not to be the bottleneck. An at-least-once publisher: what was not
 * acknowledged when a connection falls is sent again, with DUP, on the next one. Payloads: see payload.ts.
 */
export interface LoadOptions {
  port: number;
  host?: string;
  /** Default 1. */
  connections?: number;
  /** Over all connections. */
  messages: number;
  /** Default 128. */
  payloadBytes?: number;
  /** PUBLISHes in flight per connection; default 100. A smaller Receive Maximum of the broker wins. */
  window?: number;
  /** Over all connections; 0 (default): as fast as the window lets. */
  messagesPerSecond?: number;
  /** `%c` becomes the client; default 'bench/%c'. */
  topic?: string;
  /** MQTT 3.1.1 (4, default) or 5. */
  version?: 4 | 5;
  /** Clients are `<prefix>0`, `<prefix>1`, …; default 'c'. Two loads on one stream need two prefixes. */
  clientPrefix?: string;
  username?: string;
  password?: string;
  /** Try again when a connection closes or is refused; default false: the load ends there. */
  reconnect?: boolean;
  /** The whole load ends at this time, done or not; default 120 s. */
  timeoutMs?: number;
  /** How often `Load.progress` is brought up to date; default 100. */
  progressEveryMs?: number;
}

export interface LoadProgress {
  /** Distinct messages sent at least once. */
  sent: number;
  acked: number;
  /** Connections that are up. */
  connected: number;
}

export interface LoadResult extends LoadProgress {
  /** True where every message was acknowledged or refused. */
  complete: boolean;
  /** Sent again after a reconnect. */
  resent: number;
  /** Reason code 0x80 or above in PUBACK: the broker did not take it. */
  refused: number;
  /** Connections made after the first of each client. */
  reconnects: number;
  /** From the first PUBLISH to the last PUBACK. */
  elapsedMs: number;
  /** Acknowledged messages per second of `elapsedMs`. */
  rate: number;
  /** From the first try of a PUBLISH to its PUBACK. */
  latencyMs: { p50: number; p99: number; max: number };
  /** CPU time of the load itself, to see that it was not the bottleneck. */
  cpuMs: number;
  /** What stands between the box and the truth: for each client the numbers whose PUBACK came. */
  ackedRanges: Record<string, Ranges>;
  errors: string[];
}

/** One run of the load process. */
export class Load {
  readonly #child: Child;
  readonly result: Promise<LoadResult>;
  progress: LoadProgress = { sent: 0, acked: 0, connected: 0 };

  constructor(child: Child) {
    this.#child = child;
    this.result = this.#collect();
    // Whoever waits for the result gets the error; a test that already failed elsewhere must not fail a second time.
    this.result.catch(() => {});
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Sends nothing new, waits a moment for what is in flight, and gives the result. */
  async stop(): Promise<LoadResult> {
    this.#child.process.stdin?.write('stop\n');
    return this.result;
  }

  async #collect(): Promise<LoadResult> {
    const isResult = (line: string) => line.startsWith('{"result":');
    this.#child.watch((line) => {
      if (line.startsWith('{"progress":')) this.progress = (JSON.parse(line) as { progress: LoadProgress }).progress;
    });
    // The load ends by itself at its own time limit.
    const line = await this.#child.line('the result of the load', isResult, 0);
    const { result } = JSON.parse(line) as { result: LoadResult };
    this.progress = { sent: result.sent, acked: result.acked, connected: result.connected };
    return result;
  }
}

/** Starts a load that is killed when the scope ends. */
export function startLoad(scope: Scope, options: LoadOptions): Load {
  const child = new Child(process.execPath, [
    join(import.meta.dirname, 'mqtt-load-process.ts'),
    JSON.stringify(options),
  ]);
  atEnd(scope, async () => {
    await child.kill();
  });
  return new Load(child);
}

/** Runs a load to its end. */
export function runLoad(scope: Scope, options: LoadOptions): Promise<LoadResult> {
  return startLoad(scope, options).result;
}
