import { pino } from 'pino';

/** What every part gets to write with; `child({ part: 'mqtt' })` names the part. */
export type Log = pino.Logger;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** JSON lines on stdout; readable lines where stdout is a terminal. */
export async function createLog(level: LogLevel, terminal: boolean): Promise<Log> {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const stdout = pino.destination({ dest: 1, sync: true });
  if (!terminal) return pino(options, stdout);
  // Loaded only here: an appliance logs JSON and need not carry the formatter.
  const { logLine } = await import('./log-line.ts');
  // no-color.org: set and not empty means no colours.
  const colour = !process.env.NO_COLOR;
  return pino(options, { write: (json) => stdout.write(logLine(json, colour)) });
}

/** For parts that run without a log (tests, offline subcommands). */
export const silentLog: Log = pino({ level: 'silent' });
