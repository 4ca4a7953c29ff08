import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { describeProblems } from '../config/problems.ts';
import { redact } from '../config/redact.ts';
import type { Config, Lane } from '../config/schema.ts';
import { formatDuration, formatSize } from '../config/units.ts';
import { type Command, EXIT_CONFIG, EXIT_USAGE } from './command.ts';

const usage = `Usage: petiole check [FILE] [--json]

Reads a configuration, with the PETIOLE_ variables of the environment, and says what the box would do with it.
Nothing is started. Without FILE: ./petiole.yaml, else /etc/petiole/petiole.yaml, else the defaults.
Every problem is printed with its place and its cure; the exit code is then 78.

  --json   one JSON object on stdout: file, config (secrets redacted; null with problems), problems

Examples:
  petiole check petiole.yaml
  PETIOLE_LOG_LEVEL=debug petiole check
  petiole check --json petiole.yaml | jq -r '.problems[].hint'
`;

export const check: Command = {
  name: 'check',
  summary: 'read a configuration and print every problem with its cure',
  usage,
  async run(args) {
    let parsed: ReturnType<typeof parse>;
    try {
      parsed = parse(args);
    } catch (error) {
      return complain(error instanceof Error ? error.message : String(error));
    }
    const { values, positionals } = parsed;
    if (positionals.length > 1) return complain(`one FILE at a time, not ${positionals.length}`);
    const { config, file, problems } = loadConfig({
      file: positionals[0] ?? null,
      env: process.env,
      cwd: process.cwd(),
    });
    if (values.json) {
      const report = { file, config: config && redact(config), problems };
      process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    } else if (config === null) process.stderr.write(describeProblems(file, problems));
    else process.stdout.write(summarize(config, file));
    return config === null ? EXIT_CONFIG : 0;
  },
};

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { json: { type: 'boolean' } } });
}

function complain(message: string): number {
  process.stderr.write(`petiole check: ${message}\n\n${usage}`);
  return EXIT_USAGE;
}

/** What the box would do, in the words of its operator. */
export function summarize(config: Config, file: string | null): string {
  const { gateway, mqtt, users, nats, status, journal, lanes, upstream } = config;
  const listeners = mqtt.listeners.map(describeListener).join(', ');
  const rows: [string, string][] = [
    ['gateway', `${gateway.name}, data in ${gateway.data}`],
    ['mqtt', listeners === '' ? 'no listener' : `${listeners}; packets up to ${formatSize(mqtt.packetBytesMax)}`],
    ['users', users.length === 0 ? 'none' : users.map(({ name }) => name).join(', ')],
    ['nats', nats === null ? 'off' : describeNats(nats)],
    ['status', status === null ? 'off' : describeStatus(status)],
    ['journal', `always leaves ${formatSize(journal.reserveBytes)} of the disk free`],
    ...lanes.map((lane, index): [string, string] => [index === 0 ? 'lanes' : '', describeLane(lane)]),
    ['upstream', describeUpstream(upstream)],
  ];
  const body = rows.map(([name, text]) => `  ${name.padEnd(9)} ${text}\n`).join('');
  return `${file === null ? 'no file: the defaults' : file}: no problems\n${body}`;
}

function describeNats({ listeners, isDefault }: NonNullable<Config['nats']>): string {
  return listeners
    .map((listener, index) => describeListener(listener) + (isDefault && index === 0 ? ', if it is free' : ''))
    .join('; ');
}

function describeListener(listener: Config['mqtt']['listeners'][number]): string {
  const { tls, websocket } = listener;
  const kind = `${tls === null ? '' : tls.first ? ' TLS first' : ' TLS'}${websocket === null ? '' : ` WebSocket ${websocket.path}`}`;
  const certificates =
    tls === null || tls.clientCertificates === 'none' ? '' : `, client certificates ${tls.clientCertificates}`;
  return `${address(listener)}${kind}${certificates}`;
}

const READERS = {
  'signed-in': 'who has signed in reads',
  loopback: 'on the box one reads without signing in',
  'local-network': 'in its network one reads without signing in',
  anyone: 'everybody reads without signing in',
} as const;

function describeStatus(status: NonNullable<Config['status']>): string {
  const { tls, viewer } = status;
  const how = tls === null ? '' : tls.kind === 'files' ? ' TLS' : ' TLS with a certificate of its own making';
  return `${address({ ...status, anonymous: false })}${how}; ${READERS[viewer]}`;
}

function address(listener: { host: string; port: number; anonymous: boolean }): string {
  const { host, port, anonymous } = listener;
  return `${host.includes(':') ? `[${host}]` : host}:${port}${anonymous ? ' (anonymous)' : ''}`;
}

function describeLane({ name, subjects, priority, maxBytes, maxAgeMs, full, stream }: Lane): string {
  const age = maxAgeMs === 0 ? '' : ` or ${formatDuration(maxAgeMs)}`;
  const target = stream === null ? 'any stream' : `stream ${stream.name}${stream.own ? ' (its own)' : ''}`;
  const atBound = full === 'refuse' ? 'then refuses' : 'then drops the oldest';
  return `${name}: ${subjects.join(' ')} to ${target}, priority ${priority}; keeps ${formatSize(maxBytes)}${age}, ${atBound}`;
}

function describeUpstream(upstream: Config['upstream']): string {
  if (upstream === null) return 'none: messages are kept until there is one';
  const { urls, user, token, nkeySeed, credentials, tls, proxy, prefix, limit } = upstream;
  const secret =
    user === null
      ? ((token && 'by token') ?? (nkeySeed && 'by NKey') ?? (credentials && 'by credentials file'))
      : `as user ${user}`;
  const limits = [
    limit.messagesPerSecond > 0 ? `${limit.messagesPerSecond} messages/s` : '',
    limit.bytesPerSecond > 0 ? `${formatSize(limit.bytesPerSecond)}/s` : '',
  ].filter((text) => text !== '');
  return [
    urls.join(', '),
    ...(proxy === null ? [] : [`through the proxy ${proxy.host}:${proxy.port}`]),
    ...(prefix === '' ? [] : [`below ${prefix}`]),
    secret ?? (tls.cert === null ? 'without credentials' : 'by client certificate'),
    limits.length === 0 ? 'no limit' : `at most ${limits.join(' and ')}`,
  ].join(', ');
}
