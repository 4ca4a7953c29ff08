/** What will not reach the hub, and why: as it is noted, and as the ledger keeps it (see ledger.ts). */

/**
 * 'unassigned': numbers set aside for messages that, when the box stopped without warning, had no receipt or were at the
 * hub. 'forgotten': the hub lost what it had acknowledged, and the box kept it no more.
 */
export type Reason =
  | 'evicted'
  | 'expired'
  | 'refused'
  | 'undecodable'
  | 'corrupt'
  | 'oversize'
  | 'unassigned'
  | 'forgotten';

/** Records of a lane that will not reach the hub. Refused messages never got a sequence: only their count is known. */
export interface Loss {
  lane: number;
  reason: Reason;
  count: number;
  first: number | null;
  last: number | null;
  detail: string;
}

export interface LedgerRow {
  lane: string;
  reason: Reason;
  count: number;
  first: number | null;
  last: number | null;
  atMs: number;
  detail: string;
  /** Its message is in the journal, on its way to the hub. */
  declared: boolean;
}
