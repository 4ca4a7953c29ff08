import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { GatewayError } from '../core/errors.ts';
import { bytes } from '../ops/words.ts';
import { boxPage, pageOptions, pageUsage } from './box-page.ts';
import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';
import { putFile } from './private-file.ts';

/** The history of a day is read, and the machine is asked what it is. */
const TIMEOUT_MS = 60_000;

const usage = `petiole bundle [FILE] [OPTIONS]

Writes what somebody who helps wants to see into one archive: status, health and history, the machine, the configuration
with where each value comes from, and the newest log lines. Secrets are taken out; look at it before you pass it on.

  FILE           where it goes (default: petiole-<gateway>-<time>.tar.gz here); - for stdout
  --force        write over a file that is there
${pageUsage}

Exit codes: 0 written, 1 the box doesn't answer or refuses, 64 wrong arguments, 78 a mistake in the configuration.

Examples:
  sudo petiole bundle
  petiole bundle case-17.tar.gz --url https://192.0.2.7:8080 --secret-file secret.txt
  petiole bundle - | tar -tz
`;

/** `petiole bundle`: the support bundle of a running box as a file. */
export const bundle: Command = { name: 'bundle', summary: 'write a redacted archive for who helps you', usage, run };

function run(args: string[]): Promise<number> {
  const read = () => {
    const options = { ...pageOptions, force: { type: 'boolean', default: false } } as const;
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
    if (positionals.length > 1) throw new Error('one FILE at a time');
    return { ...values, file: positionals[0] ?? '' };
  };
  return carryOut(bundle, read, async ({ file, force, ...values }) => {
    const page = await boxPage(values);
    if (file !== '-' && !force) refuseExisting(file);
    const { statusCode, headers, body } = await page.ask('/api/bundle', { timeoutMs: TIMEOUT_MS });
    if (statusCode !== 200) throw page.failure(statusCode, parsed(body));
    if (file === '-') {
      process.stdout.write(body);
      return 0;
    }
    // A name of the box's own making, and no path.
    const named = /filename="([\w.-]+)"/.exec(String(headers['content-disposition']))?.[1] ?? 'petiole.tar.gz';
    const target = file === '' ? named : file;
    if (!force) refuseExisting(target);
    putFile(target, body);
    process.stdout.write(`${target}: ${bytes(body.length)}\n`);
    return 0;
  });
}

function refuseExisting(file: string): void {
  if (file === '' || !existsSync(file)) return;
  const hint = 'Give another name, or --force';
  throw new GatewayError('permission_denied', `${file} is there already`, { hint, retriable: false });
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}
