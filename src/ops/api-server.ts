import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../core/log.ts';
import type { Access } from './access.ts';
import { type EventName, historySpans, type Role } from './api.ts';
import type { ApiParts } from './api-parts.ts';
import { Devices } from './devices.ts';
import type { DrainControl } from './drain-control.ts';
import { endpoints } from './endpoints.ts';
import { ApiFault, answer, answerJson, choiceIn, type Exchange, JSON_TYPE } from './exchange.ts';
import { hardware } from './hardware.ts';
import { JournalOrders } from './journal-orders.ts';
import { logHandlers, shownLine } from './log-lines.ts';
import type { Look } from './look.ts';
import { MessageOrders } from './message-orders.ts';
import type { Monitor } from './monitor.ts';
import { SerialOrders } from './serial-orders.ts';
import { settingsHandlers } from './settings-orders.ts';
import { SignIn } from './sign-in.ts';
import { bundleHandlers } from './support-bundle.ts';
import { Tails } from './tails.ts';
import { Taps } from './taps.ts';
import { VIEWERS_MAX, Viewers } from './viewers.ts';

/** What the server that the API belongs to shares with it. */
export interface ApiContext extends ApiParts {
  readonly look: Look;
  readonly access: Access;
  /** Name of the session cookie. */
  readonly cookie: string;
  readonly isSecure: boolean;
  readonly address: () => { host: string; port: number };
  /** Null where nothing can be held. */
  readonly drain: DrainControl | null;
  readonly capture: (port: string) => string | null;
  /** Counts and logs what went wrong in us. */
  readonly failed: (error: unknown) => void;
  readonly log: Log;
}

/** `params`: what stands for the `{…}` of the path. */
export type Handler = (exchange: Exchange, params: readonly string[]) => void | Promise<void>;

interface Route {
  readonly method: string;
  readonly pattern: RegExp;
  readonly role: Role;
  readonly handler: Handler;
}

/** The same from src/ops and from dist/ops. */
const DIST = join(import.meta.dirname, '../../dist');

const RANK: Readonly<Record<Role, number>> = { none: 0, viewer: 1, operator: 2 };

/** Everything below `/api/`: finds the endpoint, checks who asks, and answers. */
export class Api {
  readonly #context: ApiContext;
  readonly #routes: readonly Route[];
  readonly #viewers: Viewers;
  /** What else keeps something open. */
  readonly #streams: { close(): void }[] = [];

