import { parseArgs } from 'node:util';
import { connectionOptions } from './box-connection.ts';

/** What was asked of `petiole firmware`. */
export type FirmwareOptions = ReturnType<typeof firmwareOptionsOf>;

/** Throws an Error in the words of its reader. */
export function firmwareOptionsOf(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...connectionOptions,
      gateway: { type: 'string' },
      json: { type: 'boolean', default: false },
      port: { type: 'string' },
      target: { type: 'string' },
      version: { type: 'string' },
      key: { type: 'string' },
      out: { type: 'string' },
      with: { type: 'string' },
      device: { type: 'string' },
      baud: { type: 'string', default: '115200' },
      chip: { type: 'string' },
      programmer: { type: 'string', default: 'arduino' },
      address: { type: 'string' },
      mode: { type: 'string' },
      unsigned: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
    },
  });
  const [action = '', argument = '', ...rest] = positionals;
  if (rest.length > 0) throw new Error('too many arguments');
  return { action, argument, ...values };
}

/** The options of this name; throws an Error that names the first one that is missing. */
export function needed<K extends keyof FirmwareOptions>(options: FirmwareOptions, ...names: K[]) {
  for (const name of names) if (options[name] === undefined) throw new Error(`${options.action} needs --${name}`);
  return options as { [N in K]: NonNullable<FirmwareOptions[N]> };
}
