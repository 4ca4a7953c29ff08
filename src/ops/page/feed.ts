import type { HealthSample, StatusFrame } from '../api.ts';
import { learnSession, session } from './box.ts';
import { Observed } from './observed.ts';

/** How long we wait after a refusal (too many pages, a session that has ended); otherwise the browser asks by itself. */
const REOPEN_MS = 5000;

/** What the box said last of itself; null until it has. */
export const frame = new Observed<StatusFrame | null>(null);
export const health = new Observed<HealthSample | null>(null);

export interface FeedState {
  isLive: boolean;
  text: string;
}
export const feedState = new Observed<FeedState>({ isLive: false, text: 'Connecting' });

let source: EventSource | null = null;
let reopening = 0;
let lastSeen: Date | null = null;

function open(): void {
  clearTimeout(reopening);
  const role = session.value?.role ?? 'none';
  if (source !== null || document.hidden || role === 'none') return;
  source = new EventSource('/api/events?topics=status,health');
  source.addEventListener('status', (event) => {
    lastSeen = new Date();
    frame.set(JSON.parse(event.data));
    feedState.set({ isLive: true, text: 'Live' });
  });
  source.addEventListener('health', (event) => health.set(JSON.parse(event.data)));
  source.addEventListener('bye', lost);
  source.addEventListener('error', lost);
}

function lost(): void {
  const since = lastSeen === null ? '' : ` since ${lastSeen.toLocaleTimeString()}`;
  feedState.set({ isLive: false, text: `No answer from the box${since}; trying again` });
  if (source?.readyState !== EventSource.CLOSED) return;
  close();
  clearTimeout(reopening);
  reopening = setTimeout(() => {
    // It may be the session that has ended, and not the box.
    learnSession().then(open, lost);
  }, REOPEN_MS);
}

function close(): void {
  source?.close();
  source = null;
}

/** A page nobody sees costs the box nothing. */
export function startFeed(): void {
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  addEventListener('pageshow', open);
  session.watch(() => {
    if (session.value?.role === 'none') {
      close();
      frame.set(null);
      health.set(null);
    } else {
      open();
    }
  });
  open();
}
