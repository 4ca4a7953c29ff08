import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { DrainOrder, JournalState } from '../api.ts';
import type { LaneFacts } from '../snapshot.ts';
import { printable, span } from '../words.ts';
import { get, poll, post, queryOf, session } from './box.ts';
import { frame } from './feed.ts';
import { Icon } from './icons.tsx';
import { Lanes } from './lanes.tsx';
import { Losses } from './losses.tsx';
import { useObserved } from './observed.ts';
import { Button, Complaint, Field, Panel, useAction } from './parts.tsx';

const REFRESH_MS = 2000;
/** As the box gives them at most. */
const LEDGER_ROWS = 100;

const pauses = [
  { forS: 0, text: 'until it is resumed' },
  { forS: 600, text: 'for 10 minutes' },
  { forS: 3600, text: 'for an hour' },
  { forS: 86_400, text: 'for a day' },
] as const;

/** What is kept, what was lost, and the way up: held and let go. */
export function Journal(): JSX.Element {
  const status = useObserved(frame);
  const isOperator = useObserved(session)?.role === 'operator';
  const [journal, setJournal] = useState<JournalState | null>(null);
  const [forS, setForS] = useState(0);
  const action = useAction();
  useEffect(() => poll(async (signal) => setJournal(await get('/api/journal', {}, signal)), REFRESH_MS), []);
  if (status === null) return <p class="starting">Reading the status</p>;
  const order = (what: 'pause' | 'resume', lane: string): void =>
    void action.run(async () => {
      const body: DrainOrder = what === 'pause' ? { lane, forS } : { lane };
      const drain = await post<JournalState['drain']>(`/api/drain/${what}`, body);
      setJournal((before) => before && { ...before, drain });
    });
  const { snapshot } = status;
  const lanes = journal?.lanes ?? snapshot.lanes;
  const drain = journal?.drain ?? null;
  const isPaused = (name: string): boolean => !!drain?.paused.some(({ lane }) => lane === name || lane === '*');
  const control = (lane: LaneFacts): JSX.Element | null => {
    if (!isOperator || drain === null) return null;
    const paused = isPaused(lane.name);
    return (
      <Button
        icon={paused ? 'play' : 'pause'}
        disabled={action.busy}
        label={`${paused ? 'Resume' : 'Pause'} lane ${lane.name}`}
        onClick={() => order(paused ? 'resume' : 'pause', lane.name)}
      >
        {paused ? 'Resume' : 'Pause'}
      </Button>
    );
  };
  return (
    <>
      <div class="view-head">
        <h1>Journal</h1>
      </div>
      {drain !== null && (
        <Drain
          drain={drain}
          canChange={isOperator}
          busy={action.busy}
          forS={forS}
          onForS={setForS}
          onOrder={(what) => order(what, '*')}
        />
      )}
      <Complaint error={action.error} />
      <Panel title="Lanes">
        <Lanes lanes={lanes} nowMs={snapshot.gateway.nowMs} action={control} />
      </Panel>
      <Panel title="Will not reach the hub">
        <Losses
          snapshot={journal === null ? snapshot : { ...snapshot, ledger: journal.ledger }}
          rowsMax={LEDGER_ROWS}
        />
      </Panel>
      {isOperator && <Export lanes={lanes} />}
    </>
  );
}

function Drain(props: {
  drain: NonNullable<JournalState['drain']>;
  canChange: boolean;
  busy: boolean;
  forS: number;
  onForS: (forS: number) => void;
  onOrder: (what: 'pause' | 'resume') => void;
}): JSX.Element {
  const { paused, windows, windowOpen } = props.drain;
  const isAllPaused = paused.some(({ lane }) => lane === '*');
  const state = isAllPaused
    ? 'Everything is held here.'
    : paused.length > 0
      ? 'Some lanes are held here.'
      : windowOpen
        ? 'What is kept goes up as the link allows.'
        : 'What is kept waits for the next window.';
  return (
    <Panel title="Way up to the hub">
      <p>{state}</p>
      {paused.length > 0 && (
        <ul class="held">
          {paused.map(({ lane, by, leftMs }) => (
            <li key={lane}>
              <strong>{lane === '*' ? 'All lanes' : printable(lane)}</strong> paused by {printable(by)},{' '}
              {leftMs === null ? 'until it is resumed' : `${span(leftMs / 1000)} left`}
            </li>
          ))}
        </ul>
      )}
      {windows.length > 0 && <p class="hint">Windows: {printable(windows.join(', '), 300)}</p>}
      {props.canChange && (
        <div class="tools spaced">
          <select
            aria-label="How long a pause lasts"
            value={props.forS}
            onChange={(event) => props.onForS(Number(event.currentTarget.value))}
          >
            {pauses.map(({ forS, text }) => (
              <option key={forS} value={forS}>
                Pause {text}
              </option>
            ))}
          </select>
          <Button icon="pause" disabled={props.busy || isAllPaused} onClick={() => props.onOrder('pause')}>
            Pause all
          </Button>
          <Button icon="play" disabled={props.busy || paused.length === 0} onClick={() => props.onOrder('resume')}>
            Resume all
          </Button>
        </div>
      )}
    </Panel>
  );
}

function Export({ lanes }: { lanes: readonly LaneFacts[] }): JSX.Element {
  const [lane, setLane] = useState(lanes[0]?.name ?? '');
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  const digits = (text: string): string => text.replace(/\D/g, '').slice(0, 16);
  return (
    <Panel title="Export">
      <p class="hint">What waits in a lane as JSON lines, with payloads in base64. It stays in the journal.</p>
      <div class="export">
        <Field label="Lane">
          {(id) => (
            <select id={id} value={lane} onChange={(event) => setLane(event.currentTarget.value)}>
              {lanes.map(({ name }) => (
                <option key={name} value={name}>
                  {printable(name)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="From sequence">
          {(id) => (
            <input
              id={id}
              inputMode="numeric"
              placeholder="first"
              value={from}
              onInput={(event) => setFrom(digits(event.currentTarget.value))}
            />
          )}
        </Field>
        <Field label="To sequence">
          {(id) => (
            <input
              id={id}
              inputMode="numeric"
              placeholder="last"
              value={to}
              onInput={(event) => setTo(digits(event.currentTarget.value))}
            />
          )}
        </Field>
        <a class="button" download href={`/api/journal/export${queryOf({ lane, from, to })}`}>
          <Icon name="download" />
          Download
        </a>
      </div>
    </Panel>
  );
}
