import { parseArgs } from 'node:util';
import { describeError } from '../core/errors.ts';
import { printable, sentences } from '../ops/words.ts';
import { connectionOptions, connectionUsage, connectToBox, subjectsOf } from './box-connection.ts';
import { type Command, EXIT_USAGE } from './command.ts';
import { type Format, formats, payloadText } from './payload-text.ts';

const usage = `Usage: petiole tail [FILTER ...] [OPTIONS]

Shows the messages that pass through the box as they come, until interrupted. A FILTER is a NATS subject filter
("line3.>") or an MQTT topic filter ("line3/#"); without one, everything but system subjects.

  --format FORMAT       ${formats.join(', ')} (default: auto: text, or hex where it is none)
  --count N             end after N messages
  --json                one JSON object a line: at, subject, reply, headers, payload (base64)
${connectionUsage}

Exit codes: 0 as asked, 1 no box there or the connection was lost, 64 wrong arguments.

Examples:
  petiole tail
  petiole tail 'line3/+/temp' --count 10
  petiole tail 'petiole.*.health' --format json
`;

/** `petiole tail`: what passes through the box. */
export const tail: Command = { name: 'tail', summary: 'show messages as they pass', usage, run };

async function run(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    process.stderr.write(`petiole tail: ${error instanceof Error ? error.message : error}\n\n${usage}`);
    return EXIT_USAGE;
  }
  const { values, filters, format, count } = parsed;
  try {
    return await follow(values, filters, format, count);
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
      format: { type: 'string', default: 'auto' },
      count: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const format = formats.find((known) => known === values.format);
  if (format === undefined) throw new Error(`--format is one of ${formats.join(', ')}`);
  const count = values.count === undefined ? Number.POSITIVE_INFINITY : Number(values.count);
  if (!(count >= 1)) throw new Error('--count is a number of messages, 1 or more');
  const filters = positionals.length === 0 ? ['>'] : positionals.flatMap(subjectsOf);
  return { values, filters, format, count };
}

type Values = ReturnType<typeof parse>['values'];

async function follow(values: Values, filters: readonly string[], format: Format, count: number): Promise<number> {
  const connection = await connectToBox(values);
  const isAll = filters.length === 1 && filters[0] === '>';
  let left = count;
  let finish: () => void = () => {};
  const counted = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let refused: Error | null = null;
  for (const filter of filters) {
    connection.subscribe(filter, {
      callback: (error, message) => {
        if (error) {
          refused = error;
          return finish();
        }
        // Our own inbox, the JetStream API and the like are noise for whoever wants to see the sensors.
        if (left === 0 || (isAll && /^(\$|_INBOX\.)/.test(message.subject))) return;
        const headers = message.headers ? [...message.headers] : [];
        const time = new Date().toISOString();
        if (values.json) {
          const payload = Buffer.from(message.data).toString('base64');
          const { subject, reply = '' } = message;
          process.stdout.write(
            `${JSON.stringify({ at: time, subject, reply, headers: Object.fromEntries(headers), payload })}\n`,
          );
        } else {
          const shown = headers.map(([name, all]) => ` ${printable(`${name}: ${all.join(', ')}`)}`).join(';');
          const head = `${time.slice(11, 23)} ${printable(message.subject, 500)}${shown === '' ? '' : ` [${shown.trim()}]`}`;
          process.stdout.write(`${head} ${payloadText(message.data, format)}\n`);
        }
        if (--left === 0) finish();
      },
    });
  }
  const stop = new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  const closed = connection.closed().then((error) => error ?? new Error('the box has closed the connection'));
  const lost = await Promise.race([closed, counted, stop]);
  await connection.close();
  if (refused !== null) throw refused;
  if (lost instanceof Error) throw lost;
  return 0;
}
