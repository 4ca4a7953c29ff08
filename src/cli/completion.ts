import { type Command, EXIT_USAGE } from './command.ts';
import { commands } from './commands.ts';

const usage = `Usage: petiole completion bash|zsh|fish

Prints what a shell needs to complete commands and options; made from the same texts as --help.

Exit codes: 0 printed, 64 wrong arguments.

Examples:
  petiole completion bash > /etc/bash_completion.d/petiole
  petiole completion zsh > "\${fpath[1]}/_petiole"
  petiole completion fish > ~/.config/fish/completions/petiole.fish
`;

/** `petiole completion`: scripts for shells. */
export const completion: Command = { name: 'completion', summary: 'print a completion script for a shell', usage, run };

async function run([shell, ...rest]: string[]): Promise<number> {
  const script = rest.length === 0 ? scripts.get(shell ?? '') : undefined;
  if (script === undefined) {
    process.stderr.write(`petiole completion: one of ${[...scripts.keys()].join(', ')}\n\n${usage}`);
    return EXIT_USAGE;
  }
  process.stdout.write(script(await known()));
  return 0;
}

interface Known {
  name: string;
  summary: string;
  options: string[];
}

/** Every command with the options that its help shows. */
async function known(): Promise<Known[]> {
  const all = await Promise.all([...commands.values()].map((load) => load()));
  return all.map(({ name, summary, usage: text }) => {
    const options = new Set([...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option));
    return { name, summary, options: [...options, '--help'].filter((option, i, list) => list.indexOf(option) === i) };
  });
}

const scripts = new Map<string, (all: Known[]) => string>([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
]);

function bash(all: Known[]): string {
  const cases = all.map(({ name, options }) => `    ${name}) words="${options.join(' ')}" ;;`).join('\n');
  return `# bash completion of petiole
_petiole() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all.map(({ name }) => name).join(' ')} help" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases}
    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
}
complete -o filenames -F _petiole petiole
`;
}

function zsh(all: Known[]): string {
  const names = all.map(({ name, summary }) => `    '${name}:${quoted(summary)}'`).join('\n');
  const cases = all.map(({ name, options }) => `    ${name}) compadd -- ${options.join(' ')}; _files ;;`).join('\n');
  return `#compdef petiole
_petiole() {
  local -a names
  names=(
${names}
  )
  if (( CURRENT == 2 )); then _describe command names; return; fi
  case "$words[2]" in
${cases}
  esac
}
_petiole "$@"
`;
}

function fish(all: Known[]): string {
  const lines = all.flatMap(({ name, summary, options }) => [
    `complete -c petiole -n __fish_use_subcommand -f -a ${name} -d '${quoted(summary)}'`,
    ...options.map((option) => `complete -c petiole -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
  ]);
  return `${lines.join('\n')}\n`;
}

/** For single quotes of a shell. */
function quoted(text: string): string {
  return text.replaceAll("'", "'\\''");
}
