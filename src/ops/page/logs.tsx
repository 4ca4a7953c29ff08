import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { LogLevelName, LogLine, LogPage } from '../api.ts';
import { counted, printable } from '../words.ts';
import { get, poll, session } from './box.ts';
import { Icon } from './icons.tsx';
import { useObserved } from './observed.ts';
import { Button, Empty, Scroll, Search, type Tone } from './parts.tsx';

const REFRESH_MS = 1000;
/** Lines that are asked for, and drawn, at most. */
const LINES_MAX = 500;

const levels: readonly { level: LogLevelName; text: string }[] = [
  { level: 'debug', text: 'Debug and worse' },
  { level: 'info', text: 'Info and worse' },
  { level: 'warn', text: 'Warnings and worse' },
  { level: 'error', text: 'Errors' },
];

const tones: Record<LogLevelName, Tone> = {
  trace: 'quiet',
  debug: 'quiet',
  info: 'quiet',
  warn: 'degraded',
  error: 'failing',
  fatal: 'failing',
};

/** What the box has written lately, newest on top. */
export function Logs(): JSX.Element {
  const [part, setPart] = useState('');
  const [level, setLevel] = useState<LogLevelName>('info');
  const [typed, setTyped] = useState('');
  const [isHeld, setHeld] = useState(false);
  const { lines, parts, dropped } = useLog(part, level, isHeld);
  const isOperator = useObserved(session)?.role === 'operator';
  const wanted = typed.trim().toLowerCase();
  const fitting = wanted === '' ? lines : lines.filter((line) => textOf(line).includes(wanted));
  return (
    <>
      <div class="view-head">
        <h1>Logs</h1>
        {isOperator && (
          <a class="button" download href="/api/bundle">
            <Icon name="download" />
            Support bundle
          </a>
        )}
      </div>
      <div class="tools">
        <Search label="Filter by text" value={typed} onInput={setTyped} />
        <select aria-label="Part" value={part} onChange={(event) => setPart(event.currentTarget.value)}>
          <option value="">All parts</option>
          {parts.map((one) => (
            <option key={one} value={one}>
              {printable(one)}
            </option>
          ))}
        </select>
        <select
          aria-label="Level"
          value={level}
          onChange={(event) => setLevel(event.currentTarget.value as LogLevelName)}
        >
          {levels.map((one) => (
            <option key={one.level} value={one.level}>
              {one.text}
            </option>
          ))}
        </select>
        <Button icon={isHeld ? 'play' : 'pause'} pressed={isHeld} onClick={() => setHeld(!isHeld)}>
          {isHeld ? 'Go on' : 'Pause'}
        </Button>
      </div>
      <Scroll class="tail log" label="Log lines">
        {fitting.length === 0 && <Empty>No line fits.</Empty>}
        <ol>
          {fitting.map((line) => (
            <LogItem key={line.id} line={line} />
          ))}
        </ol>
      </Scroll>
      {dropped > 0 && <p class="hint">{counted(dropped, 'older line')} no longer kept in memory.</p>}
    </>
  );
}

function LogItem({ line }: { line: LogLine }): JSX.Element {
  const at = new Date(line.atMs);
  const fields = Object.entries(line.fields);
  return (
    <li data-tone={tones[line.level]}>
      <time class="soft" dateTime={at.toISOString()}>
        {at.toLocaleTimeString()}
      </time>
      <span class="level">{line.level}</span>
      <span class="soft">{printable(line.part)}</span>
      <span class="message">
        {printable(line.message, 1000)}
        {line.hint !== '' && <span class="soft"> {printable(line.hint, 500)}</span>}
        {fields.length > 0 && (
          <span class="fields mono">
            {' '}
            {printable(fields.map(([name, value]) => `${name}=${value}`).join('  '), 1000)}
          </span>
        )}
      </span>
    </li>
  );
}

function textOf({ message, part, hint, fields }: LogLine): string {
  return `${part} ${message} ${hint} ${Object.entries(fields).flat().join(' ')}`.toLowerCase();
}

interface Log {
  lines: readonly LogLine[];
  parts: readonly string[];
  dropped: number;
}

/** Newest first. Asks for what came after the last line known. */
function useLog(part: string, level: LogLevelName, isHeld: boolean): Log {
  const [log, setLog] = useState<Log>({ lines: [], parts: [], dropped: 0 });
  useEffect(() => {
    if (isHeld) return;
    let lines: readonly LogLine[] = [];
    let after = 0;
    return poll(async (signal) => {
      const query = { part, level, limit: LINES_MAX, ...(after > 0 ? { after } : {}) };
      const page = await get<LogPage>('/api/logs', query, signal);
      lines = [...page.lines.toReversed(), ...lines].slice(0, LINES_MAX);
      after = lines[0]?.id ?? after;
      setLog({ lines, parts: page.parts, dropped: page.dropped });
    }, REFRESH_MS);
  }, [part, level, isHeld]);
  return log;
}
