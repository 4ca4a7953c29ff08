/** A stream that the configuration asks for (`upstream.streams`). Subjects as the box has them. */
export interface StreamWish {
  readonly name: string;
  readonly subjects: readonly string[];
  /** Made where it is missing; false: only looked at. */
  readonly create: boolean;
  readonly storage: 'file' | 'memory';
  readonly replicas: number;
  /** 0: no bound. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly full: 'drop-oldest' | 'refuse';
  readonly duplicateWindowMs: number;
  /** The operator says that the hub syncs every message, which nobody can see from here. */
  readonly syncAlways: boolean;
  /** Made so that lanes go up in atomic batches: they are allowed, and it takes the lanes' watermarks. */
  readonly atomic: boolean;
}

export interface LaneOfStream {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly stream: { readonly name: string; readonly own: boolean } | null;
}

/** missing: records for it wait. differs: it is there, and not as it was asked for. unknown: the hub has not said yet. */
export type StreamState = 'unknown' | 'ok' | 'created' | 'differs' | 'missing' | 'refused';

/** What is to say of a stream, with its cure. advice: it works, and could be safer. */
export interface StreamNote {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly isAdvice: boolean;
}

export interface StreamStatus {
  readonly name: string;
  readonly state: StreamState;
  readonly replicas: number;
  readonly notes: readonly StreamNote[];
}
