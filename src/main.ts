#!/usr/bin/env node
import { EXIT_USAGE } from './cli/command.ts';
import { commands } from './cli/commands.ts';
import { useSmallMemory } from './cli/small-memory.ts';

/** Habits from other programs. */
const aliases = new Map([
  ['--help', 'help'],
  ['-h', 'help'],
  ['--version', 'version'],
  ['-V', 'version'],
]);

async function overview(): Promise<string> {
  const lines = ['Usage: petiole COMMAND [OPTIONS]', '', 'Commands:'];
  for (const load of commands.values()) {
    const { name, summary } = await load();
    lines.push(`  ${name.padEnd(10)} ${summary}`);
  }
  lines.push('', 'petiole COMMAND --help tells more.', '');
  return lines.join('\n');
}

async function main([first, ...rest]: string[]): Promise<number> {
  const asked = aliases.get(first ?? '') ?? first;
  // `petiole help status` is `petiole status --help`.
  const [name, ...args] = asked === 'help' && rest[0] !== undefined ? [rest[0], '--help'] : [asked, ...rest];
  if (name === undefined || name === 'help') {
    process.stdout.write(await overview());
    return name === undefined ? EXIT_USAGE : 0;
  }
  const load = commands.get(name);
  if (!load) {
    process.stderr.write(`petiole: there is no command ${name}\n\n${await overview()}`);
    return EXIT_USAGE;
  }
  const isHelp = args.includes('--help') || args.includes('-h');
  // Before the broker is loaded: the process may replace itself here.
  if (name === 'run' && !isHelp) useSmallMemory();
  const command = await load();
  if (isHelp) {
    process.stdout.write(command.usage);
    return 0;
  }
  return command.run(args);
}

process.exitCode = await main(process.argv.slice(2));
