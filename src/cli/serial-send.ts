import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import { encodeFrame } from '../serial/framing/framing.ts';
import { choosePort, openChosen, type SerialOptions } from './serial-options.ts';
import { hexDump } from './serial-text.ts';

const ANSWER_S = 1;

/** `petiole serial send`: one request, and what comes of it. */
export async function send(options: SerialOptions): Promise<number> {
  const [name = '', data = ''] = options.rest;
  const chosen = choosePort(name, options);
  const content = options.hex ? fromHex(data) : Buffer.from(data);
  const framed = chosen.port === null ? content : encodeFrame(chosen.port.framing, content);
  const bytes = options.line && chosen.port === null ? Buffer.concat([framed, Buffer.from('\r\n')]) : framed;
  const startedMs = performance.now();
  let received = 0;
  const show = (way: '>' | '<', shown: Buffer): void => {
    const atS = (performance.now() - startedMs) / 1000;
    if (options.json) process.stdout.write(`${JSON.stringify({ at: atS, way, hex: shown.toString('hex') })}\n`);
    else process.stdout.write(hexDump(shown, `${way} ${atS.toFixed(3).padStart(8)} `));
  };
  const line = await openChosen(chosen, (chunk) => {
    received += chunk.length;
    show('<', chunk);
  });
  try {
    show('>', bytes);
    await line.write(bytes);
    const lost = await Promise.race([wait((options.seconds ?? ANSWER_S) * 1000), line.ended]);
    if (lost instanceof GatewayError) throw lost;
  } finally {
    await line.close(new GatewayError('stopping', 'done'));
  }
  if (received === 0) process.stderr.write('No answer came.\n');
  return received === 0 ? 1 : 0;
}

function fromHex(text: string): Buffer {
  const digits = text.replaceAll(/\s/g, '');
  if (/^(?:[0-9a-fA-F]{2})+$/.test(digits)) return Buffer.from(digits, 'hex');
  throw new GatewayError('config_invalid', 'DATA is not hexadecimal digits in pairs', { retriable: false });
}
