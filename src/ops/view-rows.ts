import { fillOf, LANE_NEARLY_FULL } from './health.ts';
import type { ClientFacts, LaneFacts, LaneState, Snapshot } from './snapshot.ts';
import type { Column, LaneRow, Table, Tone } from './view.ts';
import { ago, bytes, count, counted, percent, printable, rate, sentences, span } from './words.ts';

/** Rows of the clients' table: enough for a page; a frame a second must stay small. All are in `/status.json`. */
export const CLIENT_ROWS_MAX = 200;

export const LANE_COLUMNS: readonly string[] = ['Kept', 'Oldest', 'In', 'Out', 'Full in', 'Empty in'];

const text = (label: string): Column => ({ label, numeric: false, minor: false });
const figure = (label: string): Column => ({ label, numeric: true, minor: false });
const minor = (column: Column): Column => ({ ...column, minor: true });

const LANE_WORDS: Record<LaneState, { state: string; tone: Tone }> = {
  'no-upstream': { state: 'No upstream', tone: 'quiet' },
  'waiting-for-link': { state: 'Waiting for the link', tone: 'degraded' },
  reconciling: { state: 'Reconciling', tone: 'quiet' },
  sending: { state: 'Sending', tone: 'ok' },
  idle: { state: 'All sent', tone: 'ok' },
  blocked: { state: 'Blocked', tone: 'degraded' },
  paused: { state: 'Paused', tone: 'quiet' },
};

export function laneRow(lane: LaneFacts, nowMs: number): LaneRow {
  const fill = fillOf(lane);
  const { state, tone } = LANE_WORDS[lane.state];
  const whenFull =
    lane.full === 'refuse' ? 'refuses new messages' : `drops ${lane.dropsFirst || 'the oldest messages'}`;
  const detail = `${lane.subjects.join(', ')} · priority ${lane.priority} · ${lane.procedure} · when full, ${whenFull}`;
  return {
    name: printable(lane.name),
    detail: printable(detail, 300),
    state,
    tone: fill >= LANE_NEARLY_FULL ? 'degraded' : tone,
    fill,
    fillText: `${percent(fill)} of ${bytes(lane.bytesMax)}`,
    cells: [
      count(lane.depth),
      lane.oldestMs === null ? '–' : span((nowMs - lane.oldestMs) / 1000),
      rate(lane.rateInPerS),
      rate(lane.rateOutPerS),
      span(lane.timeToFullS),
      span(lane.timeToEmptyS),
    ],
    reason: lane.reason === null ? '' : printable(sentences(lane.reason.message, lane.reason.hint), 500),
  };
}

export function ledgerTable({ ledger, gateway }: Snapshot): Table {
  return {
    columns: [
      text('Lane'),
      text('Reason'),
      figure('Messages'),
      figure('Sequences'),
      text('When'),
      text('Told the hub'),
    ],
    rows: ledger.map((row) => ({
      key: `${row.lane} ${row.reason} ${row.firstSequence ?? row.atMs}`,
      cells: [
        printable(row.lane),
        row.reason,
        count(row.count),
        sequences(row.firstSequence, row.lastSequence),
        ago(row.atMs, gateway.nowMs),
        row.synced ? 'yes' : 'not yet',
      ],
    })),
    note: ledger.length === 0 ? 'Nothing lost.' : '',
  };
}

export function clientTable({ mqtt, gateway }: Snapshot, earlier: Snapshot | null): Table {
  const before = new Map(earlier?.mqtt.clients.map((client) => [client.clientId, client]));
  const lookBackMs = earlier === null ? 0 : gateway.nowMs - earlier.gateway.nowMs;
  // By name and not by activity: rows that change places can't be read.
  const sorted = mqtt.clients.toSorted((a, b) => (a.clientId < b.clientId ? -1 : a.clientId > b.clientId ? 1 : 0));
  const rows = sorted.slice(0, CLIENT_ROWS_MAX).map((client) => ({
    // Bounded and unique, which a client identifier cut to fit is not.
    key: printable(client.remote),
    cells: [
      printable(client.clientId),
      printable(client.remote),
      printable(client.protocol),
      ago(client.lastSeenMs, gateway.nowMs),
      rate(messagesPerSecond(client, before.get(client.clientId), gateway.nowMs, lookBackMs)),
      `${count(client.messagesIn)} / ${count(client.messagesOut)}`,
      `${bytes(client.bytesIn)} / ${bytes(client.bytesOut)}`,
      count(client.subscriptions),
      count(client.inflight),
      count(client.dropped),
    ],
  }));
  const left = sorted.length - rows.length;
  return {
    columns: [
      text('Client'),
      minor(text('Address')),
      minor(text('Protocol')),
      figure('Last seen'),
      figure('Rate'),
      figure('In / out'),
      minor(figure('Bytes in / out')),
      minor(figure('Filters')),
      minor(figure('In flight')),
      figure('Dropped'),
    ],
    rows,
    note:
      sorted.length === 0
        ? 'No MQTT client is connected.'
        : left > 0
          ? `${counted(left, 'more client')} in /status.json.`
          : '',
  };
}

/** Those that were heard last come first. */
export function natsTable({ nats, gateway }: Snapshot): Table {
  const sorted = nats.clients.toSorted((a, b) => b.lastSeenMs - a.lastSeenMs);
  const left = sorted.length - CLIENT_ROWS_MAX;
  const none = nats.listeners.length === 0 ? 'There is no port for NATS clients.' : 'No NATS client is connected.';
  return {
    columns: [
      text('Client'),
      minor(text('Address')),
      text('Library'),
      figure('Last seen'),
      figure('In / out'),
      minor(figure('Bytes in / out')),
      figure('Filters'),
      minor(figure('Unread')),
    ],
    rows: sorted.slice(0, CLIENT_ROWS_MAX).map((client) => ({
      key: String(client.clientId),
      cells: [
        printable(client.name === '' ? `no name (${client.clientId})` : client.name),
        printable(client.remote),
        printable(`${client.lang} ${client.version}`.trim() || '–'),
        ago(client.lastSeenMs, gateway.nowMs),
        `${count(client.messagesIn)} / ${count(client.messagesOut)}`,
        `${bytes(client.bytesIn)} / ${bytes(client.bytesOut)}`,
        count(client.subscriptions),
        bytes(client.pendingBytes),
      ],
    })),
    note: sorted.length === 0 ? none : left > 0 ? `${counted(left, 'more client')} in /status.json.` : '',
  };
}

/** Since the earlier look at the same connection; without one, the mean since it connected. */
function messagesPerSecond(
  client: ClientFacts,
  before: ClientFacts | undefined,
  nowMs: number,
  lookBackMs: number,
): number {
  const same = before !== undefined && before.connectedAtMs === client.connectedAtMs && lookBackMs > 0;
  const messages = client.messagesIn - (same ? before.messagesIn : 0);
  const spanMs = same ? lookBackMs : nowMs - client.connectedAtMs;
  return (messages * 1000) / Math.max(1000, spanMs);
}

function sequences(first: number | null, last: number | null): string {
  if (first === null) return '–';
  return last === null || last === first ? String(first) : `${first}–${last}`;
}
