import { type Command, EXIT_USAGE } from './command.ts';
import { commands } from './commands.ts';

const usage = `Usage: petiole manual

Prints the manual page petiole(1), made from the same texts as --help. The packages install it.

Exit codes: 0 printed, 64 wrong arguments.

Examples:
  petiole manual | man -l -
`;

/** `petiole manual`: the manual page. */
export const manual: Command = { name: 'manual', summary: 'print the manual page', usage, run };

async function run(args: string[]): Promise<number> {
  if (args.length > 0) {
    process.stderr.write(`petiole manual: takes no arguments\n\n${usage}`);
    return EXIT_USAGE;
  }
  const all = await Promise.all([...commands.values()].map((load) => load()));
  const sections = all.map(({ name, summary, usage: text }) => {
    const body = text.replace(/^Usage: /, '').trimEnd();
    return `.SS petiole ${name}\n${roff(capital(summary))}.\n.PP\n.nf\n${roff(body)}\n.fi\n`;
  });
  process.stdout.write(`.TH PETIOLE 1
.SH NAME
petiole \\- leaf\\-node broker for edge gateways
.SH SYNOPSIS
.B petiole
.I COMMAND
[OPTIONS]
.SH DESCRIPTION
Takes messages of sensors by MQTT and of programs by NATS, keeps them on the disk while the link is down, and syncs them
exactly once into the JetStream streams of a NATS cluster.
.SH COMMANDS
${sections.join('')}.SH FILES
.TP
.I ./petiole.yaml, /etc/petiole/petiole.yaml
The configuration: the first that is there.
.TP
.I /var/lib/petiole
The journal, where systemd runs the box.
.SH ENVIRONMENT
.TP
.I PETIOLE_...
Overrides the configuration: PETIOLE_ and the path of a key in capitals, joined by "_".
`);
  return 0;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A dot or a quote at the start of a line, a backslash and a hyphen mean something to roff. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
}
