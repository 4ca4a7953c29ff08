import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { reachableInUrl } from '../config/address.ts';
import { loadConfig } from '../config/load.ts';
import { GatewayError } from '../core/errors.ts';
import { filterToSubjects, isTopicFilter, topicToSubject } from '../core/topic.ts';
import { printable } from '../ops/words.ts';
import { firstLine } from './box-page.ts';

/** Options of every command that speaks to the box's port for NATS clients. */
export const connectionOptions = {
  server: { type: 'string' },
  config: { type: 'string', short: 'c' },
  user: { type: 'string' },
  'password-file': { type: 'string' },
  'token-file': { type: 'string' },
} as const;

export const connectionUsage = `  --server URL          the box's port for NATS clients (default: nats.listen of the configuration)
  --config FILE         the configuration to read that address from
  --user NAME           with --password-file FILE; or --token-file FILE`;

export interface ConnectionValues {
  server?: string | undefined;
  config?: string | undefined;
  user?: string | undefined;
  'password-file'?: string | undefined;
  'token-file'?: string | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Rejects with a GatewayError that says what to do. */
export async function connectToBox(values: ConnectionValues): Promise<NatsConnection> {
  const server = values.server ?? configuredServer(values.config ?? null);
  const options: ConnectionOptions = {
    servers: server,
    reconnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    name: 'petiole',
    ...secrets(values),
  };
  // Loaded only here: the box itself has no use for a client of its own.
  const { connect } = await import('@nats-io/transport-node');
  try {
    return await connect(options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const hint = /auth/i.test(why)
      ? 'Give --user with --password-file, or --token-file'
      : 'Start the box with `petiole run`, or give its NATS port with --server';
    throw new GatewayError('connection_refused', `${server} does not take this client: ${printable(why)}`, {
      hint,
      cause,
    });
  }
}

function configuredServer(file: string | null): string {
  const { config } = loadConfig({ file, env: process.env, cwd: process.cwd() });
  const listener = config?.nats?.listeners.find(
    ({ tls, websocket, port }) => tls === null && websocket === null && port > 0,
  );
  if (config === null || listener === undefined) {
    const why =
      config === null
        ? 'There are mistakes in the configuration'
        : 'The configuration has no plain port for NATS clients';
    throw new GatewayError('config_invalid', why, { hint: 'Give the address with --server', retriable: false });
  }
  return `nats://${reachableInUrl(listener.host)}:${listener.port}`;
}

function secrets(values: ConnectionValues): Partial<ConnectionOptions> {
  const passwordFile = values['password-file'];
  const tokenFile = values['token-file'];
  if (tokenFile !== undefined) return { token: firstLine(tokenFile) };
  if (values.user === undefined) return {};
  return { user: values.user, ...(passwordFile === undefined ? {} : { pass: firstLine(passwordFile) }) };
}

/** Where it has a `/`, a `+` or a `#` it is an MQTT topic, else a NATS subject. */
export function subjectOf(text: string): string {
  return text.includes('/') ? topicToSubject(text) : text;
}

/** As `subjectOf`, for filters: `a/#` stands for two. */
export function subjectsOf(filter: string): string[] {
  return /[/+#]/.test(filter) && isTopicFilter(filter) ? filterToSubjects(filter) : [filter];
}
