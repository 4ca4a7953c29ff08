import { pino } from 'pino';
import type { LogRing } from './log-ring.ts';

/** What every part gets to write with; `child({ part: 'mqtt' })` names the part. */
export type Log = pino.Logger;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** JSON lines on stdout; readable lines where stdout is a terminal. The newest of them are kept in `ring`. */
export async function createLog(level: LogLevel, terminal: boolean, ring: LogRing): Promise<Log> {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const stdout = pino.destination({ dest: 1, sync: true });
  const kept = (write: (json: string) => void) => ({
    write: (json: string) => {
      ring.add(json);
      write(json);
    },
  });
  if (!terminal)
    return pino(
      options,
      kept((json) => stdout.write(json)),
    );
  // Loaded only here: an appliance logs JSON and need not carry the formatter.
  const { logLine } = await import('./log-line.ts');
  // no-color.org: set and not empty means no colours.
  const colour = !process.env.NO_COLOR;
  return pino(
    options,
    kept((json) => stdout.write(logLine(json, colour))),
  );
}

/** For parts that run without a log (tests, offline subcommands). */
export const silentLog: Log = pino({ level: 'silent' });
