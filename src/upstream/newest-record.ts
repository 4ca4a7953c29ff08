import type { JetStream, StreamInfo } from './jetstream.ts';
import type { Hub } from './ports.ts';
import { type Identity, type Inbox, readFrom, recordOf } from './read-back.ts';

/** Where a lane stands in a stream, by what is there. */
export interface NewestRecord {
  /** The newest record of the lane, of those that its cursor has passed. */
  readonly record: number;
  /** Nothing of the lane behind that lies in the stream at or before this sequence. */
  readonly before: number;
}

/** Messages of the first look: mostly one of the lane's is among them. */
const LOOK_FIRST = 500;
/** Each look goes so much further back than the one before. */
const LOOK_FURTHER = 8;
/** How far back it is looked for: headers of so many messages take a hub some seconds. */
const LOOK_BACK_MAX = 500_000;

/**
 * Looks from the end of a stream back for the newest record of a lane that its cursor has passed; null where the last
 * LOOK_BACK_MAX messages have none: it may have been removed. Of a stream of the lane's `own` no message is passed over.
 */
export async function newestRecord(
  parts: { hub: Hub; jetStream: JetStream; inbox: Inbox },
  stream: StreamInfo,
  identity: Identity,
  filters: readonly string[],
  own: boolean,
): Promise<NewestRecord | null> {
  const { lastSequence } = stream;
  if (lastSequence === 0) return { record: 0, before: 0 };
  const oldest = Math.max(1, stream.firstSequence, lastSequence + 1 - LOOK_BACK_MAX);
  for (let span = LOOK_FIRST; ; span *= LOOK_FURTHER) {
    const from = Math.max(oldest, lastSequence + 1 - span);
    let record = 0;
    let behind = 0;
    const begin = () => {
      record = 0;
      behind = 0;
    };
    const take = (headers: Buffer) => {
      const { sequence, isGivenAgain } = recordOf(headers, identity);
      const isPassed = sequence > 0 && sequence <= identity.cursor && !isGivenAgain;
      if (isPassed && sequence > record) record = sequence;
      behind = isPassed ? 0 : behind + 1;
    };
    await readFrom(parts, stream, from, { filters, headersOnly: true }, begin, take);
    if (record > 0) return { record, before: own ? lastSequence - behind : from - 1 };
    if (from === oldest) return null;
  }
}
