import { randomBytes } from 'node:crypto';
import type { NatsConnection } from '@nats-io/transport-node';
import { loadConfig } from '../config/load.ts';
import { GatewayError } from '../core/errors.ts';
import { printable } from '../ops/words.ts';
import type { FirmwareStatus } from '../serial/bridge/firmware/options.ts';
import { connectToBox } from './box-connection.ts';
import { fileOf } from './firmware-files.ts';
import type { FirmwareOptions } from './firmware-options.ts';

/** A piece of a file, well below the 1 MiB that a server takes at once. */
const PIECE_BYTES = 256 * 1024;
/** The last piece is answered when the image is on the disk. */
const ANSWER_TIMEOUT_MS = 30_000;
/** For so long a port is lent, and asked for again at each third of it. */
const LENT_S = 60;

type Ask = (action: string, payload: string | Buffer) => Promise<FirmwareStatus>;

/** `petiole firmware list`. */
export async function list(options: FirmwareOptions): Promise<number> {
  return withBox(options, (ask) => ask('list', ''));
}

/** `petiole firmware approve PORT` and `cancel PORT`. */
export async function act(options: FirmwareOptions): Promise<number> {
  return withBox(options, (ask) => ask(options.action, JSON.stringify({ port: options.argument })));
}

/** `petiole firmware offer FILE`. */
export async function offer(options: FirmwareOptions): Promise<number> {
  const file = await fileOf(options.argument);
  const id = randomBytes(8).toString('hex');
  const { port = '' } = options;
  return withBox(options, async (ask) => {
    let answer: FirmwareStatus | null = null;
    for (let offset = 0; offset < file.length || answer === null; offset += PIECE_BYTES) {
      const head = JSON.stringify({ id, offset, total: file.length, port });
      answer = await ask(
        'offer',
        Buffer.concat([Buffer.from(`${head}\n`), file.subarray(offset, offset + PIECE_BYTES)]),
      );
    }
    return answer;
  });
}

/**
 * Has a running box lend the device of a port for as long as `work` takes; it has it back then, and a minute after this
 * process fell.
 */
export async function withLentPort(
  options: FirmwareOptions,
  port: string,
  work: (device: string) => Promise<number>,
): Promise<number> {
  return connected(options, async (request) => {
    const lend = () => request<{ device: string }>('serial.lend', JSON.stringify({ port, for_s: LENT_S }));
    const { device } = await lend();
    // A box that restarts meanwhile takes the device: the tool then fails, and says so.
    const again = setInterval(() => void lend().catch(() => undefined), (LENT_S / 3) * 1000);
    try {
      return await work(device);
    } finally {
      clearInterval(again);
      await request('serial.take-back', JSON.stringify({ port })).catch(() => undefined);
    }
  });
}

async function withBox(options: FirmwareOptions, work: (ask: Ask) => Promise<FirmwareStatus>): Promise<number> {
  return connected(options, async (request) => {
    const status = await work((action, payload) => request(`firmware.${action}`, payload));
    process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : text(status));
    return 0;
  });
}

type Request = <T>(action: string, payload: string | Buffer) => Promise<T>;

async function connected(options: FirmwareOptions, work: (request: Request) => Promise<number>): Promise<number> {
  const gateway = options.gateway ?? configuredName(options.config ?? null);
  const connection = await connectToBox(options);
  try {
    return await work((action, payload) => answerOf(connection, `$PETIOLE.${gateway}.${action}`, payload));
  } finally {
    await connection.close();
  }
}

async function answerOf<T>(connection: NatsConnection, subject: string, payload: string | Buffer): Promise<T> {
  let answer: Uint8Array;
  try {
    answer = (await connection.request(subject, payload, { timeout: ANSWER_TIMEOUT_MS })).data;
  } catch (cause) {
    const hint = 'Is the port one of that box, and a board on it? Give the name of the box with --gateway';
    throw new GatewayError('connection_timeout', `No box serves ${subject}`, { hint, cause });
  }
  const body = JSON.parse(Buffer.from(answer).toString()) as T & { error?: GatewayError };
  if (body.error) throw new GatewayError('firmware_refused', body.error.message, { hint: body.error.hint });
  return body;
}

function configuredName(file: string | null): string {
  const { config } = loadConfig({ file, env: process.env, cwd: process.cwd() });
  if (config !== null) return config.gateway.name;
  const hint = '`petiole check` lists them; or name the box with --gateway and --server';
  throw new GatewayError('config_invalid', 'There are mistakes in the configuration', { hint, retriable: false });
}

function text({ images, transfers, bucketError }: FirmwareStatus): string {
  const lines = images.map(
    ({ target, version, size, sha256 }) => `image ${target} ${version}, ${size} bytes, ${sha256}`,
  );
  for (const { port, state, target, version, versionBefore, offset, size, reason } of transfers) {
    const percent = size > 0 && state === 'transferring' ? ` ${Math.floor((100 * offset) / size)} %` : '';
    const why = reason === '' ? '' : `: ${reason}`;
    lines.push(`${port} (${target}): ${versionBefore} to ${version}, ${state}${percent}${why}`);
  }
  if (lines.length === 0) lines.push('No image is here, and nothing is on its way');
  if (bucketError !== '') lines.push(`The bucket could not be read: ${bucketError}`);
  return `${lines.map((line) => printable(line, 500)).join('\n')}\n`;
}
