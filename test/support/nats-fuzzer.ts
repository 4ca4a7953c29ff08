import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { type Box, startBox } from './box.ts';
import { openRaw } from './client-port.ts';
import { leafInfo, startFakeHub } from './fake-hub.ts';
import { startLeafBox } from './leaf-box.ts';
import { NatsCases, type Role } from './nats-mutations.ts';
import { Lifetime, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

/*
 * Sends the cases of one role over real sockets, many at once. As client: to a real box, whose answers must be what a
 * server says, which must serve good clients after every batch, and whose memory must be bounded. As hub: to leaf links
 * of this process, which must end every case in order (whatever they throw ends the process), with bounded memory.
 */

export interface NatsFuzzOptions {
  readonly role: Role;
  readonly cases: number;
  readonly seed: number;
  /** The first case; default 0. */
  readonly first?: number;
  readonly progress?: (done: number) => void;
}

export interface NatsFuzzResult {
  cases: number;
  casesPerSecond: number;
  /** What was answered to errors, by how often. */
  errors: ReadonlyMap<string, number>;
  memoryMiB: { start: number; most: number };
  failures: string[];
}

const BATCH = 500;
const AT_ONCE = 20;
/** Source addresses: each has its own ports, and a port of a closed connection is not free for a minute. */
const ADDRESSES = 200;
const FAILURES_MAX = 10;
const CASE_TIMEOUT_MS = 20_000;
/** Beside what is resident at the start. 10 million cases must not need more. */
const MEMORY_GROWTH_MIB_MAX = 200;

/** What the port may say: one operation at a time, from the start of the text. */
const operation =
  /^(?:INFO \{.*\}\r\n|PING\r\n|PONG\r\n|\+OK\r\n|-ERR '([^\r\n]*)'\r\n|(?:MSG|HMSG) [^\r\n]* (\d+)\r\n)/;

export async function natsFuzz(scope: Scope, options: NatsFuzzOptions): Promise<NatsFuzzResult> {
  const { role, cases, seed, first = 0, progress = () => {} } = options;
  const source = new NatsCases(role, seed);
  const side = role === 'client' ? await clientSide(scope) : await hubSide(scope);
  const failures: string[] = [];
  const start = side.memoryMiB();
  let most = start;
  let done = 0;
  const startedAtMs = performance.now();
  while (done < cases && failures.length < FAILURES_MAX) {
    const count = Math.min(BATCH, cases - done);
    let next = first + done;
    const last = next + count;
    const work = async (): Promise<void> => {
      while (next < last) {
        const { number, bytes } = source.get(next++);
        await side.send(bytes, number).catch((error: Error) => failures.push(`case ${number}: ${error.message}`));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    await side.check().catch((error: Error) => failures.push(`cases ${last - count} to ${last - 1}: ${error.message}`));
    most = Math.max(most, side.memoryMiB());
    if (most > start + MEMORY_GROWTH_MIB_MAX) failures.push(`before case ${last}: ${most} MiB are resident`);
    done += count;
    progress(done);
  }
  const casesPerSecond = Math.round((done * 1_000) / (performance.now() - startedAtMs));
  return { cases: done, casesPerSecond, errors: side.errors, memoryMiB: { start, most }, failures };
}

/** In lines: the figures, and each failure with what replays it. */
export function natsReport({ cases, casesPerSecond, errors, memoryMiB, failures }: NatsFuzzResult): string[] {
  const heard = [...errors].sort(([, a], [, b]) => b - a).map(([text, count]) => `${text}: ${count}`);
  return [
    `${cases} cases, ${casesPerSecond}/s, ${failures.length} failures`,
    `resident memory: ${memoryMiB.start} MiB at the start, at most ${memoryMiB.most}`,
    `errors: ${heard.join('; ')}`,
    ...failures.map((failure) => `FAILED ${failure}`),
  ];
}

interface Side {
  readonly errors: Map<string, number>;
  /** Rejects where the answer is not what it may be. */
  send(bytes: Buffer, number: number): Promise<void>;
  /** Rejects where a good peer is not served. */
  check(): Promise<void>;
  memoryMiB(): number;
}

async function clientSide(scope: Scope): Promise<Side> {
  // Bounds small enough to be reached.
  const box = await startBox(scope, {
    config: {
      nats: { listen: '127.0.0.1:0', subscriptions_max: 150, payload_max: '64KiB', pending_max: '1MiB' },
      lanes: [{ name: 'kept', subjects: ['f1.>', 'a.>'], max_bytes: '8MiB' }],
    },
  });
  const port = natsPortOf(box);
  const errors = new Map<string, number>();
  const bystander = await (await openRaw(scope, port)).connect();
  await bystander.answers('SUB good 1');
  return {
    errors,
    send: async (bytes, number) => {
      const text = await exchange(port, bytes, `127.0.0.${2 + (number % ADDRESSES)}`);
      judge(text, errors);
    },
    check: async () => {
      const good = await (await openRaw(scope, port)).connect();
      await good.answers('PUB good 2', 'hi');
      await bystander.until('MSG good 1 2\r\nhi\r\n', { timeoutMs: CASE_TIMEOUT_MS });
      good.socket.destroy();
    },
    memoryMiB: () => residentMiB(box.pid),
  };
}

/** The configuration says 0, so that the log alone knows it. */
function natsPortOf(box: Box): number {
  const { listeners } = box.log.find(({ msg }) => msg === 'ready') as { listeners?: { nats?: { port: number }[] } };
  return listeners?.nats?.[0]?.port ?? 0;
}

/** Everything that the box says to a client that says this and then ends. */
function exchange(port: number, bytes: Buffer, localAddress: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, localAddress });
    let text = '';
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error('the connection does not end'));
    }, CASE_TIMEOUT_MS);
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    // The box may cut it while the case is being sent.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(late);
      resolve(text);
    });
    socket.end(
      Buffer.concat([Buffer.from('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'), bytes]),
    );
  });
}

