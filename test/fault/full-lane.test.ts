/**
 * Goal: received + declared lost = produced, to the message, when more comes in than a lane holds. Method: a lane of
 * 10 MB is fed 50 MB while the hub is away; then the hub comes, and every sequence that the lane has given must be either
 * in its stream or in a range that the ledger's messages declare there, and never in both.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Box, startBox } from '../support/box.ts';
import { connectHub, createStream, readStream } from '../support/hub-stream.ts';
import { type BalanceReport, LaneBalance } from '../support/lane-balance.ts';
import { type LoadResult, runLoad, startLoad } from '../support/mqtt-load.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import type { Scope } from '../support/scope.ts';
import { type AuditReport, StreamAudit } from '../support/stream-audit.ts';
import { waitFor } from '../support/wait-for.ts';

const LANE = 'bench';
const LEDGER_LANE = 'petiole-ledger';
const STREAM = 'PLANT';
const LANE_BYTES_MAX = 10_000_000;
const PAYLOAD_BYTES = 1_000;
/** 50 MB. */
const MESSAGES = 50_000;
const CONNECTIONS = 10;
const WINDOW = 100;
const DRAIN_TIMEOUT_MS = 60_000;

interface Plant {
  hub: NatsServer;
  box: Box;
  reader: NatsConnection;
}

/** A hub with one stream for all, now away, and a box that has never met it. */
async function startOfflinePlant(scope: Scope, full: 'drop-oldest' | 'refuse'): Promise<Plant> {
  const hub = await startNatsServer(scope, { jetstream: true, leafnodes: true });
  const reader = await connectHub(scope, hub.clientUrl);
  await createStream(reader, STREAM, [`${LANE}.>`, 'petiole.*.ledger']);
  await hub.kill();
  const lane = { name: LANE, subjects: [`${LANE}.>`], max_bytes: '10MB', full, stream: { name: STREAM } };
  const box = await startBox(scope, { config: { lanes: [lane], upstream: { urls: [hub.leafUrl] } } });
  return { hub, box, reader };
}

interface LaneStatus {
  name: string;
  depth: number;
  bytes: number;
  inFlight: number;
  lastSequence: number;
  counters: { evicted: number; refused: number };
}

interface LedgerStatus {
  lane: string;
  reason: string;
  count: number;
  synced: boolean;
}

async function laneOf(box: Box, name = LANE): Promise<LaneStatus> {
  const { lanes } = (await box.status()) as { lanes: LaneStatus[] };
  const lane = lanes.find((candidate) => candidate.name === name);
  assert.ok(lane, `lane ${name} is in the status`);
  return lane;
}

async function ledgerOf(box: Box): Promise<LedgerStatus[]> {
  return ((await box.status()) as { ledger: LedgerStatus[] }).ledger.filter(({ lane }) => lane === LANE);
}

interface Outcome {
  lane: LaneStatus;
  balance: BalanceReport;
  audit: AuditReport;
  /** By the box's own status page. */
  shownLost: number;
}

/** Brings the hub back, waits until everything is told, and puts both sides of the account together. */
async function settle({ hub, box, reader }: Plant, { ackedRanges }: LoadResult): Promise<Outcome> {
  await hub.restart();
  // A new process connects at once; the old one may be in the middle of a long wait.
  await box.restart();
  const told = async () => {
    const lanes = [await laneOf(box), await laneOf(box, LEDGER_LANE)];
    const rows = await ledgerOf(box);
    return rows.every(({ synced }) => synced) && lanes.every(({ depth, inFlight }) => depth + inFlight === 0);
  };
  await waitFor('the lanes to be empty and the losses told', told, { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 50 });
  const balance = new LaneBalance(LANE);
  const audit = new StreamAudit();
  await readStream(reader, STREAM, ({ subject, payload, id }) => {
    if (subject === 'petiole.box.ledger') {
      balance.addDeclaration(payload);
      return;
    }
    balance.addRecord(id);
    audit.add(payload, id);
  });
  const lane = await laneOf(box);
  const shownLost = (await ledgerOf(box)).reduce((sum, { count }) => sum + count, 0);
  return { lane, balance: balance.report(lane.lastSequence), audit: audit.report(ackedRanges), shownLost };
}

const offlineFlood = {
  connections: CONNECTIONS,
  window: WINDOW,
  messages: MESSAGES,
  payloadBytes: PAYLOAD_BYTES,
} as const;

function assertBalanced({ lane, balance, audit }: Outcome): void {
  const { both, neither, twice, uneven } = balance;
  assert.deepEqual({ both, neither, twice, uneven }, { both: 0, neither: 0, twice: 0, uneven: 0 });
  assert.equal(balance.arrived + balance.declared, lane.lastSequence);
  const { duplicated, outOfOrder, withoutId, foreign } = audit;
  assert.deepEqual(
    { duplicated, outOfOrder, withoutId, foreign },
    { duplicated: 0, outOfOrder: 0, withoutId: 0, foreign: 0 },
  );
}

