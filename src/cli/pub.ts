import { parseArgs } from 'node:util';
import { describeError, GatewayError } from '../core/errors.ts';
import { printable, sentences } from '../ops/words.ts';
import { connectionOptions, connectionUsage, connectToBox, subjectOf } from './box-connection.ts';
import { type Command, EXIT_USAGE } from './command.ts';
import { formats, payloadText } from './payload-text.ts';

const DEFAULT_TIMEOUT_MS = 5_000;

const pubUsage = `Usage: petiole pub SUBJECT [PAYLOAD] [OPTIONS]

Publishes one message: a NATS subject ("line3.temp") or, with a "/", an MQTT topic ("line3/temp"). Without PAYLOAD it is
read from stdin.

  --header NAME=VALUE   as often as needed
  --receipt             wait until the box has it on its disk, and print the answer: for subjects of a lane only
  --timeout MS          how long to wait for that (default: ${DEFAULT_TIMEOUT_MS})
${connectionUsage}

Exit codes: 0 published, 1 not, 64 wrong arguments.

Examples:
  petiole pub line3/temp 21.5
  petiole pub line3.temp '{"c":21.5}' --receipt
  date | petiole pub line3.clock
`;

const requestUsage = `Usage: petiole request SUBJECT [PAYLOAD] [OPTIONS]

Sends a request and prints the first answer: of a device, of a program on the box, or of the cloud. Without PAYLOAD it
is read from stdin, unless that is a terminal.

  --header NAME=VALUE   as often as needed
  --format FORMAT       ${formats.join(', ')} (default: auto: text, or hex where it is none)
  --timeout MS          how long to wait for the answer (default: ${DEFAULT_TIMEOUT_MS})
${connectionUsage}

Exit codes: 0 answered, 1 not, 64 wrong arguments.

Examples:
  petiole request petiole.plant1.health --format json
  petiole request line3/valve/set open --timeout 2000
`;

/** `petiole pub`: one message into the box. */
export const pub: Command = {
  name: 'pub',
  summary: 'publish a message',
  usage: pubUsage,
  run: (args) => run('pub', args),
};

/** `petiole request`: one request, and its first answer. */
export const request: Command = {
  name: 'request',
  summary: 'send a request and print the answer',
  usage: requestUsage,
  run: (args) => run('request', args),
};

async function run(name: 'pub' | 'request', args: string[]): Promise<number> {
  let asked: ReturnType<typeof parse>;
  try {
    asked = parse(args);
  } catch (error) {
    process.stderr.write(
      `petiole ${name}: ${error instanceof Error ? error.message : error}\n\n${name === 'pub' ? pubUsage : requestUsage}`,
    );
    return EXIT_USAGE;
  }
  try {
    await (name === 'pub' ? publish(asked) : ask(asked));
    return 0;
  } catch (error) {
    const { message, hint } = describeError(error);
    process.stderr.write(`${sentences(message, hint)}\n`);
    return 1;
  }
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...connectionOptions,
      header: { type: 'string', multiple: true, default: [] },
      receipt: { type: 'boolean', default: false },
      format: { type: 'string', default: 'auto' },
      timeout: { type: 'string', default: String(DEFAULT_TIMEOUT_MS) },
    },
  });
  const [subject, payload, ...rest] = positionals;
  if (subject === undefined || rest.length > 0) throw new Error('one SUBJECT and at most one PAYLOAD');
  const format = formats.find((known) => known === values.format);
  if (format === undefined) throw new Error(`--format is one of ${formats.join(', ')}`);
  const timeoutMs = Number(values.timeout);
  if (!(timeoutMs >= 1)) throw new Error('--timeout is a number of milliseconds');
  const given = values.header.map((text) => text.split(/=(.*)/s, 2) as [string, string?]);
  const wrong = given.find(([key, value]) => key === '' || value === undefined);
  if (wrong) throw new Error('--header is NAME=VALUE');
  return { values, subject: subjectOf(subject), payload, given, format, timeoutMs };
}

type Asked = ReturnType<typeof parse>;

async function payloadOf({ payload }: Asked): Promise<Buffer> {
  if (payload !== undefined) return Buffer.from(payload);
  if (process.stdin.isTTY) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function open(asked: Asked) {
  const { headers: make } = await import('@nats-io/transport-node');
  const payload = await payloadOf(asked);
  const connection = await connectToBox(asked.values);
  const options: { headers?: ReturnType<typeof make> } = {};
  if (asked.given.length > 0) {
    options.headers = make();
    for (const [key, value = ''] of asked.given) options.headers.append(key, value);
  }
  return { connection, payload, options };
}

async function publish(asked: Asked): Promise<void> {
  if (asked.values.receipt) return ask(asked);
  const { connection, payload, options } = await open(asked);
  connection.publish(asked.subject, payload, options);
  // An error of the box, such as a missing permission, comes before the end.
  const [closed] = await Promise.all([connection.closed(), connection.drain()]);
  if (closed instanceof Error) throw closed;
}

async function ask(asked: Asked): Promise<void> {
  const { connection, payload, options } = await open(asked);
  try {
    const answer = await connection.request(asked.subject, payload, { timeout: asked.timeoutMs, ...options });
    process.stdout.write(`${payloadText(answer.data, asked.format)}\n`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const nobody = /no responders/i.test(why);
    const hint = nobody
      ? 'Nobody subscribes to it here, and the hub has nobody either'
      : 'Raise --timeout, or look at who should answer';
    throw new GatewayError(
      'request_timeout',
      nobody ? `Nobody answers on ${printable(asked.subject)}` : printable(why),
      { hint, cause },
    );
  } finally {
    await connection.close();
  }
}
