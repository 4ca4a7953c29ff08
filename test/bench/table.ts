import { BOX } from './run.ts';

/** Rounds of a row that is compared with its peers. */
export const ROUNDS = 5;

/**
 * `--table`: the rows that the project holds itself to, with the rounds that each is measured in. What takes minutes and is
 * no ratio to a peer is measured less often, so that all of it fits into 40 minutes on two cores.
 */
const rounds: ReadonlyMap<string, number> = new Map([
  ['ingest-1', ROUNDS],
  ['ingest-50', ROUNDS],
  ['ingest-500', ROUNDS],
  ['edge-full', ROUNDS],
  ['edge-500', ROUNDS],
  ['edge-5000', ROUNDS],
  ['bytes', ROUNDS],
  ['listen', ROUNDS],
  ['drain', 3],
  ['crowd', 2],
  ['offline', 1],
  ['growth-clients', 1],
  ['growth-subscriptions', 1],
  ['growth-queued', 1],
]);

/** Those that a row is compared with, where they are not all that there are. */
const peers: ReadonlyMap<string, readonly string[]> = new Map([
  ['ingest-1', ['mosquitto']],
  ['ingest-500', ['mosquitto']],
]);

/** Seconds under load for each contender of the ingest rows, whatever it gets through in them. */
export const INGEST_SECONDS = 5;

/** Records of a drain. */
export const DRAINED = 1_000_000;

/** Before each load, until what the start has left is tidied up. */
export const IDLE_MS = 1_500;

/** Whether a phase is measured in this round, from 0. */
export function isOfTable(phase: string, round: number): boolean {
  return round < (rounds.get(phase) ?? 0);
}

/** Whether a contender is measured in this phase. */
export function isComparedIn(phase: string, contender: string): boolean {
  return contender === BOX || (peers.get(phase)?.includes(contender) ?? true);
}

/** For the reader of the table. */
export function tableNote(): string {
  const fewer = [...rounds].filter(([, count]) => count < ROUNDS).map(([phase, count]) => `${phase} ${count}`);
  return (
    `Rounds: ${ROUNDS}, each contender in turn in each of them; ratios are those of one round. Rows that take minutes have ` +
    `fewer: ${fewer.join(', ')}. Ingest: ${INGEST_SECONDS} s under load for each contender; every number is looked up at ` +
    'the hub where the box is measured with 50 connections in the first round, and in all other rows but those without a hub.'
  );
}