describe('a lane that is full', { concurrency: 4, timeout: 120_000 }, () => {
  it('drop-oldest: what arrives and what is declared lost is what was produced', async (scope) => {
    const plant = await startOfflinePlant(scope, 'drop-oldest');
    const load = await runLoad(scope, { port: plant.box.mqttPort, ...offlineFlood });
    assert.equal(load.acked, MESSAGES, 'every message is taken, also when the lane is full');
    const { bytes } = await laneOf(plant.box);
    assert.ok(bytes <= LANE_BYTES_MAX && bytes > LANE_BYTES_MAX * 0.8, `the lane is full: ${bytes} bytes`);

    const outcome = await settle(plant, load);
    assertBalanced(outcome);
    const { lane, balance, audit, shownLost } = outcome;
    assert.equal(lane.lastSequence, MESSAGES);
    assert.equal(balance.declared, MESSAGES - audit.messages);
    assert.equal(audit.lost, balance.declared, 'what the senders miss is what the ledger declares');
    assert.ok(balance.arrived > 5_000 && balance.declared > 30_000, JSON.stringify(balance));
    assert.equal(shownLost, balance.declared, "the box's own ledger says the same");
    assert.equal(lane.counters.evicted, balance.declared);
  });

  it('drop-oldest, the box killed in the flood: the account still balances', async (scope) => {
    const plant = await startOfflinePlant(scope, 'drop-oldest');
    const { box } = plant;
    const load = startLoad(scope, { port: box.mqttPort, ...offlineFlood, reconnect: true, progressEveryMs: 10 });
    // The second and third one while batches are evicted.
    for (const share of [0.1, 0.5, 0.8]) {
      await waitFor('the flood', () => load.progress.acked >= MESSAGES * share, { timeoutMs: 60_000, intervalMs: 2 });
      await box.kill9();
      await box.start();
    }
    const result = await load.result;
    assert.equal(result.complete, true);

    const outcome = await settle(plant, result);
    assertBalanced(outcome);
    const { lane, balance, shownLost } = outcome;
    const repeated = lane.lastSequence - result.acked;
    assert.ok(repeated >= 0 && repeated <= result.resent, `${repeated} journaled twice, ${result.resent} sent twice`);
    assert.ok(balance.declared > 30_000, JSON.stringify(balance));
    assert.equal(shownLost, balance.declared);
    assert.equal(lane.counters.evicted, balance.declared);
  });

  it('refuse: each message is acknowledged and arrives, or is refused and counted', async (scope) => {
    const plant = await startOfflinePlant(scope, 'refuse');
    const result = await runLoad(scope, { port: plant.box.mqttPort, ...offlineFlood, version: 5 });
    assert.deepEqual(result.errors, []);
    assert.equal(result.complete, true, 'PUBACK 0x97 answers what is refused');
    assert.equal(result.acked + result.refused, MESSAGES);
    assert.ok(result.acked > 5_000 && result.refused > 30_000, `${result.acked} acknowledged`);

    const outcome = await settle(plant, result);
    assertBalanced(outcome);
    const { lane, balance, audit, shownLost } = outcome;
    assert.equal(audit.lost, 0);
    assert.equal(audit.messages, result.acked, 'what arrived is what was acknowledged');
    assert.deepEqual([balance.declared, balance.refused], [0, result.refused]);
    assert.equal(shownLost, result.refused);
    assert.equal(lane.counters.refused, result.refused);
  });

  it('refuse, MQTT 3.1.1: no PUBACK holds the senders back, and nothing is lost at all', async (scope) => {
    const plant = await startOfflinePlant(scope, 'refuse');
    const { box } = plant;
    const load = startLoad(scope, { port: box.mqttPort, ...offlineFlood, messages: 20_000, reconnect: true });
    const refused = async () => (await laneOf(box)).counters.refused > 0;
    await waitFor('messages to be refused', refused, { timeoutMs: 60_000, intervalMs: 50 });
    const { acked } = load.progress;
    assert.ok(acked < 15_000, `${acked} acknowledged by a lane that holds some 10,000`);

    await plant.hub.restart();
    // It ends the connections: the senders send again what has no PUBACK, as 3.1.1 wants it.
    await box.restart();
    const result = await load.result;
    assert.equal(result.complete, true);
    assert.equal(result.acked, 20_000);
    const outcome = await settle(plant, result);
    assertBalanced(outcome);
    assert.equal(outcome.audit.lost, 0);
    assert.ok(outcome.balance.refused > 0);
    assert.equal(outcome.shownLost, outcome.balance.refused);
  });
});
