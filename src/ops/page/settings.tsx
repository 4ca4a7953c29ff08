import type { JSX } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { ConfigState, ConfigTrial, ConfigValue } from '../api.ts';
import { ago, printable, sentences } from '../words.ts';
import { get, session } from './box.ts';
import { Editor } from './editor.tsx';
import { frame } from './feed.ts';
import { useObserved } from './observed.ts';
import { Complaint, Empty, Panel, Scroll, Search, Segmented, type Tone, useAction } from './parts.tsx';

type Mode = 'values' | 'edit';

/** What is in force and where it comes from; for the operator, an edited copy of it. */
export function Settings(): JSX.Element {
  const [mode, setMode] = useState<Mode>('values');
  const [config, setConfig] = useState<ConfigState | null>(null);
  const action = useAction();
  const isOperator = useObserved(session)?.role === 'operator';
  const trial = useObserved(frame)?.trial ?? null;
  const load = useCallback(() => void action.run(async () => setConfig(await get('/api/config'))), []);
  // A trial that begins or ends changes what is in force.
  useEffect(load, [trial?.id, trial?.state]);
  return (
    <>
      <div class="view-head">
        <h1>Settings</h1>
        {isOperator && (
          <Segmented
            label="What to show"
            value={mode}
            options={[
              { value: 'values', text: 'In force' },
              { value: 'edit', text: 'Edit' },
            ]}
            onChange={setMode}
          />
        )}
      </div>
      <Complaint error={action.error} />
      {config?.last && <Outcome last={config.last} />}
      {config === null ? (
        !action.error && <p class="starting">Reading the configuration</p>
      ) : mode === 'edit' && isOperator ? (
        <Editor config={config} key={config.revision} onApplied={load} />
      ) : (
        <Values config={config} />
      )}
    </>
  );
}

/** How the last apply ended. */
function Outcome({ last }: { last: ConfigTrial }): JSX.Element | null {
  const nowMs = frame.value?.snapshot.gateway.nowMs ?? last.untilMs;
  if (last.state === 'kept') {
    return (
      <p class="notice" data-tone="ok">
        The configuration applied {ago(last.sinceMs, nowMs)} was kept.
      </p>
    );
  }
  if (last.state !== 'reverted') return null;
  return (
    <p class="notice" data-tone="degraded" role="alert">
      {sentences(
        `The configuration applied ${ago(last.sinceMs, nowMs)} was taken back`,
        printable(last.reason, 500),
        last.missing.length === 0 ? '' : `Not back were ${printable(last.missing.join(', '), 500)}`,
      )}
    </p>
  );
}

const ORIGINS: Record<ConfigValue['origin'], { text: string; tone: Tone }> = {
  default: { text: 'Default', tone: 'quiet' },
  file: { text: 'File', tone: 'ok' },
  environment: { text: 'Environment', tone: 'degraded' },
};

function Values({ config }: { config: ConfigState }): JSX.Element {
  const [typed, setTyped] = useState('');
  const [onlySet, setOnlySet] = useState(false);
  const wanted = typed.trim().toLowerCase();
  const fitting = config.values.filter(
    ({ path, value, origin }) =>
      (!onlySet || origin !== 'default') && `${path} ${value}`.toLowerCase().includes(wanted),
  );
  return (
    <Panel title={config.file === '' ? 'No configuration file' : printable(config.file, 200)}>
      <div class="tools">
        <Search label="Find a setting" value={typed} onInput={setTyped} />
        <label class="checkbox">
          <input type="checkbox" checked={onlySet} onChange={(event) => setOnlySet(event.currentTarget.checked)} />
          Only what is set
        </label>
      </div>
      {fitting.length === 0 ? (
        <Empty>No setting fits.</Empty>
      ) : (
        <Scroll class="scroll spaced" label="Settings in force">
          <table class="origins">
            <thead>
              <tr>
                <th scope="col">Setting</th>
                <th scope="col">Value</th>
                <th scope="col">From</th>
              </tr>
            </thead>
            <tbody>
              {fitting.map(({ path, value, origin, where }) => (
                <tr key={path}>
                  <th scope="row">{printable(path, 200)}</th>
                  <td class="mono">{printable(value, 300) || '–'}</td>
                  <td class="nowrap">
                    <span class="badge" data-tone={ORIGINS[origin].tone}>
                      {ORIGINS[origin].text}
                    </span>{' '}
                    <span class="soft">{printable(where)}</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}
