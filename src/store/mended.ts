/** A store that was damaged and has been made anew of what could be read. */
export interface Mended {
  /** When, by the wall clock of that moment. */
  readonly atMs: number;
  /** What was wrong, where the damaged file is, and what came over. */
  readonly note: string;
}

/** The mark under which it is remembered: the operator may look days and restarts later. */
export const MENDED = 'mended';

/** Null where there was none, or the mark is damaged itself. */
export function mendedIn(mark: string | null): Mended | null {
  try {
    const { atMs, note } = JSON.parse(mark ?? '{}');
    return typeof atMs === 'number' && typeof note === 'string' ? { atMs, note } : null;
  } catch {
    return null;
  }
}
