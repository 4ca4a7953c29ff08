import type { ComponentChildren, JSX } from 'preact';
import { fillOf, LANE_NEARLY_FULL } from '../health.ts';
import type { LaneFacts, LaneState } from '../snapshot.ts';
import { bytes, count, percent, printable, rate, sentences, span } from '../words.ts';
import { Empty, Meter, type Tone } from './parts.tsx';

const STATES: Record<LaneState, { text: string; tone: Tone }> = {
  'no-upstream': { text: 'No upstream', tone: 'quiet' },
  'waiting-for-link': { text: 'Waiting for the link', tone: 'degraded' },
  reconciling: { text: 'Reconciling', tone: 'quiet' },
  sending: { text: 'Sending', tone: 'ok' },
  idle: { text: 'All sent', tone: 'ok' },
  blocked: { text: 'Blocked', tone: 'degraded' },
  paused: { text: 'Paused', tone: 'quiet' },
};

/** Each lane with how full it is and where that leads; `action` stands beside its state. */
export function Lanes(props: {
  lanes: readonly LaneFacts[];
  nowMs: number;
  action?: (lane: LaneFacts) => ComponentChildren;
}): JSX.Element {
  if (props.lanes.length === 0) return <Empty>No lane is configured: nothing is kept.</Empty>;
  return (
    <ul class="lanes">
      {props.lanes.map((lane) => (
        <Lane key={lane.name} lane={lane} nowMs={props.nowMs} action={props.action?.(lane)} />
      ))}
    </ul>
  );
}

function Lane(props: { lane: LaneFacts; nowMs: number; action: ComponentChildren }): JSX.Element {
  const { lane, nowMs } = props;
  const { text, tone } = STATES[lane.state];
  const share = fillOf(lane);
  const fillTone = share >= LANE_NEARLY_FULL ? 'degraded' : tone === 'degraded' ? tone : 'ok';
  const fill = `${percent(share)} of ${bytes(lane.bytesMax)}`;
  const oldest = lane.oldestMs === null ? '–' : span((nowMs - lane.oldestMs) / 1000);
  return (
    <li class="lane">
      <div class="lane-head">
        <h3 class="lane-name">{printable(lane.name)}</h3>
        <span class="badge" data-tone={tone}>
          {text}
        </span>
        <span class="lane-subjects mono">{printable(lane.subjects.join('  '), 300)}</span>
        {props.action}
      </div>
      <div class="lane-fill">
        <Meter label={`Fill of lane ${lane.name}`} share={share} text={fill} tone={fillTone} />
        <span>{fill}</span>
      </div>
      <dl class="stats">
        <Stat label="Waiting" value={count(lane.depth)} />
        <Stat label="Oldest" value={oldest} />
        <Stat label="In" value={rate(lane.rateInPerS)} />
        <Stat label="Out" value={rate(lane.rateOutPerS)} />
        <Stat label="Full in" value={span(lane.timeToFullS)} />
        <Stat label="Empty in" value={span(lane.timeToEmptyS)} />
        {lane.full === 'refuse' ? (
          <Stat label="When full" value="new messages are refused" isWide />
        ) : (
          <Stat label="Goes first" value={printable(lane.dropsFirst || 'the oldest messages')} isWide />
        )}
      </dl>
      {lane.reason !== null && (
        <p class="notice" data-tone="degraded">
          {printable(sentences(lane.reason.message, lane.reason.hint), 500)}
        </p>
      )}
    </li>
  );
}

export function Stat(props: { label: string; value: ComponentChildren; isWide?: boolean }): JSX.Element {
  return (
    <div class={props.isWide ? 'wide' : ''}>
      <dt>{props.label}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}
