import type { CommandsFacts, LinkState, Problem, Snapshot, StreamFacts } from './snapshot.ts';
import { lossReasons } from './snapshot.ts';
import { summary } from './summary.ts';
import { clientTable, LANE_COLUMNS, laneRow, ledgerTable, natsTable } from './view-rows.ts';
import { ago, bytes, count, counted, milliseconds, printable, sentences, span } from './words.ts';

/*
 * What the status page and `petiole status` show: every figure written out, every foreign text made printable, so that
 * both say the same and neither has a format of its own.
 *
 *   Snapshot ──▶ view() ──▶ View ──▶ page script (textContent)   and   terminal.ts (columns)
 */

/** quiet: neither good nor bad. */
export type Tone = 'ok' | 'quiet' | 'degraded' | 'failing';

export interface Fact {
  label: string;
  value: string;
}

export interface Card {
  title: string;
  state: string;
  tone: Tone;
  facts: Fact[];
}

export interface LaneRow {
  name: string;
  detail: string;
  state: string;
  tone: Tone;
  /** 0 to 1. */
  fill: number;
  fillText: string;
  /** One for each of `laneColumns`. */
  cells: string[];
  /** Why it waits and what would mend it; '' while all is well. */
  reason: string;
}

export interface Column {
  label: string;
  numeric: boolean;
  /** Left out where there is no room. */
  minor: boolean;
}

export interface Table {
  columns: Column[];
  rows: { key: string; cells: string[] }[];
  /** Says what was left out, or why the table is empty; '' otherwise. */
  note: string;
}

export interface View {
  name: string;
  version: string;
  tone: Tone;
  sentence: string;
  problems: { key: string; tone: Tone; part: string; message: string; hint: string; since: string }[];
  cards: Card[];
  laneColumns: readonly string[];
  lanes: LaneRow[];
  losses: Fact[];
  ledger: Table;
  clients: Table;
  natsClients: Table;
}

/** Longest message of an error that is shown; a hub may send text of any length. */
const MESSAGE_CHARACTERS_MAX = 500;

/** `earlier`: a snapshot some seconds older, for rates that the snapshot itself doesn't carry. */
export function view(snapshot: Snapshot, earlier: Snapshot | null = null): View {
  const { gateway, problems } = snapshot;
  return {
    name: printable(gateway.name),
    version: printable(gateway.version),
    tone: toneOf(problems),
    sentence: printable(summary(snapshot), MESSAGE_CHARACTERS_MAX),
    problems: problems.map((problem) => problemRow(problem, gateway.nowMs)),
    cards: [linkCard(snapshot), mqttCard(snapshot), natsCard(snapshot), storeCard(snapshot), boxCard(snapshot)],
    laneColumns: LANE_COLUMNS,
    lanes: snapshot.lanes.map((lane) => laneRow(lane, gateway.nowMs)),
    losses: lossReasons
      .filter((reason) => snapshot.losses[reason] > 0)
      .map((reason) => ({ label: reason, value: count(snapshot.losses[reason]) })),
    ledger: ledgerTable(snapshot),
    clients: clientTable(snapshot, earlier),
    natsClients: natsTable(snapshot),
  };
}

/** How bad it is on the whole. */
export function toneOf(problems: readonly Problem[]): Tone {
  if (problems.some((problem) => problem.severity === 'failing')) return 'failing';
  return problems.length > 0 ? 'degraded' : 'ok';
}

function problemRow(problem: Problem, nowMs: number): View['problems'][number] {
  return {
    key: `${problem.part} ${problem.code}`,
    tone: problem.severity,
    part: printable(problem.part),
    message: printable(sentences(problem.message), MESSAGE_CHARACTERS_MAX),
    hint: printable(sentences(problem.hint), MESSAGE_CHARACTERS_MAX),
    since: problem.sinceMs === null ? '' : `Began ${ago(problem.sinceMs, nowMs)}.`,
  };
}

const LINK_WORDS: Record<LinkState, { state: string; tone: Tone }> = {
  off: { state: 'No upstream', tone: 'quiet' },
  connecting: { state: 'Connecting', tone: 'quiet' },
  up: { state: 'Connected', tone: 'ok' },
  waiting: { state: 'Offline', tone: 'degraded' },
  stopped: { state: 'Stopped', tone: 'degraded' },
};

