import { setTimeout as wait } from 'node:timers/promises';
import { GatewayError } from '../core/errors.ts';
import { headerValue } from '../core/headers.ts';
import { fieldsOf, type JetStream, type StreamInfo } from './jetstream.ts';
import { newestRecord } from './newest-record.ts';
import type { Hub, Position, Records } from './ports.ts';
import { type Identity, type Inbox, readBack } from './read-back.ts';
import { readWatermark, type Watermark } from './watermark.ts';

/**
 * What a lane has in doubt: records that were sent and whose answer never came. `null` means that nobody knows (the box
 * was restarted), a set that these and no others are.
 */
export type Doubt = ReadonlySet<number> | null;

export interface Reconciled {
  /** Records behind the cursor that the hub has. */
  stored: Set<number>;
  /** The hub has everything up to here, by the lane's watermark; 0 where that is not known. */
  upTo: number;
  /** The watermarks that were read, by stream. */
  watermarks: Map<string, Watermark>;
  /** The next so many records are at the hub, although they can't all be read back (a work queue was emptied). */
  skip: number;
  /** The streams that the lane has written to, as they are now: nothing of the lane but `stored` and `skip` is in doubt. */
  streams: StreamInfo[];
  /** True where the hub lacks one of them: it may come back, with something that was in doubt. */
  missing: boolean;
  /** Streams that now have less than they had acknowledged, or that others write to although they are the box's own. */
  alarms: GatewayError[];
}

export interface ReconcileParts {
  hub: Hub;
  jetStream: JetStream;
  inbox: Inbox;
  records: Records;
}

export interface ReconcileLane {
  index: number;
  /** Name of the stream that is the lane's own, null for none. */
  own: string | null;
  /** `.<epoch>.<lane>.`: what a record id ends with before the sequence. */
  idEnd: string;
  /** See `Identity`. */
  formers: Identity['formers'];
  /** Stream → sequence of the last record of the lane that it acknowledged in this run. */
  proofs: Map<string, number>;
  /** Stream → how far it is known to have been in this run. */
  ends: Map<string, number>;
  /** A stream has less than it had: what was known of records in it counts no more, until they are read back. */
  forget(): void;
  /** Subject of the lane's watermark at the hub; null where the stream takes no batches from it. */
  watermarkIn(stream: StreamInfo): string | null;
  /** The lane's subjects, to read back less where they are few. */
  filters: readonly string[];
}

/** Between two looks at a stream that may still be settling; a heartbeat between its servers takes one second. */
const SETTLE_MS = 1_000;
const SETTLE_LOOKS_MAX = 4;

/**
 * Removes the doubt, after every reconnect and every unexpected answer and before anything is sent. For each stream that
 * the lane writes to: what lies behind its position is read back, and the ids found there are the truth. It does not
 * depend on how long the link was down, nor on the hub's duplicate window.
 *
 * Where batches are committed with a watermark, that tells at once: see `Watermark`.
 *
 * Everything in flight must have been answered or given up before: what arrives later would be missed here.
 */
