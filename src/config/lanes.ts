import * as v from 'valibot';
import * as field from './fields.ts';

/** A lane's number is kept in a byte. */
export const LANES_MAX = 255;
/** Every message is matched against each of them, the first time its subject is seen. */
export const LANE_SUBJECTS_MAX = 64;

export const lane = field.map({
  name: v.pipe(field.name(), v.metadata({ example: 'telemetry' })),
  subjects: v.pipe(field.list(field.subject(), 1, LANE_SUBJECTS_MAX), v.metadata({ example: ['line3.>'] })),
  /** 1 goes first. */
  priority: v.optional(field.count(1, 9), 5),
  full: v.optional(field.choice(['refuse', 'drop-oldest']), 'drop-oldest'),
  /** live-first: what came in while the hub was away goes up behind what comes in now. */
  drain: v.optional(field.choice(['oldest-first', 'live-first']), 'oldest-first'),
  /** A day of a hundred 128-byte messages a second, on any SD card. */
  max_bytes: v.optional(field.size('64KiB', '1TiB'), '1GiB'),
  /** 0: a record does not grow too old. */
  max_age: v.optional(field.duration('0', '3650d'), 0),
  /** A publish with a reply subject: journaled and answered with a PubAck, or left live for its responder. */
  replies: v.optional(field.choice(['receipt', 'pass']), 'receipt'),
  stream: v.optional(
    field.map({
      name: v.pipe(field.streamName(), v.metadata({ example: 'TELEMETRY' })),
      /** The stream is this lane's alone, so its last sequence tells what has arrived. */
      own: v.optional(field.yesOrNo(), false),
    }),
  ),
});

export function toLane(file: v.InferOutput<typeof lane>) {
  return {
    name: file.name,
    subjects: file.subjects,
    priority: file.priority,
    full: file.full,
    drain: file.drain,
    maxBytes: file.max_bytes,
    maxAgeMs: file.max_age,
    replies: file.replies,
    stream: file.stream ?? null,
  };
}
