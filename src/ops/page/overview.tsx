import type { JSX } from 'preact';
import type { StatusFrame } from '../api.ts';
import type { Problem } from '../snapshot.ts';
import { ago, clause, printable, sentences } from '../words.ts';
import { session } from './box.ts';
import { BoxCard, ClockCard, InputCard, StorageCard } from './cards.tsx';
import { frame, health } from './feed.ts';
import { HistoryPanel } from './history.tsx';
import { Lanes } from './lanes.tsx';
import { LinkCard } from './link-card.tsx';
import { Losses } from './losses.tsx';
import { useObserved } from './observed.ts';
import { Button, Panel } from './parts.tsx';
import { isSigningIn } from './sign-in.tsx';
import { StreamPanel } from './streams.tsx';

/** Newest losses on the overview; the journal's view has all that the box gives. */
const LOSSES_SHOWN = 5;
/** Longest text of an error that is shown; a hub may send text of any length. */
const MESSAGE_CHARACTERS_MAX = 500;

export function Overview(): JSX.Element {
  const status = useObserved(frame);
  const sample = useObserved(health);
  const isFirst = useObserved(session)?.firstVisit != null;
  if (status === null) return <p class="starting">Reading the status</p>;
  const { snapshot } = status;
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <Verdict status={status} />
      {isFirst && (
        <div class="panel tools">
          <p>Nobody has signed in to this box yet: its secret is shown here, for you are on it.</p>
          <Button kind="primary" icon="key" onClick={() => isSigningIn.set(true)}>
            Show the secret
          </Button>
        </div>
      )}
      <div class="cards">
        <LinkCard snapshot={snapshot} />
        <div class="stack">
          <InputCard status={status} />
          <ClockCard snapshot={snapshot} />
        </div>
        <BoxCard snapshot={snapshot} sample={sample} />
        <StorageCard snapshot={snapshot} sample={sample} />
      </div>
      <Panel title="Lanes">
        <Lanes lanes={snapshot.lanes} nowMs={snapshot.gateway.nowMs} />
      </Panel>
      <Panel title="Will not reach the hub">
        <Losses snapshot={snapshot} rowsMax={LOSSES_SHOWN} />
      </Panel>
      <StreamPanel snapshot={snapshot} />
      <HistoryPanel />
    </>
  );
}

/** The state of the box in plain words, what matters most on top; then what else is wrong, each with its cure. */
function Verdict({ status }: { status: StatusFrame }): JSX.Element {
  const { gateway } = status.snapshot;
  const sentence = printable(status.sentence, MESSAGE_CHARACTERS_MAX);
  const end = sentence.indexOf('. ') + 1;
  const [first, rest] = end === 0 ? [sentence, ''] : [sentence.slice(0, end), sentence.slice(end)];
  const told = status.sentence.toLowerCase();
  const problems = status.snapshot.problems.filter(({ message }) => !told.includes(clause(message).toLowerCase()));
  return (
    <section class="verdict" data-tone={status.tone} aria-label="State of the box">
      <p class="sentence">
        <strong>{first}</strong>
        {rest !== '' && <span>{rest}</span>}
      </p>
      {problems.length > 0 && (
        <ul class="problems" aria-label="What needs a look">
          {problems.map((problem) => (
            <ProblemItem
              key={`${problem.part} ${problem.code} ${problem.message}`}
              problem={problem}
              nowMs={gateway.nowMs}
            />
          ))}
        </ul>
      )}
    </section>
  );
}

function ProblemItem({ problem, nowMs }: { problem: Problem; nowMs: number }): JSX.Element {
  const { part, message, hint, sinceMs, severity } = problem;
  const began = sinceMs === null ? '' : ` Began ${ago(sinceMs, nowMs)}.`;
  return (
    <li data-tone={severity}>
      <strong>{printable(part)}</strong>
      {printable(sentences(message), MESSAGE_CHARACTERS_MAX)}
      <span class="soft">{began}</span>
      {hint !== '' && <span class="hint">{printable(sentences(hint), MESSAGE_CHARACTERS_MAX)}</span>}
    </li>
  );
}
