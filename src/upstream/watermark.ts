import { headerValue } from '../core/headers.ts';
import { matches } from '../core/subject.ts';
import { fieldsOf, type JetStream, type StreamInfo } from './jetstream.ts';

/**
 * The watermark of a lane: one small message in the stream itself, on a subject of the lane's own, that says up to which
 * record the stream has the lane. It is committed together with the records it speaks of and takes the place of the one
 * before, which it names; so a batch is either stored with its watermark or not at all, and never twice.
 */
export const WATERMARK = 'Petiole-Watermark';

/** Where it lies in the stream, as the box names it. `gateway`, `stream` and `lane` are single tokens. */
export function watermarkSubject(gateway: string, stream: string, lane: string): string {
  return `petiole.${gateway}.watermark.${stream}.${lane}`;
}

/** What takes the watermarks of every box in a stream. */
export function watermarkFilter(stream: string): string {
  return `petiole.*.watermark.${stream}.*`;
}

/** True where the stream commits batches and takes this subject, as the hub names it. */
export function takesBatches({ atomic, subjects }: StreamInfo, subject: string): boolean {
  return atomic !== null && subjects.some((filter) => matches(filter, subject));
}

export interface Watermark {
  /** Of the message in the stream; 0 where there is none. */
  readonly sequence: number;
  /** The lane's record; 0 where the watermark is missing, or of another epoch. */
  readonly last: number;
}

/** `idEnd`: `.<epoch>.<lane>.`, by which a lane knows its own. Rejects where the hub refuses to say. */
export async function readWatermark(
  jetStream: JetStream,
  stream: string,
  subject: string,
  idEnd: string,
): Promise<Watermark> {
  const body = JSON.stringify({ last_by_subj: subject });
  const answer = await jetStream.call(`STREAM.MSG.GET.${stream}`, body);
  if (answer.errorCode === NO_MESSAGE) return { sequence: 0, last: 0 };
  if (answer.error) throw answer.error;
  const { seq, hdrs } = fieldsOf(answer.body.message);
  const headers = Buffer.from(typeof hdrs === 'string' ? hdrs : '', 'base64');
  return { sequence: Number(seq ?? 0), last: sequenceIn(headerValue(headers, WATERMARK), idEnd) };
}

/** `<gateway>.<epoch>.<lane>.<sequence>`; 0 where it is not the lane's. */
export function sequenceIn(id: string | null, idEnd: string): number {
  const at = id?.lastIndexOf(idEnd) ?? -1;
  if (id === null || at < 0) return 0;
  const sequence = Number(id.slice(at + idEnd.length));
  return Number.isSafeInteger(sequence) && sequence > 0 ? sequence : 0;
}

/** "no message found" */
export const NO_MESSAGE = 10037;
