import { once as nextEvent } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Log } from '../core/log.ts';
import { once, type Service } from '../core/service.ts';
import { Access, type ViewerRule } from './access.ts';
import type { ApiParts } from './api-parts.ts';
import type { Api } from './api-server.ts';
import { boundedServer, listenFailure } from './bounded-server.ts';
import type { StatusTls } from './certificate.ts';
import type { DrainControl } from './drain-control.ts';
import { ApiFault, answer, answerFault, answerJson, type Exchange, faultOf, JSON_TYPE, TEXT } from './exchange.ts';
import { bracketed, Guard } from './guard.ts';
import { healthz } from './health.ts';
import { Look } from './look.ts';
import { METRICS_TYPE, metrics } from './metrics.ts';
import { pageAsset } from './page.ts';
import { SignInSecrets } from './sign-in-secrets.ts';
import type { Snapshot } from './snapshot.ts';
import { VIEWERS_MAX } from './viewers.ts';

/** Sockets at a time: the viewers, and room for tails, monitors and page loads beside them. */
const CONNECTIONS_MAX = VIEWERS_MAX * 4;
/** How long answers that are on their way may take once we stop. */
const STOP_GRACE_MS = 1000;

/** A port's name is one of the configuration's: letters, digits, `-` and `_`. */
const CAPTURE = /^\/serial\/([A-Za-z0-9_-]{1,64})\/capture$/;

const SIGN_IN_HINT = 'Open the page and sign in, or send `Authorization: Bearer <secret>` (petiole status --secret)';

export interface StatusServerOptions {
  host: string;
  /** 0 takes any free port; see `address`. */
  port: number;
  /** Null or nothing: plain HTTP. */
  tls?: StatusTls | null;
  /** Who reads without signing in; default: who is on the box. */
  viewer?: ViewerRule;
  /** Where the sign-in secrets are kept; without it nobody can sign in. */
  folder?: string;
  /** Called once a second at most, and only while somebody looks. */
  snapshot: () => Snapshot;
  /** Without it nothing can be changed here. */
  drain?: DrainControl;
  /** The flight recorder of a serial port as text; null where there is no such port. */
  capture?: (port: string) => string | null;
  /** What the API reaches beside that. */
  parts?: ApiParts;
  log: Log;
}

export interface StatusServerStatus {
  host: string;
  port: number;
  viewers: number;
  counters: { requests: number; refused: number; malformed: number; failed: number };
}

/**
 * The status page and its data; api.ts says who may ask for what:
 *
 * - `GET /` the page
 * - `GET /status.json` the whole `Snapshot`
 * - `GET /metrics` the same for Prometheus
 * - `GET /serial/<port>/capture` what was on the line around the last errors of a serial port, as a capture file
 * - `GET /healthz` 200 while the box can take data, else 503: `{ status, problems }`
 * - `POST /drain/pause`, `/drain/resume`, `/drain/status` with `?lane=NAME&for_s=SECONDS`, no body, and the header
 *   `Petiole-Control: yes`, from the box alone: 200 with what is held now, 400 with `{ code, message, hint }`
 * - `/api/…` everything that the page shows and does
 *
 * Listens on loopback by default. `start()` rejects with a `GatewayError` where the address can't be had.
 */
export class StatusServer implements Service {
  readonly #options: StatusServerOptions;
  readonly #guard: Guard;
  readonly #look: Look;
  #access: Access;
  #server: Server | SecureServer | null = null;
  /** Loaded when somebody first asks for it: most boxes are asked for /metrics alone. */
  #api: Promise<Api> | null = null;
  #loadedApi: Api | null = null;
  #secrets: SignInSecrets | null = null;
  readonly #counters = { requests: 0, refused: 0, malformed: 0, failed: 0 };
  #stopping = false;

  constructor(options: StatusServerOptions) {
    this.#options = options;
    this.#guard = new Guard(options.host);
    this.#look = new Look(options.snapshot);
    this.#access = new Access(options.viewer ?? 'loopback', null);
  }

