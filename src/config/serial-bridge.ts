import * as v from 'valibot';
import * as field from './fields.ts';
import type { toSerialPort } from './serial.ts';

/** `bridge:` of a serial port: a board that speaks the protocol of firmware-bridge/PROTOCOL.md. */

const FILTERS_MAX = 64;

export const bridge = field.map({
  /** What the board may publish beside its entities, and subscribe to. System subjects (`$`, `_INBOX`) only by name. */
  publish: v.optional(field.list(field.subject(), 0, FILTERS_MAX), ['>']),
  subscribe: v.optional(field.list(field.subject(), 0, FILTERS_MAX), ['>']),
  /** How long a command or a request may take that the board answers. */
  timeout: v.optional(field.duration('10ms', '5m'), '5s'),
});

/** A board's port as the serial edge takes it; `file` is that of any port. */
export function toBridgePort(
  { name, identity, line, silenceMs, subject, recorderBytes }: ReturnType<typeof toSerialPort>,
  { publish, subscribe, timeout }: v.InferOutput<typeof bridge>,
) {
  const prefix = subject.replaceAll('{port}', name);
  return { name, identity, line, silenceMs, recorderBytes, prefix, publish, subscribe, timeoutMs: timeout };
}