export async function reconcile(parts: ReconcileParts, lane: ReconcileLane, doubt: Doubt): Promise<Reconciled> {
  const { records } = parts;
  const result: Reconciled = {
    stored: new Set(),
    upTo: 0,
    watermarks: new Map(),
    skip: 0,
    streams: [],
    missing: false,
    alarms: [],
  };
  const infos = new Map<string, StreamInfo>();
  const isRewound = await goBack(parts, lane, infos, doubt === null || doubt.size > 0, result);
  const { cursor, positions, unkept = [] } = records.resume(lane.index);
  const isUnkept = unkept.length > 0;
  const identity = { ...lane, cursor: Math.min(cursor, (unkept[0]?.[0] ?? Infinity) - 1) };
  for (const position of positions) {
    const info = infos.get(position.stream);
    if (!info) {
      result.missing = true;
      continue;
    }
    const own = info.name === lane.own;
    const anew = info.created !== position.created;
    const after = anew ? 0 : Math.min(position.sequence, info.lastSequence);
    // Sequence numbers of the old stream mean nothing in the new one: from its beginning.
    if (anew) await records.place(lane.index, { stream: info.name, created: info.created, sequence: 0 });
    const watermark = result.watermarks.get(info.name);
    // Nothing of the lane is in the stream behind its watermark, and what the lane has is in no other stream.
    const tells = !anew && positions.length === 1 && watermark !== undefined && watermark.last > 0;
    const isTold = tells && position.sequence <= watermark.sequence;
    if (isTold) result.upTo = watermark.last;
    const isOpen = (doubt?.size ?? 0) > 0 || isRewound || (own && info.lastSequence > after);
    // While the box was down, records of it may have been carried to the hub another way, past the watermark; and those
    // that the cursor went back over may have come by read-back, behind an older one.
    if (doubt === null || isRewound || isUnkept || (isOpen && !isTold)) {
      const { found, ours, foreign } = await readBack(parts, info, after, identity, own ? [] : lane.filters);
      for (const sequence of found) result.stored.add(sequence);
      if (own && foreign > 0) result.alarms.push(foreignWriter(info, foreign));
      // In its own stream the lane's records lie in order and nobody else's between them, so their number tells which
      // ones were consumed. Where somebody else wrote there it does not: a record twice is better than one lost.
      const count = info.lastSequence - after;
      if (own && !anew && foreign === 0 && ours < count) {
        // By their numbers where the next records here need not be the next ones there.
        if (records.resume(lane.index).isSparse) result.upTo = Math.max(result.upTo, cursor + count);
        else result.skip = count;
      }
    }
    result.streams.push(info);
  }
  for (const { name, lastSequence } of result.streams) lane.ends.set(name, lastSequence);
  const { stored, upTo, skip, missing } = result;
  // Of a stream that is missing, or was consumed in an order that is not the numbers', nobody knows yet what it has.
  if (isUnkept) await records.settle(lane.index, stored, upTo, !missing && skip === 0);
  return result;
}

/**
 * A hub that did not sync what it acknowledged may come back with less. Then the lane's cursor goes back as far as records
 * are kept, and what is not found in the stream is sent again. True where some stream has less; `infos` gets the streams
 * that the hub has.
 */
async function goBack(
  parts: ReconcileParts,
  lane: ReconcileLane,
  infos: Map<string, StreamInfo>,
  isInDoubt: boolean,
  { watermarks, alarms }: Pick<Reconciled, 'watermarks' | 'alarms'>,
): Promise<boolean> {
  const { records, jetStream } = parts;
  let isRewound = false;
  const { positions } = records.resume(lane.index);
  for (const position of positions) {
    const first = await jetStream.streamInfo(position.stream);
    if (!first) continue;
    const end = Math.max(position.reach ?? position.sequence, lane.ends.get(position.stream) ?? 0);
    const isLess = first.created === position.created && first.lastSequence < end;
    const info = first.leader !== undefined && (isInDoubt || isLess) ? await settled(jetStream, first) : first;
    infos.set(position.stream, info);
    const { name: stream, created, lastSequence } = info;
    const isAnew = created !== position.created;
    const subject = lane.watermarkIn(info);
    const watermark = subject === null ? null : await readWatermark(jetStream, stream, subject, lane.idEnd);
    if (watermark) watermarks.set(stream, watermark);
    // The lane's own, and older than what the stream has acknowledged since: by batches, unless a record proves otherwise.
    const isOlder = watermark !== null && watermark.last > 0 && watermark.sequence < position.sequence;
    const proof = isAnew || lastSequence < position.sequence ? null : await isProven(jetStream, lane, info);
    const isReplaced = !isAnew && lastSequence >= position.sequence && !(proof ?? !isOlder);
    if (!isAnew && !isReplaced && lastSequence >= end) continue;
    isRewound = true;
    lane.forget();
    const before = records.resume(lane.index).cursor;
    const has = isOlder ? watermark.sequence : isAnew || isReplaced ? 0 : lastSequence;
    const isOwn = stream === lane.own;
    // A stream made anew has nothing, and that may be meant; where records went to several, none tells what another lacks.
    const newest =
      isAnew || positions.length > 1
        ? null
        : await newestRecord(parts, info, { ...lane, cursor: before }, isOwn ? [] : lane.filters, isOwn);
    const rollback = { stream, created, has, lastSequence, isOwn, newest };
    const { isBack, isShort } = await records.rewind(lane.index, rollback);
    lane.proofs.delete(stream);
    const kept = before - records.resume(lane.index).cursor;
    if (!isAnew || isBack) alarms.push(rolledBack({ ...position, sequence: end }, info, kept, isShort));
  }
  return isRewound;
}