const STREAM_WORDS: Record<StreamFacts['state'], string> = {
  unknown: 'Not looked at yet',
  ok: 'As it should be',
  created: 'Made by this box',
  differs: 'Not as it was asked for',
  missing: 'Missing',
  refused: 'Could not be made',
};

const COMMAND_WORDS: Record<CommandsFacts['state'], string> = {
  'waiting-for-link': 'Waiting for the link',
  synchronizing: 'Waiting for what the hub has out',
  ready: 'Ready',
  blocked: 'Blocked',
};

/** More would bury the rest of the card. */
const STREAMS_SHOWN_MAX = 16;

function linkCard({ link, streams, commands, gateway }: Snapshot): Card {
  const facts: Fact[] = [];
  const add = (label: string, value: string): void => {
    if (value !== '') facts.push({ label, value: printable(value, MESSAGE_CHARACTERS_MAX) });
  };
  if (link.hub !== null) {
    const { serverName, version, cluster, domain, remoteAccount } = link.hub;
    add('Hub', `${serverName} ${version}`.trim());
    add('Cluster', cluster);
    add('Domain', domain);
    // The one that hubs without accounts have.
    if (remoteAccount !== '$G') add('Account', remoteAccount);
  }
  add('Address', link.url);
  if (link.sinceMs !== null)
    add(link.state === 'up' ? 'Up for' : 'Down for', span((gateway.nowMs - link.sinceMs) / 1000));
  if (link.retryInMs !== null) add('Next attempt in', span(Math.ceil(link.retryInMs / 1000)));
  if (link.state !== 'off') {
    add('Last PubAck', ago(link.lastPubAckMs, gateway.nowMs));
    add('Round trip', milliseconds(link.rttMs));
    add('Sent', `${count(link.messagesOut)} (${bytes(link.bytesOut)})`);
    add('Received', `${count(link.messagesIn)} (${bytes(link.bytesIn)})`);
    add('Reconnects', count(link.reconnects));
  }
  for (const [cause, dropped] of Object.entries(link.drops)) {
    if (dropped > 0) add(`Dropped live: ${spaced(cause)}`, count(dropped));
  }
  for (const { name, state, replicas, notes } of streams.slice(0, STREAMS_SHOWN_MAX)) {
    const words = replicas > 0 ? `${STREAM_WORDS[state]}, ${counted(replicas, 'replica')}` : STREAM_WORDS[state];
    add(`Stream ${name}`, sentences(words, ...notes.map(({ message, hint }) => sentences(message, hint))));
  }
  for (const { stream, state, held, pending, counters } of commands) {
    const { delivered, expired, undeliverable } = counters;
    const dead = expired + undeliverable > 0 ? `, ${count(expired + undeliverable)} dead` : '';
    const figures = `${count(delivered)} delivered, ${count(held)} in hand, ${count(pending)} at the hub${dead}`;
    add(`Commands from ${stream}`, sentences(COMMAND_WORDS[state], figures));
  }
  // What went wrong before the link came up is in the log; what is said while it is up limits it.
  if (link.lastError !== null) {
    add(
      link.state === 'up' ? 'Limit' : 'Last error',
      `${sentences(link.lastError.message, link.lastError.hint)} (${ago(link.lastError.atMs, gateway.nowMs)})`,
    );
  }
  return { title: 'Link to the hub', ...LINK_WORDS[link.state], facts };
}

/** Counters of causes that are shown; more would bury the rest of the card. */
const COUNTERS_SHOWN_MAX = 8;

