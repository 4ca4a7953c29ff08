import { once as nextEvent } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ExportLine, JournalState } from './api.ts';
import type { RecordsSource } from './api-parts.ts';
import type { Handler } from './api-server.ts';
import type { DrainControl } from './drain-control.ts';
import { ApiFault, answerJson, bodyOf, countIn, type Exchange, invalid, numberIn, textIn } from './exchange.ts';
import { SECURITY_HEADERS } from './guard.ts';
import type { Look } from './look.ts';
import { shownHeaders } from './payload.ts';

const LANE_CHARACTERS_MAX = 64;
/** A week, as in drain-control.ts. */
const PAUSE_MAX_S = 7 * 24 * 3600;
const EXPORT_RECORDS = 100_000;
const EXPORT_RECORDS_MAX = 1_000_000;
/** Each reads the store beside the forwarder. */
const EXPORTS_MAX = 2;

/** The journal on the page: lanes and ledger, pausing what goes up, and a download of what waits. */
export class JournalOrders {
  readonly #look: Look;
  readonly #drain: DrainControl | null;
  readonly #records: RecordsSource | null;
  #exports = 0;

  constructor(look: Look, drain: DrainControl | null, records: RecordsSource | null) {
    this.#look = look;
    this.#drain = drain;
    this.#records = records;
  }

  get handlers(): Record<string, Handler> {
    return {
      'GET /api/journal': ({ response }) => answerJson(response, this.#state()),
      'GET /api/journal/export': (exchange) => this.#export(exchange),
      'POST /api/drain/pause': (exchange) => this.#hold('pause', exchange),
      'POST /api/drain/resume': (exchange) => this.#hold('resume', exchange),
    };
  }

  #state(): JournalState {
    const { lanes, ledger, link } = this.#look.snapshot(performance.now());
    const drain = link.state === 'off' || this.#drain === null ? null : this.#drain.act('status', '', '', '');
    return { lanes, ledger, drain };
  }

  async #hold(action: 'pause' | 'resume', { request, response }: Exchange): Promise<void> {
    const body = await bodyOf(request);
    const lane = textIn(body, 'lane', '', LANE_CHARACTERS_MAX);
    const forS = numberIn(body, 'forS', 0, 0, PAUSE_MAX_S);
    if (this.#drain === null) throw new ApiFault(409, 'no_upstream', 'There is nothing to hold here');
    const held = this.#drain.act(action, lane, String(forS), 'operator on the page');
    this.#look.forget();
    answerJson(response, held);
  }

  async #export({ response, url }: Exchange): Promise<void> {
    const records = this.#records;
    const name = url.searchParams.get('lane') ?? '';
    const lane = records?.laneNames.indexOf(name) ?? -1;
    if (records === null || lane < 0) throw invalid('lane', `one of ${records?.laneNames.join(', ')}`);
    const from = countIn(url, 'from', 1, 1, Number.MAX_SAFE_INTEGER);
    const to = countIn(url, 'to', Number.MAX_SAFE_INTEGER, from, Number.MAX_SAFE_INTEGER);
    const limit = countIn(url, 'limit', EXPORT_RECORDS, 1, EXPORT_RECORDS_MAX);
    if (this.#exports >= EXPORTS_MAX) throw new ApiFault(503, 'no_place', `${EXPORTS_MAX} exports run already`);
    this.#exports++;
    try {
      response.writeHead(200, {
        ...SECURITY_HEADERS,
        'Content-Type': 'application/x-ndjson',
        'Content-Disposition': `attachment; filename="${name}.ndjson"`,
      });
      let left = limit;
      for await (const { sequence, subject, receivedAtMs, headers, payload } of records.look(lane, from - 1)) {
        if (sequence > to || left-- === 0 || response.destroyed) break;
        const line: ExportLine = {
          lane: name,
          sequence,
          subject,
          receivedAtMs,
          headers: shownHeaders(headers),
          payload: payload.toString('base64'),
        };
        await written(response, `${JSON.stringify(line)}\n`);
      }
      response.end();
    } finally {
      this.#exports--;
    }
  }
}

/** A slow reader makes the export wait, and not the memory grow. */
async function written(response: ServerResponse, text: string): Promise<void> {
  if (response.write(text) || response.destroyed) return;
  await Promise.race([nextEvent(response, 'drain'), nextEvent(response, 'close')]);
}
