import { GatewayError } from '../core/errors.ts';
import { UpdateLock } from '../ops/update-lock.ts';
import { carryOut } from './carry-out.ts';
import type { Command } from './command.ts';
import { exportTo, importFrom, stats, trim, verify } from './journal-file.ts';
import { type JournalOptions, journalOptionsOf } from './journal-options.ts';

const usage = `petiole journal stats|verify|export|import|trim|audit|send [FILE] [OPTIONS]

Looks after the journal of a box. The box must be stopped for all but audit, send and stats.

  stats          what each lane holds
  verify         reads every record and checks it; exit code 1 where something is damaged
  export FILE    what the hub does not have yet, as a bundle for a USB stick
  import FILE    takes the bundle of another box; its records keep their ids, and the hub is asked what it has of them
  trim           gives free space back; with --lane and --through throws records away, which the ledger then declares
  audit          compares what was produced with what the hub has and what was declared lost; 1 on a difference
  send FILE      sends the bundle to the hub from any machine; what came by radio meanwhile is not sent again

  --config FILE  the configuration of the box (default: as for run)
  --data FOLDER  the folder of the journal (default: gateway.data)
  --lane NAME    this lane only
  --json         print JSON
export:
  --format FMT   ndjson (default) or sqlite
  --seal         encrypt it with a passphrase (scrypt, AES-256-GCM), asked for or read from stdin
  --passphrase-file FILE  the passphrase is its first line
  --move         let go of the records: the bundle is where they are now
trim:
  --through N    up to this sequence, or "all"; needs --yes
audit, send:
  --hub URL      the leafnode port of the hub (default: upstream.urls)

Exit codes: 0 done, 1 it can't be done or something is wrong with the data, 64 wrong arguments, 78 a mistake in the
configuration.

Examples:
  petiole journal stats
  petiole journal export /media/stick/plant1.bundle --seal
  petiole journal import /media/stick/plant1.bundle --config /etc/petiole/petiole.yaml
  petiole journal send plant1.bundle --hub nats://hub.example.com:7422
  petiole journal audit --json
  petiole journal trim --lane telemetry --through 120000 --yes
`;

/** `petiole journal`: looks into the journal, carries it by hand, and proves that the hub has it all. */
export const journal: Command = {
  name: 'journal',
  summary: 'inspect, export, import and audit the journal',
  usage,
  run,
};

function run(args: string[]): Promise<number> {
  const read = () => {
    const options = journalOptionsOf(args);
    const action = actions.get(options.action);
    if (!action) throw new Error(`one of ${[...actions.keys()].join(', ')}`);
    return { options, action };
  };
  return carryOut(journal, read, ({ options, action }) => action(options));
}

const actions = new Map<string, (options: JournalOptions) => number | Promise<number>>([
  ['stats', stats],
  ['verify', verify],
  ['export', (options) => exportTo(options, fileOf(options))],
  ['import', (options) => UpdateLock.during(process.env, 'the import', () => importFrom(options, fileOf(options)))],
  ['trim', trim],
  ['audit', async (options) => (await import('./journal-hub.ts')).audit(options)],
  ['send', async (options) => (await import('./journal-hub.ts')).send(options, fileOf(options))],
]);

function fileOf({ action, file }: JournalOptions): string {
  if (file !== undefined) return file;
  const hint = `for example: petiole journal ${action} /media/stick/plant1.bundle`;
  throw new GatewayError('config_invalid', `${action} needs a file`, { hint, retriable: false });
}
