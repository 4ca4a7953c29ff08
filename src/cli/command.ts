/** One subcommand of `petiole`. `--help` is answered by main from `usage`. */
export interface Command {
  readonly name: string;
  /** One line for the list of subcommands. */
  readonly summary: string;
  /** Help text with examples. */
  readonly usage: string;
  /** Gives the exit code. Output goes to stdout, complaints to stderr. */
  run(args: string[]): Promise<number>;
}

/** The command line itself is wrong (EX_USAGE of sysexits.h). */
export const EXIT_USAGE = 64;
/** The configuration is wrong (EX_CONFIG): systemd need not start it again until somebody has mended it. */
export const EXIT_CONFIG = 78;