  async start(): Promise<void> {
    const { host, port, log, folder, viewer = 'loopback', tls = null } = this.#options;
    if (folder !== undefined) {
      this.#secrets = new SignInSecrets(folder, log);
      this.#access = new Access(viewer, this.#secrets);
    }
    const server = await boundedServer(tls, log, () => this.#counters.malformed++);
    this.#server = server;
    server.maxConnections = CONNECTIONS_MAX;
    server.on('request', (request, response) => this.#serve(request, response));
    try {
      server.listen({ host, port });
      await nextEvent(server, 'listening');
    } catch (error) {
      throw listenFailure(host, port, error as NodeJS.ErrnoException);
    }
    server.on('error', (error) => log.error({ err: error }, 'the status server failed to accept a connection'));
    log.info({ url: this.url }, 'status page');
  }

  stop: () => Promise<void> = once(async () => {
    this.#stopping = true;
    const server = this.#server;
    if (!server?.listening) return;
    const closed = nextEvent(server, 'close');
    this.#loadedApi?.close();
    server.close();
    const grace = setTimeout(() => server.closeAllConnections(), STOP_GRACE_MS);
    await closed;
    clearTimeout(grace);
  });

  status(): StatusServerStatus {
    return { ...this.address, viewers: this.#loadedApi?.viewers ?? 0, counters: { ...this.#counters } };
  }

  /** Where it listens, with the real port where 0 was asked for. */
  get address(): { host: string; port: number } {
    const bound = this.#server?.address();
    return { host: this.#options.host, port: typeof bound === 'object' && bound ? bound.port : this.#options.port };
  }

  get url(): string {
    const { host, port } = this.address;
    return `${this.#options.tls ? 'https' : 'http'}://${bracketed(host)}:${port}/`;
  }

  /** The secret for signing in, where this start made it; null otherwise. */
  get newSecret(): string | null {
    return this.#secrets?.isNew === true && !this.#secrets.isUsed ? this.#secrets.operator : null;
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
    const url = URL.parse(request.url ?? '', 'http://box');
    if (url === null) {
      answer(response, 400, TEXT, 'No such path.\n');
      return;
    }
    const exchange = { request, response, url, visitor: this.#access.visitor(request, this.#cookie) };
    const failed = (error: unknown) => this.#fail(error, response);
    try {
      const work = url.pathname.startsWith('/api/') ? this.#call(exchange) : this.#route(exchange);
      work?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Undefined where it is answered already. */
  #route(exchange: Exchange): Promise<void> | undefined {
    const { request, response, url, visitor } = exchange;
    const path = url.pathname;
    const asset = pageAsset(path, request.headers['accept-encoding']);
    if (asset !== null && request.method !== 'POST') {
      const { type, body, encoding, cacheControl } = asset;
      const headers = { 'Cache-Control': cacheControl, Vary: 'Accept-Encoding' };
      answer(response, 200, type, body, encoding === '' ? headers : { ...headers, 'Content-Encoding': encoding });
      return;
    }
    if (path === '/healthz') {
      const { statusCode, body } = healthz(this.#look.snapshot(performance.now()), visitor.role);
      answerJson(response, body, statusCode);
      return;
    }
    if (request.method === 'POST') {
      this.#control(url, response);
      return;
    }
    const capture = CAPTURE.exec(path)?.[1];
    if (path !== '/status.json' && path !== '/metrics' && capture === undefined) {
      answer(response, 404, TEXT, 'Nothing here: try /, /status.json, /metrics or /healthz.\n');
      return;
    }
    if (visitor.role === 'none')
      throw new ApiFault(401, 'sign_in', 'This is for those who have signed in', SIGN_IN_HINT);
    if (path === '/status.json') answer(response, 200, JSON_TYPE, this.#look.json(performance.now()));
    else if (path === '/metrics') return this.#scrape(response);
    else this.#capture(capture ?? '', response);
    return;
  }

  async #call(exchange: Exchange): Promise<void> {
    if (this.#stopping) throw new ApiFault(503, 'stopping', 'The box is stopping');
    this.#api ??= this.#load();
    await (await this.#api).handle(exchange);
  }

  async #load(): Promise<Api> {
    const { Api } = await import('./api-server.ts');
    const { drain = null, capture = () => null, parts = {}, log, tls = null } = this.#options;
    this.#loadedApi = new Api({
      ...parts,
      look: this.#look,
      access: this.#access,
      cookie: this.#cookie,
      isSecure: tls !== null,
      address: () => this.address,
      drain,
      capture,
      failed: (error) => this.#failed(error),
      log,
    });
    return this.#loadedApi;
  }

  /** By port: cookies are of a host, and there may be two boxes on one. */
  get #cookie(): string {
    return `${this.#options.tls ? '__Host-' : ''}petiole-${this.address.port}`;
  }

  async #scrape(response: ServerResponse): Promise<void> {
    answer(
      response,
      200,
      METRICS_TYPE,
      await metrics(this.#look.snapshot(performance.now()), this.#options.parts?.monitor?.latest ?? null),
    );
  }

  #capture(name: string, response: ServerResponse): void {
    const text = this.#options.capture?.(name) ?? null;
    if (text === null) {
      answer(response, 404, TEXT, 'There is no serial port of this name.\n');
      return;
    }
    answer(response, 200, TEXT, text, { 'Content-Disposition': `attachment; filename="${name}.capture"` });
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
      answerJson(response, held);
    } catch (error) {
      const fault = faultOf(error);
      if (fault === null) throw error;
      answerJson(response, { code: fault.code, message: fault.message, hint: fault.hint }, 400);
    }
  }

  #fail(error: unknown, response: ServerResponse): void {
    const fault = faultOf(error);
    if (fault === null) {
      this.#failed(error);
      answer(response, 500, TEXT, 'The status could not be read: see the log.\n');
      return;
    }
    this.#counters.refused++;
    answerFault(response, fault);
  }

  /** The page is a window, not a wall: a mistake in what it shows must not end the flow of data. */
  #failed(error: unknown): void {
    this.#counters.failed++;
    // One line, not one a second, while the same thing goes on failing.
    if (this.#counters.failed === 1) this.#options.log.error({ err: error }, 'the status could not be read');
  }
}