function mqttCard({ mqtt }: Snapshot): Card {
  const facts = mqtt.listeners.map(({ host, port, connections }) => ({
    label: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    value: counted(connections, 'connection'),
  }));
  if (mqtt.retained !== null) {
    const { count: kept, countMax, bytes: size, bytesMax } = mqtt.retained;
    const value = `${count(kept)} of ${count(countMax)} (${bytes(size)} of ${bytes(bytesMax)})`;
    facts.push({ label: 'Retained messages', value });
  }
  if (mqtt.sessions !== null && mqtt.sessions.count > 0) {
    const { count: kept, countMax, connected, queued, bytes: size, bytesMax } = mqtt.sessions;
    const value = `${count(kept)} of ${count(countMax)}, ${count(kept - connected)} away`;
    facts.push({ label: 'Kept sessions', value });
    facts.push({
      label: 'Waiting for them',
      value: `${counted(queued, 'message')} (${bytes(size)} of ${bytes(bytesMax)})`,
    });
  }
  facts.push(...counterFacts(mqtt.counters));
  const open = mqtt.listeners.length > 0;
  return { title: 'Sensors', state: open ? 'Listening' : 'Not listening', tone: open ? 'ok' : 'failing', facts };
}

function natsCard({ nats }: Snapshot): Card {
  const { listeners, note } = nats;
  const facts: Fact[] = listeners.map(({ host, port, connections }) => ({
    label: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    value: counted(connections, 'connection'),
  }));
  if (note !== '') facts.push({ label: 'Why', value: printable(note, MESSAGE_CHARACTERS_MAX) });
  facts.push(...counterFacts(nats.counters));
  const isOpen = listeners.length > 0;
  const state = isOpen ? 'Listening' : note === '' ? 'Off' : 'Not listening';
  return { title: 'Programs', state, tone: isOpen ? 'ok' : 'quiet', facts };
}

function counterFacts(all: Record<string, number>): Fact[] {
  const counters = Object.entries(all).filter(([, value]) => value > 0);
  return counters.slice(0, COUNTERS_SHOWN_MAX).map(([name, value]) => ({
    label: capital(printable(spaced(name))),
    value: count(value),
  }));
}

const STORE_WORDS: Record<Snapshot['store']['state'], { state: string; tone: Tone }> = {
  ok: { state: 'Good', tone: 'ok' },
  full: { state: 'At its reserve', tone: 'failing' },
  failed: { state: 'Failed', tone: 'failing' },
};

function storeCard({ store }: Snapshot): Card {
  const facts = [
    { label: 'Commit, typical', value: milliseconds(store.fsyncP50Ms) },
    { label: 'Commit, slowest 1 %', value: milliseconds(store.fsyncP99Ms) },
    { label: 'Disk free', value: bytes(store.freeBytes) },
    { label: 'Reserve', value: bytes(store.reserveBytes) },
    { label: 'Journal file', value: bytes(store.fileBytes) },
    { label: 'Commits', value: count(store.commits) },
    { label: 'Not yet committed', value: count(store.queuedMessages) },
    ...(store.saver ? [{ label: 'Spared the card', value: `${count(store.saver.spared)} messages` }] : []),
    {
      label: 'Written a day',
      value: store.wear.bytesPerDay === null ? 'not known yet' : bytes(store.wear.bytesPerDay),
    },
    { label: 'Card life', value: store.wear.cardLifeDays === null ? '–' : `${count(store.wear.cardLifeDays)} days` },
    { label: 'Epoch', value: printable(store.epoch) },
  ];
  if (store.error !== null) {
    const text = sentences(store.error.message, store.error.hint);
    facts.push({ label: 'Error', value: printable(text, MESSAGE_CHARACTERS_MAX) });
  }
  return { title: 'Store', ...STORE_WORDS[store.state], facts };
}

function boxCard({ gateway }: Snapshot): Card {
  const facts = [
    { label: 'Name', value: printable(gateway.name) },
    { label: 'Petiole', value: printable(gateway.version) },
    { label: 'Memory', value: bytes(gateway.memory.rssBytes) },
    { label: 'Heap', value: bytes(gateway.memory.heapUsedBytes) },
    { label: 'Node', value: printable(gateway.node) },
    { label: 'Process', value: String(gateway.pid) },
  ];
  return { title: 'Box', state: `Up ${span(gateway.uptimeS)}`, tone: 'quiet', facts };
}

/** 'protocolErrors' and 'no-interest' → 'protocol errors', 'no interest'. */
function spaced(name: string): string {
  return name
    .replace(/[-_]+/g, ' ')
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, ' ')
    .toLowerCase();
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
