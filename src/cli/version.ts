import { readFileSync } from 'node:fs';
import type { Command } from './command.ts';

const usage = `Usage: petiole version

Prints the version of Petiole and of the Node that runs it.
`;

export const version: Command = {
  name: 'version',
  summary: 'print the version',
  usage,
  async run() {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    process.stdout.write(
      `petiole ${manifest.version} (node ${process.version}, ${process.platform}-${process.arch})\n`,
    );
    return 0;
  },
};
