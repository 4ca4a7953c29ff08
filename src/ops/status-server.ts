import { once as nextEvent } from 'node:events';
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http';
import { describeError, type ErrorCode, GatewayError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { once, type Service } from '../core/service.ts';
import type { DrainControl } from './drain-control.ts';
import { bracketed, Guard, SECURITY_HEADERS } from './guard.ts';
import { healthz } from './health.ts';
import { Look } from './look.ts';
import { METRICS_TYPE, metrics } from './metrics.ts';
import { assets } from './page.ts';
import type { Snapshot } from './snapshot.ts';
import { VIEWERS_MAX, Viewers } from './viewers.ts';

// Not by import: that would evaluate every export of the module and load a whole HTTP client, 11 MB resident.
const { createServer } = process.getBuiltinModule('node:http');

/** A request here is a line and a few headers; cookies of other services on the same host name may come along. */
const HEADER_BYTES_MAX = 8192;
/** Time for a whole request to arrive, and how often late ones are looked for. */
const REQUEST_TIMEOUT_MS = 5000;
const LATE_CHECK_MS = 1000;
/** An idle connection holds one of the few places. */
const KEEP_ALIVE_TIMEOUT_MS = 5000;
/** Sockets at a time: the viewers, and room for monitors and page loads beside them. */
const CONNECTIONS_MAX = VIEWERS_MAX * 4;
/** How long answers that are on their way may take once we stop. */
const STOP_GRACE_MS = 1000;

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

/** A port's name is one of the configuration's: letters, digits, `-` and `_`. */
const CAPTURE = /^\/serial\/([A-Za-z0-9_-]{1,64})\/capture$/;

export interface StatusServerOptions {
  host: string;
  /** 0 takes any free port; see `address`. */
  port: number;
  /** Called once a second at most, and only while somebody looks. */
  snapshot: () => Snapshot;
  /** Without it nothing can be changed here. */
  drain?: DrainControl;
  /** The flight recorder of a serial port as text; null where there is no such port. */
  capture?: (port: string) => string | null;
  log: Log;
}

export interface StatusServerStatus {
  host: string;
  port: number;
  viewers: number;
  counters: { requests: number; refused: number; malformed: number; failed: number };
}

/**
 * The status page and its data, for reading; only the drain can be held, from the box itself:
 *
 * - `GET /` the page, `GET /events` its live feed (server-sent events named `view`, one a second)
 * - `GET /status.json` the whole `Snapshot`
 * - `GET /metrics` the same for Prometheus
 * - `GET /serial/<port>/capture` what was on the line around the last errors of a serial port, as a capture file
 * - `GET /healthz` 200 while the box can take data, else 503: `{ status, problems }`
 * - `POST /drain/pause`, `/drain/resume`, `/drain/status` with `?lane=NAME&for_s=SECONDS`, no body, and the header
 *   `Petiole-Control: yes`: 200 with what is held now, 400 with `{ code, message, hint }`
 *
 * Listens on loopback by default. `start()` rejects with a `GatewayError` where the address can't be had.
 */
export class StatusServer implements Service {
  readonly #options: StatusServerOptions;
  readonly #guard: Guard;
  readonly #look: Look;
  readonly #viewers: Viewers;
  readonly #server: Server;
  readonly #counters = { requests: 0, refused: 0, malformed: 0, failed: 0 };
  #stopping = false;

  constructor(options: StatusServerOptions) {
    this.#options = options;
    this.#guard = new Guard(options.host);
    this.#look = new Look(options.snapshot);
    this.#viewers = new Viewers(
      () => this.#frame(),
      () => this.#look.forget(),
    );
    this.#server = createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: LATE_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      noDelay: true,
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  async start(): Promise<void> {
    const { host, port, log } = this.#options;
    this.#server.on('request', (request, response) => this.#serve(request, response));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#counters.malformed++;
      if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy();
      const status = CLIENT_ERRORS[error.code ?? ''] ?? '400 Bad Request';
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
    try {
      this.#server.listen({ host, port });
      await nextEvent(this.#server, 'listening');
    } catch (error) {
      throw listenFailure(host, port, error as NodeJS.ErrnoException);
    }
    this.#server.on('error', (error) => log.error({ err: error }, 'the status server failed to accept a connection'));
    log.info({ url: this.url }, 'status page');
  }

  stop: () => Promise<void> = once(async () => {
    this.#stopping = true;
    if (!this.#server.listening) return;
    const closed = nextEvent(this.#server, 'close');
    this.#viewers.close();
    this.#server.close();
    const grace = setTimeout(() => this.#server.closeAllConnections(), STOP_GRACE_MS);
    await closed;
    clearTimeout(grace);
  });

  status(): StatusServerStatus {
    return { ...this.address, viewers: this.#viewers.size, counters: { ...this.#counters } };
  }

  /** Where it listens, with the real port where 0 was asked for. */
  get address(): { host: string; port: number } {
    const bound = this.#server.address();
    return { host: this.#options.host, port: typeof bound === 'object' && bound ? bound.port : this.#options.port };
  }

  get url(): string {
    const { host, port } = this.address;
    return `http://${bracketed(host)}:${port}/`;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#counters.requests++;
    const refusal = this.#guard.refusal(request);
    if (refusal !== null) {
      this.#counters.refused++;
      const { statusCode, text } = refusal;
      // Closing spares us the body of a refused request.
      answer(response, statusCode, TEXT, `${text}\n`, { Allow: 'GET, HEAD', Connection: 'close' });
      return;
    }
    try {
      this.#route(request, response);
    } catch (error) {
      this.#failed(error);
      answer(response, 500, TEXT, 'The status could not be read: see the log.\n');
    }
  }

  #route(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.split('?', 1)[0] ?? '';
    const asset = assets.get(path);
    if (request.method === 'POST') {
      this.#control(new URL(request.url ?? '', 'http://box'), response);
    } else if (asset !== undefined) {
      answer(response, 200, asset.type, asset.body);
    } else if (path === '/healthz') {
      const { statusCode, body } = healthz(this.#look.snapshot(performance.now()));
      answer(response, statusCode, JSON_TYPE, `${JSON.stringify(body)}\n`);
    } else if (path === '/status.json') {
      answer(response, 200, JSON_TYPE, `${JSON.stringify(this.#look.snapshot(performance.now()))}\n`);
    } else if (path === '/metrics') {
      void this.#scrape(response);
    } else if (path === '/events') {
      this.#watch(request, response);
    } else if (CAPTURE.test(path)) {
      const name = CAPTURE.exec(path)?.[1] ?? '';
      const text = this.#options.capture?.(name) ?? null;
      const file = { 'Content-Disposition': `attachment; filename="${name}.capture"` };
      if (text === null) answer(response, 404, TEXT, 'There is no serial port of this name.\n');
      else answer(response, 200, TEXT, text, file);
    } else {
      answer(response, 404, TEXT, 'Nothing here: try /, /status.json, /metrics or /healthz.\n');
    }
  }

  async #scrape(response: ServerResponse): Promise<void> {
    try {
      answer(response, 200, METRICS_TYPE, await metrics(this.#look.snapshot(performance.now())));
    } catch (error) {
      this.#failed(error);
      answer(response, 500, TEXT, 'The metrics could not be read: see the log.\n');
    }
  }

  #control({ pathname, searchParams }: URL, response: ServerResponse): void {
    const { drain } = this.#options;
    if (!drain) {
      answer(response, 404, TEXT, 'Nothing to control here.\n');
      return;
    }
    const action = pathname.slice('/drain/'.length);
    try {
      const held = drain.act(action, searchParams.get('lane') ?? '', searchParams.get('for_s') ?? '', 'operator');
      this.#look.forget();
      answer(response, 200, JSON_TYPE, `${JSON.stringify(held)}\n`);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      answer(response, 400, JSON_TYPE, `${JSON.stringify(describeError(error))}\n`);
    }
  }

  #watch(request: IncomingMessage, response: ServerResponse): void {
    const headers = { ...SECURITY_HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' };
    if (this.#stopping || this.#viewers.full) {
      this.#counters.refused++;
      const text = `There are ${VIEWERS_MAX} open status pages already: close one.\n`;
      answer(response, 503, TEXT, text, { 'Retry-After': '10' });
    } else if (request.method === 'HEAD') {
      response.writeHead(200, headers).end();
    } else {
      const first = this.#view();
      // The socket ends with the feed: nothing else is asked over it.
      response.shouldKeepAlive = false;
      response.writeHead(200, headers);
      this.#viewers.add(response, first);
    }
  }

  #view(): string {
    return JSON.stringify(this.#look.view(performance.now()));
  }

  #frame(): string | null {
    try {
      return this.#view();
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** The page is a window, not a wall: a mistake in what it shows must not end the flow of data. */
  #failed(error: unknown): void {
    this.#counters.failed++;
    // One line, not one a second, while the same thing goes on failing.
    if (this.#counters.failed === 1) this.#options.log.error({ err: error }, 'the status could not be read');
  }
}

const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

function answer(
  response: ServerResponse,
  statusCode: number,
  type: string,
  body: string | Buffer,
  headers: OutgoingHttpHeaders = {},
): void {
  const length = Buffer.byteLength(body);
  response.writeHead(statusCode, { ...SECURITY_HEADERS, ...headers, 'Content-Type': type, 'Content-Length': length });
  response.end(body);
}

const LISTEN_FAILURES: Readonly<Record<string, { code: ErrorCode; what: string; hint: string }>> = {
  EADDRINUSE: {
    code: 'address_in_use',
    what: 'another program listens there',
    hint: 'Stop that program (`ss -ltnp` names it), or set status.listen to another port',
  },
  EACCES: {
    code: 'listen_denied',
    what: 'this user may not listen there',
    hint: 'Set status.listen to a port of 1024 or above, such as 8080',
  },
  EADDRNOTAVAIL: {
    code: 'address_not_available',
    what: 'this machine has no such address',
    hint: 'Set status.listen to an address of this machine, such as 127.0.0.1:8080',
  },
  ENOTFOUND: {
    code: 'name_not_found',
    what: 'the name is not known',
    hint: 'Set status.listen to an address of this machine, such as 127.0.0.1:8080',
  },
};

function listenFailure(host: string, port: number, cause: NodeJS.ErrnoException): GatewayError {
  const known = LISTEN_FAILURES[cause.code ?? ''];
  const { code, what, hint } = known ?? {
    code: 'address_not_available',
    what: cause.message,
    hint: 'Check status.listen',
  };
  const where = `${bracketed(host)}:${port}`;
  return new GatewayError(code, `The status page cannot listen on ${where}: ${what}`, {
    retriable: false,
    hint,
    cause,
  });
}