/**
 * A stream of several replicas as it is once a new leader has stored what the old one had agreed on with the others: right
 * after an election its end still moves, and what comes in late would be missed, or a rollback be seen that is none.
 */
async function settled(jetStream: JetStream, first: StreamInfo): Promise<StreamInfo> {
  let info = first;
  for (let looks = 0; looks < SETTLE_LOOKS_MAX; looks++) {
    await wait(SETTLE_MS);
    const next = await jetStream.streamInfo(info.name);
    if (!next) break;
    const isStill = next.lastSequence === info.lastSequence && next.leader === info.leader;
    info = next;
    // Where others write it never stands still, and then it is a stream that works.
    if (isStill) break;
  }
  return info;
}

/**
 * True where the last record of the lane that the stream acknowledged is still in its place, false where something else is
 * there, null where that can't be told.
 */
async function isProven(
  jetStream: JetStream,
  lane: ReconcileLane,
  { name, lastSequence }: StreamInfo,
): Promise<boolean | null> {
  const seq = lane.proofs.get(name) ?? 0;
  if (seq === 0) return null;
  if (seq > lastSequence) return false;
  const { body, error } = await jetStream.call(`STREAM.MSG.GET.${name}`, JSON.stringify({ seq }));
  // Consumed, deleted or not for us to see: that says nothing.
  if (error) return null;
  const { hdrs } = fieldsOf(body.message);
  const headers = typeof hdrs === 'string' ? Buffer.from(hdrs, 'base64') : Buffer.alloc(0);
  return headerValue(headers, 'Petiole-Id')?.includes(lane.idEnd) ?? false;
}

/** Nothing of the lane beyond the cursor is in the stream: its end is where the next record will lie behind. */
export function positionAtEnd(info: StreamInfo): Position {
  return { stream: info.name, created: info.created, sequence: info.lastSequence };
}

/** `kept`: records that the cursor goes back over; `isShort`: more than those are missing, and nobody can name them. */
function rolledBack(position: Position, info: StreamInfo, kept: number, isShort: boolean): GatewayError {
  const missing = position.sequence - info.lastSequence;
  const lost =
    info.created !== position.created
      ? `stream ${info.name} was made anew`
      : missing > 0
        ? `stream ${info.name} ends ${missing} messages before what it had acknowledged`
        : `stream ${info.name} lacks what it had acknowledged`;
  const last = kept === 0 ? 'records behind the cursor' : `the last ${kept} records`;
  const then = `${last} are looked for, and sent again where they are missing`;
  const before = isShort ? '; what is missing before them was too long ago to be kept here' : '';
  return new GatewayError('hub_error', `${lost}: ${then}${before}`, {
    hint: 'the hub lost data that it had not synced to disk: use replicas or sync_interval: always there',
  });
}

function foreignWriter(info: StreamInfo, count: number): GatewayError {
  return new GatewayError('hub_error', `${count} messages of others are in stream ${info.name}`, {
    hint: 'a stream with own: true must be written by this box alone; restrict publish permissions on its subjects',
  });
}
