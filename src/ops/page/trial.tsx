import type { JSX } from 'preact';
import { printable, span } from '../words.ts';
import { post, session } from './box.ts';
import { frame } from './feed.ts';
import { useObserved } from './observed.ts';
import { Button, Complaint, useAction } from './parts.tsx';

/** A configuration on trial, on top of every view: whoever looks has to know that it may go back. */
export function TrialNotice(): JSX.Element | null {
  const status = useObserved(frame);
  const action = useAction();
  const trial = status?.trial ?? null;
  if (status === null || trial === null || trial.state === 'kept' || trial.state === 'reverted') return null;
  const leftS = Math.max(0, Math.ceil((trial.untilMs - status.snapshot.gateway.nowMs) / 1000));
  const missing = trial.missing.map((what) => printable(what));
  return (
    <section class="panel trial" aria-label="Configuration on trial">
      <div class="tools">
        <div>
          <h2>New configuration on trial</h2>
          <p>
            {missing.length === 0
              ? 'Everything that was healthy is back; it will be kept.'
              : `Not back yet: ${missing.join(', ')}.`}
          </p>
        </div>
        <p class="countdown" role="timer" aria-label="Until the old configuration returns">
          {span(leftS)}
        </p>
      </div>
      <p class="hint">Unless everything comes back in this time, the old configuration returns by itself.</p>
      {session.value?.role === 'operator' && (
        <div class="buttons">
          <Button disabled={action.busy} onClick={() => void action.run(() => post('/api/config/revert', {}))}>
            Go back now
          </Button>
          <Button disabled={action.busy} onClick={() => void action.run(() => post('/api/config/keep', {}))}>
            Keep it as it is
          </Button>
        </div>
      )}
      <Complaint error={action.error} />
    </section>
  );
}
