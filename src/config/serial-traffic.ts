import * as v from 'valibot';
import * as field from './fields.ts';
import * as portField from './port-fields.ts';

/** `filters`, `command` and `polls` of a serial port: what is worth a message, and what is written to the device. */

export const FILTERS_MAX = 256;
export const POLLS_MAX = 32;

export const filter = field.map({
  field: v.pipe(field.text(), v.metadata({ example: 'temperature' })),
  on_change: v.optional(field.yesOrNo(), false),
  dead_band: v.optional(portField.deadBand()),
  min_interval: v.optional(field.duration('0', '30d'), 0),
  max_interval: v.optional(field.duration('0', '30d'), 0),
  window: v.optional(field.duration('0', '1d'), 0),
});

export const command = field.map({
  subject: v.optional(field.subject()),
  encode: v.optional(field.choice(['raw', 'text', 'hex', 'json']), 'raw'),
  template: v.optional(field.text()),
  framed: v.optional(field.yesOrNo(), true),
  match: v.optional(portField.pattern()),
  timeout: v.optional(field.duration('10ms', '5m'), '1s'),
});

export const poll = field.map({
  send: v.pipe(portField.bytes(1, 1024), v.metadata({ example: 'READ?' })),
  framed: v.optional(field.yesOrNo(), true),
  every: v.optional(field.duration('10ms', '30d')),
  cron: v.optional(field.cron('allowed')),
});

export function toFilter(file: v.InferOutput<typeof filter>) {
  return {
    field: file.field,
    onChange: file.on_change,
    deadBand: file.dead_band?.band ?? 0,
    deadBandUnit: file.dead_band?.unit ?? ('absolute' as const),
    intervalMinMs: file.min_interval,
    intervalMaxMs: file.max_interval,
    windowMs: file.window,
  };
}

/** `subject`: of the commands where the file names none; '' for none. */
export function toCommand(file: v.InferOutput<typeof command>, subject: string) {
  return {
    subject: file.subject ?? subject,
    encode: file.encode,
    template: file.template ?? '',
    framed: file.framed,
    match: file.match ?? '',
    timeoutMs: file.timeout,
  };
}

export function toPoll(file: v.InferOutput<typeof poll>) {
  return {
    send: file.send,
    framed: file.framed,
    everyMs: file.every ?? 0,
    cron: file.cron ?? '',
  };
}