  constructor(context: ApiContext) {
    this.#context = context;
    const { look } = context;
    this.#viewers = new Viewers(
      () => this.#frame(),
      () => look.forget(),
    );
    const handlers = this.#handlers();
    this.#routes = endpoints.flatMap(({ method, path, role }) => {
      const handler = handlers[`${method} ${path}`];
      if (handler === undefined) return [];
      const pattern = new RegExp(`^${path.replace(/\{\w+\}/g, '([A-Za-z0-9_-]{1,64})')}$`);
      return [{ method, pattern, role, handler }];
    });
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** Ends every stream. */
  close(): void {
    this.#context.logs?.hear(null);
    this.#context.monitor?.hear(null);
    this.#viewers.close();
    for (const stream of this.#streams) stream.close();
  }

  async handle(exchange: Exchange): Promise<void> {
    const { request, url, visitor } = exchange;
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const here = this.#routes.filter(({ pattern }) => pattern.test(url.pathname));
    const route = here.find((one) => one.method === method);
    if (route === undefined) {
      if (here.length === 0) throw new ApiFault(404, 'not_found', 'Nothing here', '/api/openapi.json lists what is');
      const Allow = here.map((one) => one.method).join(', ');
      throw new ApiFault(405, 'method_not_allowed', `Not by ${method}`, `Use ${Allow}`, { headers: { Allow } });
    }
    if (RANK[visitor.role] < RANK[route.role]) throw denied(exchange, route.role);
    if (method !== 'GET' && !this.#context.access.hasCsrf(visitor, request)) {
      throw new ApiFault(403, 'csrf', 'The session token is missing', 'Send what /api/session gave as Petiole-CSRF');
    }
    await route.handler(exchange, route.pattern.exec(url.pathname)?.slice(1) ?? []);
  }

  #handlers(): Record<string, Handler> {
    const context = this.#context;
    const {
      look,
      access,
      cookie,
      isSecure,
      address,
      gateway = '',
      version = '',
      bus,
      logs,
      monitor,
      settings,
    } = context;
    const signIn = new SignIn({ access, cookie, isSecure, address, gateway, version, interfaces: networkInterfaces });
    const taps = bus ? new Taps(bus) : null;
    const devices = new Devices(look, taps, context.kicks ?? null);
    const serial = new SerialOrders(look, context.capture, context.sniff ?? (() => null));
    const tails = taps && new Tails(taps);
    this.#streams.push(devices, serial, ...(tails ? [tails] : []));
    logs?.hear((line) => this.#viewers.send('log', () => JSON.stringify(shownLine(line))));
    monitor?.hear((sample) => this.#viewers.send('health', () => JSON.stringify(sample)));
    return {
      ...signIn.handlers,
      ...devices.handlers,
      ...serial.handlers,
      ...tails?.handlers,
      ...(bus && new MessageOrders(bus).handlers),
      ...(logs && logHandlers(logs)),
      ...(monitor && monitorHandlers(monitor)),
      ...(settings && settingsHandlers(settings)),
      ...bundleHandlers(look, context),
      ...new JournalOrders(look, context.drain, context.records ?? null).handlers,
      'GET /api/status': ({ response }) => answer(response, 200, JSON_TYPE, look.json(performance.now())),
      'GET /api/events': (exchange) => this.#watch(exchange),
      'GET /api/hardware': async ({ response }) => answerJson(response, await hardware()),
      'GET /api/openapi.json': async ({ response }) => answer(response, 200, JSON_TYPE, await openApi()),
    };
  }

  #watch({ request, response, url }: Exchange): void {
    if (this.#viewers.full) {
      const hint = 'close one';
      const headers = { 'Retry-After': '10' };
      throw new ApiFault(503, 'no_place', `There are ${VIEWERS_MAX} open status pages already`, hint, { headers });
    }
    if (request.method === 'HEAD') {
      answerJson(response, {});
      return;
    }
    const events = eventsOf(url.searchParams.get('topics') ?? 'status,health');
    const first = new Map<EventName, string>();
    if (events.has('status')) first.set('status', this.#view());
    const sample = this.#context.monitor?.latest ?? null;
    if (events.has('health') && sample !== null) first.set('health', JSON.stringify(sample));
    this.#viewers.add(response, events, first);
  }

  #view(): string {
    return JSON.stringify(this.#context.look.frame(performance.now(), this.#context.settings?.trial ?? null));
  }

  #frame(): string | null {
    try {
      return this.#view();
    } catch (error) {
      this.#context.failed(error);
      return null;
    }
  }
}

/** What `npm run build` made of endpoints.ts. */
async function openApi(): Promise<Buffer> {
  try {
    return await readFile(join(DIST, 'openapi.json'));
  } catch {
    throw new ApiFault(404, 'not_built', 'The document has not been built', 'Run `npm run build`');
  }
}

function monitorHandlers(monitor: Monitor): Record<string, Handler> {
  return {
    'GET /api/health': async ({ response }) => answerJson(response, await monitor.sample()),
    'GET /api/history': async ({ response, url }) =>
      answerJson(response, await monitor.history.read(choiceIn(url, 'span', historySpans, 'hour'))),
  };
}

const TOPICS: Readonly<Record<string, EventName>> = { status: 'status', health: 'health', logs: 'log' };

function eventsOf(topics: string): ReadonlySet<EventName> {
  const events = new Set<EventName>(['bye']);
  for (const topic of topics.split(',')) {
    const event = TOPICS[topic];
    if (event === undefined) throw new ApiFault(400, 'request_invalid', 'No such topic', 'status, health, logs');
    events.add(event);
  }
  return events;
}

function denied({ visitor }: Exchange, role: Role): ApiFault {
  if (visitor.session === null && !visitor.isBearer) {
    const hint = 'Sign in on the page, or send `Authorization: Bearer <secret>` (petiole status --secret)';
    return new ApiFault(401, 'sign_in', 'This is for those who have signed in', hint);
  }
  return new ApiFault(403, 'role', `This is for the ${role} alone`, 'Sign in with the secret of the operator');
}
