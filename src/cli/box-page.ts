import type { IncomingMessage, RequestOptions } from 'node:http';
import { reachableInUrl } from '../config/address.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../core/errors.ts';
import { isLoopback } from '../ops/guard.ts';
import { secretsIn } from '../ops/sign-in-secrets.ts';
import { DEFAULT_URL, parsedUrl, unreachable } from './page-url.ts';

/** The status page of a box, as the commands of the terminal ask it. */

/** Options of every command that does so. */
export const pageOptions = {
  url: { type: 'string' },
  config: { type: 'string', short: 'c' },
  'secret-file': { type: 'string' },
} as const;

export const pageUsage = `  --url URL           where the box's status page is (default: that of the configuration, else ${DEFAULT_URL})
  --config FILE       the configuration to read that address from
  --secret-file FILE  a file with a secret of the box, where this user may not read that of the box on this machine`;

export interface PageValues {
  url?: string | undefined;
  config?: string | undefined;
  'secret-file'?: string | undefined;
}

const ANSWER_TIMEOUT_MS = 5_000;
/** A snapshot of 5,000 clients is near 2 MB: what is much longer is none of our answers. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

export interface PageRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly headers?: Record<string, string>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs?: number;
}

export interface PageAnswer {
  readonly statusCode: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export class BoxPage {
  readonly url: URL;
  readonly #secret: string;

  /** `secret` '' for a visitor. */
  constructor(url: URL, secret = '') {
    this.url = url;
    this.#secret = secret;
  }

  /** Rejects with a GatewayError where there is no answer; whatever the answer is, it is one. */
  async ask(path: string, { method = 'GET', headers = {}, body, timeoutMs = ANSWER_TIMEOUT_MS }: PageRequest = {}) {
    const text = body === undefined ? null : JSON.stringify(body);
    const options: RequestOptions & { rejectUnauthorized?: boolean } = {
      method,
      headers: {
        ...(this.#secret !== '' && { Authorization: `Bearer ${this.#secret}` }),
        ...(text !== null && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
        ...headers,
      },
      signal: AbortSignal.timeout(timeoutMs),
      agent: false,
      // On loopback nobody is in between, and the certificate is one of the box's own making.
      ...(isLoopback(this.url.hostname) && { rejectUnauthorized: false }),
    };
    const http = process.getBuiltinModule(this.url.protocol === 'https:' ? 'node:https' : 'node:http');
    try {
      return await new Promise<PageAnswer>((resolve, reject) => {
        const request = http.request(new URL(path, this.url), options, (response) => {
          gathered(response).then((whole) => {
            resolve({ statusCode: response.statusCode ?? 0, headers: response.headers, body: whole });
          }, reject);
        });
        request.on('error', reject);
        request.end(text);
      });
    } catch (cause) {
      throw cause instanceof GatewayError ? cause : unreachable(this.url, cause);
    }
  }

  /** The JSON of a good answer; rejects with what the box says is wrong. */
  async json<T>(path: string, request: PageRequest = {}): Promise<T> {
    const { statusCode, body } = await this.ask(path, request);
    const value = parsed(body.toString());
    if (statusCode < 300 && value !== null) return value as T;
    throw this.failure(statusCode, value);
  }

  failure(statusCode: number, value: unknown): GatewayError {
    const said = (value as { error?: { message?: unknown; hint?: unknown } } | null)?.error;
    if (typeof said?.message === 'string') {
      const code = statusCode === 401 || statusCode === 403 ? 'permission_denied' : 'protocol_violation';
      const own = 'Run it as root or as the user of the box, or give --secret-file';
      const hint = statusCode === 401 ? own : String(said.hint ?? '');
      return new GatewayError(code, said.message, { hint, retriable: false });
    }
    return new GatewayError(
      'protocol_violation',
      `What answers on ${this.url.origin} is not the status page of a box`,
      { hint: 'Check the port, and that the box and this command are of the same version', retriable: false },
    );
  }
}

/** The page that the options name, with the secret of the box on this machine where this user may read it. */
export async function boxPage(values: PageValues): Promise<BoxPage> {
  const given = values['secret-file'];
  const secret = given === undefined ? null : firstLine(given);
  if (values.url !== undefined) return new BoxPage(parsedUrl(values.url), secret ?? '');
  const { config } = configuredBox(values.config);
  return pageOf(config, secret);
}

/** Throws address_not_available where the page is off or has no fixed port. */
export function pageOf(config: Config, secret: string | null = null): BoxPage {
  const { status: page, gateway } = config;
  if (page === null || page.port === 0) {
    const what = page === null ? 'The status page is off' : 'The status page has no fixed port';
    const hint = 'Set status.listen to an address such as 127.0.0.1:8080, or give --url';
    throw new GatewayError('address_not_available', what, { hint, retriable: false });
  }
  const url = new URL(`${page.tls === null ? 'http' : 'https'}://${reachableInUrl(page.host)}:${page.port}`);
  return new BoxPage(url, secret ?? secretsIn(gateway.data)?.operator ?? '');
}

/** The configuration of the box on this machine; throws config_invalid where there are mistakes in it. */
export function configuredBox(file: string | undefined): { config: Config; file: string | null } {
  const loaded = loadConfig({ file: file ?? null, env: process.env, cwd: process.cwd() });
  if (loaded.config !== null) return { config: loaded.config, file: loaded.file };
  const where = loaded.file ?? 'the environment';
  const hint = loaded.file === null ? 'Mend them' : `\`petiole check ${loaded.file}\` lists them; or give --url`;
  throw new GatewayError('config_invalid', `There are mistakes in ${where}`, { hint, retriable: false });
}

/** Not an argument: everybody on the machine can read those. */
export function firstLine(file: string): string {
  try {
    return process.getBuiltinModule('node:fs').readFileSync(file, 'utf8').split(/\r?\n/, 1)[0] ?? '';
  } catch (cause) {
    throw new GatewayError('config_invalid', `${file} cannot be read`, {
      hint: 'Check its path and its mode',
      cause,
      retriable: false,
    });
  }
}

async function gathered(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new GatewayError('protocol_violation', 'The answer is longer than any status');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
