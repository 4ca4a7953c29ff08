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

async function withBox(options: FirmwareOptions, work: (ask: Ask) => Promise<FirmwareStatus>): Promise<number> {
  const gateway = options.gateway ?? configuredName(options.config ?? null);
  const connection = await connectToBox(options);
  try {
    const status = await work((action, payload) => request(connection, gateway, action, payload));
    process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : text(status));
    return 0;
  } finally {
    await connection.close();
  }
}

async function request(connection: NatsConnection, gateway: string, action: string, payload: string | Buffer) {
  let answer: Uint8Array;
  try {
    const message = await connection.request(`$PETIOLE.${gateway}.firmware.${action}`, payload, {
      timeout: ANSWER_TIMEOUT_MS,
    });
    answer = message.data;
  } catch (cause) {
    const hint = 'Does the box have a port with bridge: true? Give its name with --gateway';
    throw new GatewayError('connection_timeout', `No box ${gateway} serves this request`, { hint, cause });
  }
  const body = JSON.parse(Buffer.from(answer).toString()) as FirmwareStatus & { error?: GatewayError };
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
