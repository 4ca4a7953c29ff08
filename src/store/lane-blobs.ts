import type { BatchRow, BatchTable } from './batch-table.ts';
import type { Lane } from './lane-table.ts';
import type { ReadBlob } from './protocol.ts';

/** `end`: up to here the lane has nothing but these. */
export interface LaneBlobs {
  blobs: ReadBlob[];
  end: number;
}

/** Batches of a lane behind `after`, checked, of some `bytesMax` in memory; it ends before what is not admitted. */
export function blobsOf(
  batches: BatchTable,
  lane: Lane,
  after: number,
  bytesMax: number,
  admits: (batch: BatchRow) => boolean,
  damaged: (batch: BatchRow) => void,
): LaneBlobs {
  const blobs: ReadBlob[] = [];
  let bytes = 0;
  let end = after;
  for (const batch of batches.behind(lane.id, after)) {
    if (blobs.length > 0 && bytes + batch.bytes > bytesMax) return { blobs, end };
    if (!admits(batch)) return { blobs, end };
    end = batch.first + batch.count - 1;
    const data = batches.read(lane.id, batch.first);
    if (!data) {
      damaged(batch);
      continue;
    }
    // As they lie in memory: deflated ones are far larger there.
    bytes += data.length;
    blobs.push({ first: batch.first, count: batch.count, bytes: data });
  }
  return { blobs, end: lane.lastSequence };
}