function judge(text: string, errors: Map<string, number>): void {
  let rest = text;
  while (rest !== '') {
    const [line, error, size] = operation.exec(rest) ?? [];
    // A connection that was cut ends anywhere.
    if (line === undefined && !/\r\n/.test(rest)) return;
    if (line === undefined) throw new Error(`the box said ${JSON.stringify(rest.slice(0, 100))}`);
    rest = rest.slice(line.length + (size === undefined ? 0 : Number(size) + 2));
    if (error === undefined) continue;
    const kind = error.replace(/(Violation for \w+).*/s, '$1');
    errors.set(kind, (errors.get(kind) ?? 0) + 1);
  }
}

async function hubSide(scope: Scope): Promise<Side> {
  const hub = await startFakeHub(scope, '');
  const errors = new Map<string, number>();
  const handshake = (bytes: Buffer): void => {
    const socket = hub.sockets.at(-1);
    hub.sockets.length = 0;
    hub.said = '';
    const answer = `INFO ${JSON.stringify({ ...leafInfo, connect_info: true, remote_account: '$G' })}\r\nPONG\r\n`;
    socket?.end(Buffer.concat([Buffer.from(`INFO ${JSON.stringify(leafInfo)}\r\n${answer}`), bytes]));
  };
  // One at a time: which socket is whose, only the order tells.
  let turn: Promise<unknown> = Promise.resolve();
  const one = async (bytes: Buffer): Promise<void> => {
    await using life = new Lifetime();
    const { link } = await startLeafBox(life, hub.url);
    await waitFor('the link to come', () => hub.sockets.length > 0, { intervalMs: 1 });
    handshake(bytes);
    const failure = await waitFor('the link to fall', () => link.status().lastError, { intervalMs: 1 });
    errors.set(failure.code, (errors.get(failure.code) ?? 0) + 1);
  };
  return {
    errors,
    send: (bytes) => {
      const mine = turn.then(() => one(bytes));
      turn = mine.catch(() => {});
      return mine;
    },
    check: async () => {},
    memoryMiB: () => residentMiB(process.pid),
  };
}

function residentMiB(pid: number): number {
  const [, kib = '0'] = /^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}
