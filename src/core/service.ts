/** Every edge: constructors assign, `start()` works, `stop()` is one shared promise and may be called twice. */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A plain object for the status page: no secrets, bounded in size. */
  status(): unknown;
}

/** Runs `work` at the first call and hands every later caller the same promise. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}
