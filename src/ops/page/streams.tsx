import type { JSX } from 'preact';
import type { CommandsFacts, Snapshot, StreamFacts } from '../snapshot.ts';
import { count, counted, printable, sentences } from '../words.ts';
import { Panel, type Tone } from './parts.tsx';

const STREAM_STATES: Record<StreamFacts['state'], { text: string; tone: Tone }> = {
  unknown: { text: 'Not looked at yet', tone: 'quiet' },
  ok: { text: 'As it should be', tone: 'ok' },
  created: { text: 'Made by this box', tone: 'ok' },
  differs: { text: 'Not as it was asked for', tone: 'degraded' },
  missing: { text: 'Missing', tone: 'degraded' },
  refused: { text: 'Could not be made', tone: 'degraded' },
};

const COMMAND_STATES: Record<CommandsFacts['state'], { text: string; tone: Tone }> = {
  'waiting-for-link': { text: 'Waiting for the link', tone: 'quiet' },
  synchronizing: { text: 'Waiting for what the hub has out', tone: 'quiet' },
  ready: { text: 'Ready', tone: 'ok' },
  blocked: { text: 'Blocked', tone: 'degraded' },
};

/** The hub's streams that this box writes to, and those that its commands come from; nothing where there are none. */
export function StreamPanel({ snapshot }: { snapshot: Snapshot }): JSX.Element | null {
  const { streams, commands } = snapshot;
  if (streams.length === 0 && commands.length === 0) return null;
  return (
    <Panel title="Streams of the hub">
      <ul class="lanes">
        {streams.map(({ name, state, replicas, notes }) => (
          <Stream
            key={name}
            name={name}
            {...STREAM_STATES[state]}
            detail={replicas > 0 ? counted(replicas, 'replica') : ''}
            notes={notes.map(({ message, hint }) => sentences(message, hint))}
          />
        ))}
        {commands.map(({ stream, state, reason, held, pending, counters }) => (
          <Stream
            key={`commands ${stream}`}
            name={`Commands from ${stream}`}
            {...COMMAND_STATES[state]}
            detail={`${count(counters.delivered)} delivered, ${count(held)} in hand, ${count(pending)} at the hub`}
            notes={reason === null ? [] : [sentences(reason.message, reason.hint)]}
          />
        ))}
      </ul>
    </Panel>
  );
}

function Stream(props: { name: string; text: string; tone: Tone; detail: string; notes: string[] }): JSX.Element {
  return (
    <li class="lane">
      <div class="lane-head">
        <h3 class="lane-name">{printable(props.name)}</h3>
        <span class="badge" data-tone={props.tone}>
          {props.text}
        </span>
        <span class="soft">{props.detail}</span>
      </div>
      {props.notes.map((note) => (
        <p key={note} class="notice" data-tone={props.tone === 'degraded' ? 'degraded' : 'quiet'}>
          {printable(note, 500)}
        </p>
      ))}
    </li>
  );
}
