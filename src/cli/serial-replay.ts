import { readFileSync, statSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { printable } from '../ops/words.ts';
import { parseCapture, portOfCapture } from '../serial/capture-file.ts';
import { discardedOf, faultsOf } from '../serial/pipeline.ts';
import { replay } from '../serial/replay.ts';
import { payloadText } from './payload-text.ts';
import { type SerialOptions, serialConfig } from './serial-options.ts';

/** An hour of a line at 115,200 baud. */
const CAPTURE_BYTES_MAX = 64 * 1024 * 1024;

/** `petiole serial replay`: what the configuration makes of a capture. */
export async function replayCapture(options: SerialOptions): Promise<number> {
  const [path = ''] = options.rest;
  const file = read(path);
  const port = portOf(options, portOfCapture(file));
  const { json } = options;
  const pipeline = await replay(port, parseCapture(file), {
    message(subject, payload, atMs) {
      const shown = json
        ? JSON.stringify({ at: atMs / 1000, subject, payload: jsonPayload(payload) })
        : `${(atMs / 1000).toFixed(3).padStart(9)} ${printable(subject, 500)} ${payloadText(payload, 'auto')}`;
      process.stdout.write(`${shown}\n`);
    },
    error(cause, detail, atMs) {
      const shown = json
        ? JSON.stringify({ at: atMs / 1000, error: cause, detail })
        : `${(atMs / 1000).toFixed(3).padStart(9)} ! ${cause}: ${printable(detail, 300)}`;
      process.stdout.write(`${shown}\n`);
    },
  });
  const { counters, reported } = pipeline;
  const [discarded, faults] = [discardedOf(counters), faultsOf(counters)];
  process.stderr.write(
    `${port.name}: ${counters.bytes} bytes, ${counters.frames} frames, ${reported.messages} messages, ` +
      `${reported.filtered} held back by filters, ${faults} frames that say nothing, ${discarded} bytes thrown away\n`,
  );
  return reported.messages === 0 || (options.strict && faults + discarded > 0) ? 1 : 0;
}

/** JSON objects and lists as they are, other text as a string, other bytes as hexadecimal digits. */
function jsonPayload(payload: Buffer): unknown {
  const text = payload.toString();
  if (!Buffer.from(text).equals(payload)) return { hex: payload.toString('hex') };
  if (!/^[{[]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function read(path: string): Buffer {
  try {
    if (statSync(path).size <= CAPTURE_BYTES_MAX) return readFileSync(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError('port_missing', `The capture can't be read: ${why}`, { retriable: false, cause });
  }
  throw new GatewayError('payload_too_large', `${path} has more than ${CAPTURE_BYTES_MAX} bytes`, { retriable: false });
}

function portOf(options: SerialOptions, told: string): Config['serial'][number] {
  const config = serialConfig(options);
  const wanted = options.port ?? told;
  const ports = config?.serial ?? [];
  const names = ports.map(({ name }) => name);
  const port =
    ports.find(({ name }) => name === wanted) ?? (ports.length === 1 && options.port === null ? ports[0] : undefined);
  if (port !== undefined) return port;
  if (config?.modbus.some(({ name }) => name === wanted)) {
    const hint = 'The answers on a bus mean nothing without its requests: try the units with mbpoll or a simulator';
    throw new GatewayError('port_missing', `${wanted} is a Modbus bus`, { hint, retriable: false });
  }
  const hint =
    names.length === 0
      ? 'Name a configuration with serial ports: --config FILE'
      : `Name one of its ports: --port ${names.slice(0, 5).join(' or --port ')}`;
  throw new GatewayError('port_missing', `The configuration has no port ${wanted || 'to take'}`, {
    hint,
    retriable: false,
  });
}
