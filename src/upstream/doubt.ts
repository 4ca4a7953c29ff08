import { GatewayError } from '../core/errors.ts';
import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Hub, Position, Records } from './ports.ts';
import { type Inbox, readBack } from './read-back.ts';

/**
 * What a lane has in doubt: records that were sent and whose answer never came. `null` means that nobody knows (the box
 * was restarted), a set that these and no others are.
 */
export type Doubt = ReadonlySet<number> | null;

export interface Reconciled {
  /** Records behind the cursor that the hub has. */
  stored: Set<number>;
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
  /** The lane's subjects, to read back less where they are few. */
  filters: readonly string[];
}

/**
 * Removes the doubt, after every reconnect and every unexpected answer and before anything is sent. For each stream that
 * the lane writes to: what lies behind its position is read back, and the ids found there are the truth. It does not
 * depend on how long the link was down, nor on the hub's duplicate window.
 *
 * Everything in flight must have been answered or given up before: what arrives later would be missed here.
 */
export async function reconcile(parts: ReconcileParts, lane: ReconcileLane, doubt: Doubt): Promise<Reconciled> {
  const { records, jetStream } = parts;
  const result: Reconciled = { stored: new Set(), skip: 0, streams: [], missing: false, alarms: [] };
  const { cursor, positions } = records.resume(lane.index);
  for (const position of positions) {
    const info = await jetStream.streamInfo(position.stream);
    if (!info) {
      result.missing = true;
      continue;
    }
    const own = info.name === lane.own;
    const anew = info.created !== position.created;
    const after = anew ? 0 : Math.min(position.sequence, info.lastSequence);
    if (!anew && info.lastSequence < position.sequence) result.alarms.push(rolledBack(position, info));
    // Sequence numbers of the old stream mean nothing in the new one: from its beginning.
    if (anew) await records.place(lane.index, { stream: info.name, created: info.created, sequence: 0 });
    if (doubt === null || doubt.size > 0 || (own && info.lastSequence > after)) {
      const identity = { idEnd: lane.idEnd, cursor };
      const { found, ours, foreign } = await readBack(parts, info, after, identity, own ? [] : lane.filters);
      for (const sequence of found) result.stored.add(sequence);
      if (own && foreign > 0) result.alarms.push(foreignWriter(info, foreign));
      // In its own stream the lane's records lie in order and nobody else's between them, so their number tells which
      // ones were consumed. Where somebody else wrote there it does not: a record twice is better than one lost.
      const count = info.lastSequence - after;
      if (own && !anew && foreign === 0 && ours < count) result.skip = count;
    }
    result.streams.push(info);
  }
  return result;
}

/** Nothing of the lane beyond the cursor is in the stream: its end is where the next record will lie behind. */
export function positionAtEnd(info: StreamInfo): Position {
  return { stream: info.name, created: info.created, sequence: info.lastSequence };
}

function rolledBack(position: Position, info: StreamInfo): GatewayError {
  const missing = position.sequence - info.lastSequence;
  return new GatewayError('hub_error', `stream ${info.name} ends ${missing} messages before what it had acknowledged`, {
    hint: 'the hub lost data that it had not synced to disk: use replicas or sync_interval: always there',
  });
}

function foreignWriter(info: StreamInfo, count: number): GatewayError {
  return new GatewayError('hub_error', `${count} messages of others are in stream ${info.name}`, {
    hint: 'a stream with own: true must be written by this box alone; restrict publish permissions on its subjects',
  });
}
