import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { ConfigApply, ConfigCheck, ConfigProblem, ConfigState, ConfigTrial } from '../api.ts';
import { printable, sentences } from '../words.ts';
import { post } from './box.ts';
import { difference } from './difference.ts';
import { frame } from './feed.ts';
import { useObserved } from './observed.ts';
import { Button, Complaint, Field, Panel, Scroll, useAction } from './parts.tsx';

const trialTimes = [10, 30, 60, 120, 300, 600] as const;

/** An edited copy of the file: checked, shown against what is there, and applied on trial. */
export function Editor({ config, onApplied }: { config: ConfigState; onApplied: () => void }): JSX.Element {
  const [text, setText] = useState(config.text);
  const [check, setCheck] = useState<{ text: string; result: ConfigCheck } | null>(null);
  const [confirmS, setConfirmS] = useState(60);
  const area = useRef<HTMLTextAreaElement>(null);
  const action = useAction();
  const trial = useObserved(frame)?.trial ?? null;
  const isOnTrial = trial !== null && (trial.state === 'applying' || trial.state === 'watching');
  // What was checked is what may be applied: another keystroke asks for another check.
  const checked = check?.text === text ? check.result : null;
  const isChanged = text !== config.text;
  const copy = { text, revision: config.revision };
  const look = (): void =>
    void action.run(async () => setCheck({ text, result: await post<ConfigCheck>('/api/config/check', copy) }));
  const apply = (): void =>
    void action.run(async () => {
      await post<ConfigTrial>('/api/config/apply', { ...copy, confirmS } satisfies ConfigApply);
      onApplied();
      // The countdown stands on top of the page.
      scrollTo(0, 0);
    });
  const goTo = (line: number): void => {
    const element = area.current;
    if (element === null) return;
    const before = text
      .split('\n')
      .slice(0, line - 1)
      .join('\n');
    const start = before.length + (line > 1 ? 1 : 0);
    const end = text.indexOf('\n', start);
    element.focus();
    element.setSelectionRange(start, end === -1 ? text.length : end);
    element.scrollTop = (line - 4) * Number.parseFloat(getComputedStyle(element).lineHeight);
  };
  return (
    <Panel title={config.file === '' ? 'New configuration' : printable(config.file, 200)}>
      <div class="form">
        {config.readOnly && <Complaint error={config.readOnly} />}
        <Field label="Configuration" hint="Secrets show as [redacted]; what is left so keeps its value.">
          {(id) => (
            <textarea
              id={id}
              ref={area}
              class="editor"
              spellcheck={false}
              autocapitalize="off"
              wrap="off"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          )}
        </Field>
        <Complaint error={action.error} />
        {checked !== null && <Findings check={checked} before={config.text} after={text} onLine={goTo} />}
        <div class="tools">
          <Button disabled={!isChanged || action.busy} onClick={() => setText(config.text)}>
            Undo all
          </Button>
          <span class="buttons push">
            {checked?.isValid && (
              <select
                aria-label="Time to come back"
                value={confirmS}
                onChange={(event) => setConfirmS(Number(event.currentTarget.value))}
              >
                {trialTimes.map((seconds) => (
                  <option key={seconds} value={seconds}>
                    {seconds < 120 ? `${seconds} s` : `${seconds / 60} min`} on trial
                  </option>
                ))}
              </select>
            )}
            <Button disabled={!isChanged || action.busy} onClick={look}>
              Check
            </Button>
            <Button
              kind="primary"
              disabled={!checked?.isValid || action.busy || isOnTrial || config.readOnly !== null}
              onClick={apply}
            >
              Apply on trial
            </Button>
          </span>
        </div>
      </div>
    </Panel>
  );
}

function Findings(props: {
  check: ConfigCheck;
  before: string;
  after: string;
  onLine: (line: number) => void;
}): JSX.Element {
  const { check } = props;
  const words = check.isValid
    ? `This is a valid configuration${check.restarts ? '; connections will be dropped by it' : ''}`
    : 'This configuration would not be taken';
  return (
    <div class="form" role="status">
      <p class="notice" data-tone={check.isValid ? (check.restarts ? 'degraded' : 'ok') : 'failing'}>
        {sentences(words)}
      </p>
      {check.problems.length > 0 && (
        <ul class="problems" aria-label="What is wrong">
          {check.problems.map((problem) => (
            <ProblemItem key={`${problem.path} ${problem.message}`} problem={problem} onLine={props.onLine} />
          ))}
        </ul>
      )}
      {check.changes.length > 0 && (
        <Scroll label="What changes">
          <table class="origins">
            <thead>
              <tr>
                <th scope="col">Setting</th>
                <th scope="col">Now</th>
                <th scope="col">Then</th>
              </tr>
            </thead>
            <tbody>
              {check.changes.map(({ path, before, after }) => (
                <tr key={path}>
                  <th scope="row">{printable(path, 200)}</th>
                  <td class="mono">{printable(before ?? 'not set', 300)}</td>
                  <td class="mono">{printable(after ?? 'not set', 300)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <Difference before={props.before} after={props.after} />
    </div>
  );
}

function ProblemItem({ problem, onLine }: { problem: ConfigProblem; onLine: (line: number) => void }): JSX.Element {
  const { path, line, severity, message, hint } = problem;
  return (
    <li data-tone={severity === 'error' ? 'failing' : 'degraded'}>
      <strong>{printable(path, 200) || 'file'}</strong>
      {printable(sentences(message), 500)}{' '}
      {line !== null && (
        <button type="button" class="link" onClick={() => onLine(line)}>
          Line {line}
        </button>
      )}
      {hint !== '' && <span class="hint">{printable(sentences(hint), 500)}</span>}
    </li>
  );
}

const MARKS = { same: ' ', gone: '−', new: '+' } as const;

function Difference({ before, after }: { before: string; after: string }): JSX.Element {
  return (
    <Scroll class="difference mono" label="Difference of the file">
      {difference(before, after).map((line, at) =>
        line === null ? (
          <span key={at} class="left-out">
            …
          </span>
        ) : (
          <span key={at} class={line.kind}>
            {`${MARKS[line.kind]} ${line.text}`}
          </span>
        ),
      )}
    </Scroll>
  );
}
