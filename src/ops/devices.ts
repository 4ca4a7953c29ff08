import type { Message } from '../core/message.ts';
import { type Device, type DeviceKind, type DevicePage, deviceKinds, deviceSorts } from './api.ts';
import type { Kicks } from './api-parts.ts';
import type { Handler } from './api-server.ts';
import { deviceRows, VALUE_BYTES_MAX } from './device-rows.ts';
import { ApiFault, answerJson, bodyOf, choiceIn, countIn, type Exchange, textIn } from './exchange.ts';
import type { Look } from './look.ts';
import { shownPayload } from './payload.ts';
import type { Taps } from './taps.ts';

const LIMIT = 100;
const LIMIT_MAX = 5000;
const QUERY_CHARACTERS_MAX = 200;
const ID_CHARACTERS_MAX = 70_000;
/** Devices whose last value is remembered. */
const VALUES_MAX = 10_000;
/** The last values are remembered so long after somebody has looked: a page asks every few seconds. */
const WATCHED_MS = 60_000;
/** Rates are taken over the last 5 to 10 seconds. */
const LOOK_BACK_MS = 5000;

interface Counted {
  readonly atMs: number;
  readonly counts: ReadonlyMap<string, readonly [messagesIn: number, messagesOut: number]>;
}

/** Whatever is connected to the box, searched and sorted here, so that a phone need not hold 5,000 rows. */
export class Devices {
  readonly #look: Look;
  readonly #taps: Taps | null;
  readonly #kicks: Kicks | null;
  readonly #values = new Map<string, NonNullable<Device['lastValue']>>();
  #forgetting: NodeJS.Timeout | null = null;
  #middle: Counted | null = null;
  #earlier: Counted | null = null;

  constructor(look: Look, taps: Taps | null, kicks: Kicks | null) {
    this.#look = look;
    this.#taps = taps;
    this.#kicks = kicks;
  }

  get handlers(): Record<string, Handler> {
    return {
      'GET /api/devices': (exchange) => this.#list(exchange),
      'POST /api/devices/kick': (exchange) => this.#kick(exchange),
    };
  }

  close(): void {
    if (this.#forgetting !== null) this.#forget();
  }

  #list({ response, url }: Exchange): void {
    const query = (url.searchParams.get('q') ?? '').slice(0, QUERY_CHARACTERS_MAX).toLowerCase();
    const kind = choiceIn(url, 'kind', [...deviceKinds, ''] as const, '');
    const sort = choiceIn(url, 'sort', deviceSorts, 'name');
    const order = choiceIn(url, 'order', ['asc', 'desc'] as const, 'asc');
    const offset = countIn(url, 'offset', 0, 0, 1_000_000);
    const limit = countIn(url, 'limit', LIMIT, 1, LIMIT_MAX);
    this.#watch();
    const all = this.#rows();
    const byKind = Object.fromEntries(deviceKinds.map((one) => [one, 0])) as Record<DeviceKind, number>;
    for (const device of all) byKind[device.kind]++;
    const found = all.filter((device) => (kind === '' || device.kind === kind) && isFound(device, query));
    found.sort((a, b) => (order === 'asc' ? 1 : -1) * compared(a[sort], b[sort]) || compared(a.id, b.id));
    const page: DevicePage = {
      devices: found.slice(offset, offset + limit),
      total: found.length,
      byKind,
      nowMs: this.#look.snapshot(performance.now()).gateway.nowMs,
    };
    answerJson(response, page);
  }

  #rows(): Device[] {
    const nowMs = performance.now();
    const snapshot = this.#look.snapshot(nowMs);
    const rows = deviceRows(snapshot, this.#kicks !== null);
    const earlier = this.#counted(rows, nowMs);
    for (const row of rows) {
      row.lastValue ??= this.#values.get(row.id) ?? null;
      const before = earlier?.counts.get(row.id);
      if (earlier === null || before === undefined) continue;
      const seconds = (nowMs - earlier.atMs) / 1000;
      row.rateInPerS = Math.max(0, row.messagesIn - before[0]) / seconds;
      row.rateOutPerS = Math.max(0, row.messagesOut - before[1]) / seconds;
    }
    return rows;
  }

  /** Counters of 5 to 10 seconds ago, where somebody looked then. */
  #counted(rows: readonly Device[], atMs: number): Counted | null {
    if (this.#middle === null || atMs - this.#middle.atMs >= LOOK_BACK_MS) {
      this.#earlier = this.#middle;
      this.#middle = { atMs, counts: new Map(rows.map((row) => [row.id, [row.messagesIn, row.messagesOut]])) };
    }
    const compared = this.#earlier ?? this.#middle;
    return atMs - compared.atMs < 1 ? null : compared;
  }

  async #kick({ request, response }: Exchange): Promise<void> {
    const id = textIn(await bodyOf(request), 'id', null, ID_CHARACTERS_MAX);
    const at = id.indexOf(':');
    const [kind, name] = [id.slice(0, at), id.slice(at + 1)];
    const isGone =
      kind === 'mqtt' ? !this.#kicks?.mqtt(name) : kind === 'nats' ? !this.#kicks?.nats(Number(name)) : true;
    if (isGone) throw new ApiFault(404, 'not_found', 'There is no such connection', 'It may have gone by itself');
    this.#look.forget();
    answerJson(response, {});
  }

  #watch(): void {
    if (this.#taps === null) return;
    if (this.#forgetting === null) {
      this.#taps.add(this.#tap);
      this.#forgetting = setTimeout(() => this.#forget(), WATCHED_MS).unref();
    } else this.#forgetting.refresh();
  }

  #forget(): void {
    if (this.#forgetting !== null) clearTimeout(this.#forgetting);
    this.#forgetting = null;
    this.#taps?.remove(this.#tap);
    this.#values.clear();
    this.#middle = null;
    this.#earlier = null;
  }

  readonly #tap = ({ origin, subject, payload, receivedAtMs }: Message): void => {
    if (origin.kind === 'hub' || origin.kind === 'box') return;
    // The connection of a NATS client is named nats-<number>.
    const id = origin.kind === 'nats' ? `nats:${origin.name.slice(5)}` : `${origin.kind}:${origin.name}`;
    if (this.#values.size >= VALUES_MAX && !this.#values.has(id)) return;
    this.#values.set(id, {
      subject,
      atMs: receivedAtMs,
      bytes: payload.length,
      payload: shownPayload(payload, VALUE_BYTES_MAX),
    });
  };
}

function isFound({ name, remote, user, protocol }: Device, query: string): boolean {
  return query === '' || [name, remote, user, protocol].some((text) => text.toLowerCase().includes(query));
}

/** What is not known comes first. */
function compared(a: string | number | null, b: string | number | null): number {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  return Number(a ?? -1) - Number(b ?? -1);
}
