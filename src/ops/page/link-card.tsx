import type { JSX } from 'preact';
import type { LinkState, Snapshot } from '../snapshot.ts';
import { ago, bytes, count, milliseconds, printable, sentences, span } from '../words.ts';
import { Facts, Panel, State, type Tone } from './parts.tsx';

const STATES: Record<LinkState, { text: string; tone: Tone }> = {
  off: { text: 'No upstream', tone: 'quiet' },
  connecting: { text: 'Connecting', tone: 'quiet' },
  up: { text: 'Connected', tone: 'ok' },
  waiting: { text: 'Offline', tone: 'degraded' },
  stopped: { text: 'Stopped', tone: 'degraded' },
};

export function LinkCard({ snapshot }: { snapshot: Snapshot }): JSX.Element {
  const { link, gateway } = snapshot;
  const { text, tone } = STATES[link.state];
  const { hub, lastError } = link;
  const age = link.sinceMs === null ? '' : ` for ${span((gateway.nowMs - link.sinceMs) / 1000)}`;
  const dropped = Object.values(link.drops).reduce((sum, drops) => sum + drops, 0);
  return (
    <Panel title="Link to the hub" class="card">
      <State tone={tone}>{text + (link.state === 'off' ? '' : age)}</State>
      <Facts
        facts={[
          hub && { label: 'Hub', value: printable(`${hub.serverName} ${hub.version}`.trim()) },
          hub?.cluster && { label: 'Cluster', value: printable(hub.cluster) },
          // The one that hubs without accounts have is not worth a line.
          hub && hub.remoteAccount !== '$G' && { label: 'Account', value: printable(hub.remoteAccount) },
          link.url !== '' && { label: 'Address', value: printable(link.url) },
          link.retryInMs !== null && { label: 'Next attempt in', value: span(Math.ceil(link.retryInMs / 1000)) },
          link.state !== 'off' && { label: 'Last PubAck', value: ago(link.lastPubAckMs, gateway.nowMs) },
          link.state !== 'off' && { label: 'Round trip', value: milliseconds(link.rttMs) },
          link.state !== 'off' && { label: 'Sent', value: `${count(link.messagesOut)} (${bytes(link.bytesOut)})` },
          link.state !== 'off' && { label: 'Received', value: `${count(link.messagesIn)} (${bytes(link.bytesIn)})` },
          link.state !== 'off' && { label: 'Reconnects', value: count(link.reconnects) },
          dropped > 0 && { label: 'Dropped live', value: count(dropped) },
        ].map((fact) => fact || null)}
      />
      {/* What keeps the link down stands on top of the page; while it is up, this limits it. */}
      {lastError !== null && link.state === 'up' && (
        <p class="notice" data-tone="quiet">
          {printable(sentences(lastError.message, lastError.hint), 500)}
        </p>
      )}
    </Panel>
  );
}
