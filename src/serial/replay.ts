import type { Stretch } from './capture-file.ts';
import type { PipelineOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';

/** What becomes of a capture; times in milliseconds after its beginning. */
export interface ReplaySink {
  message(subject: string, payload: Buffer, atMs: number): void;
  /** Bytes that are no frame, or a frame that says nothing. */
  error(cause: string, detail: string, atMs: number): void;
}

/**
 * Sends captured bytes the way that they would go on a live port, with the pauses that they had: what a configuration
 * would publish. Rejects with `config_invalid` where the options name a pattern or an encoding that is none.
 */
export async function replay(
  options: PipelineOptions,
  stretches: readonly Stretch[],
  sink: ReplaySink,
): Promise<Pipeline> {
  let nowMs = 0;
  const pipeline = await Pipeline.make(options, {
    message: (subject, payload) => sink.message(subject, payload, nowMs),
    frame: () => false,
    error: (cause, detail) => sink.error(cause, detail, nowMs),
  });
  const { gapMs } = pipeline;
  for (const { atMs, bytes } of stretches) {
    if (gapMs > 0 && atMs - nowMs >= gapMs) {
      nowMs += gapMs;
      pipeline.idle(nowMs);
    }
    nowMs = Math.max(nowMs, atMs);
    pipeline.push(bytes, nowMs);
  }
  nowMs += gapMs;
  pipeline.idle(nowMs);
  return pipeline;
}
