import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { SerialState } from '../api.ts';
import type { SerialPortFacts, SerialPortState } from '../snapshot.ts';
import { ago, bytes, count, counted, printable, sentences, span } from '../words.ts';
import { Board } from './board.tsx';
import { get, poll, session } from './box.ts';
import { frame } from './feed.ts';
import { Icon } from './icons.tsx';
import { Stat } from './lanes.tsx';
import { useObserved } from './observed.ts';
import { Button, Empty, Panel, Scroll, type Tone } from './parts.tsx';
import { Recorder, Sniffer } from './sniffer.tsx';

const REFRESH_MS = 2000;

const STATES: Record<SerialPortState, { text: string; tone: Tone }> = {
  closed: { text: 'Closed', tone: 'quiet' },
  opening: { text: 'Opening', tone: 'quiet' },
  open: { text: 'Open', tone: 'ok' },
  absent: { text: 'Unplugged', tone: 'degraded' },
  waiting: { text: 'Waiting to open', tone: 'degraded' },
};

/** The ports with what came in, what was thrown away and why, and what was on the line. */
export function Serial(): JSX.Element {
  const status = useObserved(frame);
  const [ports, setPorts] = useState<SerialPortFacts[] | null>(null);
  useEffect(
    () =>
      poll(async (signal) => {
        setPorts((await get<SerialState>('/api/serial', {}, signal)).ports);
      }, REFRESH_MS),
    [],
  );
  const nowMs = status?.snapshot.gateway.nowMs ?? 0;
  const all = ports ?? status?.snapshot.serial ?? [];
  return (
    <>
      <div class="view-head">
        <h1>Serial</h1>
        <p class="soft">{all.length > 0 && counted(all.length, 'port')}</p>
      </div>
      {all.length === 0 && (
        <section class="panel" aria-label="Serial ports">
          <Empty>No serial port is configured: name one under serial in the settings.</Empty>
        </section>
      )}
      {all.map((port) => (
        <Port key={port.name} port={port} nowMs={nowMs} />
      ))}
    </>
  );
}

function Port({ port, nowMs }: { port: SerialPortFacts; nowMs: number }): JSX.Element {
  const { text, tone } = STATES[port.state];
  const [shown, setShown] = useState<'nothing' | 'recorder' | 'line'>('nothing');
  const isOperator = useObserved(session)?.role === 'operator';
  const causes = [...Object.entries(port.discarded), ...Object.entries(port.faults)].filter(([, n]) => n > 0);
  const toggle = (what: 'recorder' | 'line') => (): void => setShown(shown === what ? 'nothing' : what);
  return (
    <Panel
      title={printable(port.name)}
      aside={
        <span class="badge" data-tone={port.isFlooding ? 'degraded' : tone}>
          {port.isFlooding ? 'Flooding' : text}
        </span>
      }
    >
      <dl class="stats">
        <Stat label="Device node" value={printable(port.node || '–')} />
        <Stat label="Last seen" value={ago(port.lastSeenMs, nowMs)} />
        <Stat label="Bytes in" value={bytes(port.bytesIn)} />
        <Stat label="Frames" value={count(port.frames)} />
        <Stat label="Messages" value={count(port.messagesIn)} />
        <Stat label="Filtered" value={count(port.filtered)} />
        <Stat label="Undecodable" value={count(port.undecodable)} />
        <Stat label="Bytes discarded" value={bytes(port.discardedBytes)} />
        {port.kind === 'modbus' && (
          <Stat label="Polls unanswered" value={`${count(port.pollsUnanswered)} of ${count(port.polls)}`} />
        )}
        {port.commands > 0 && (
          <Stat label="Commands failed" value={`${count(port.commandsFailed)} of ${count(port.commands)}`} />
        )}
        <Stat label="Times opened" value={count(port.opens)} />
        {port.refused > 0 && <Stat label="Refused by lane" value={count(port.refused)} />}
      </dl>
      {causes.length > 0 && (
        <ul class="badges spaced" aria-label="Why bytes were thrown away">
          {causes.map(([cause, n]) => (
            <li key={cause} class="badge" data-tone="degraded">
              {count(n)} {printable(cause)}
            </li>
          ))}
        </ul>
      )}
      {port.lastError !== null && port.state !== 'open' && (
        <p class="notice spaced" data-tone="degraded">
          {printable(sentences(port.lastError.message, port.lastError.hint), 500)}
          {port.retryInMs !== null && ` Next attempt in ${span(Math.ceil(port.retryInMs / 1000))}.`}
        </p>
      )}
      {port.swap !== '' && (
        <p class="notice spaced" data-tone="degraded">
          The device here speaks like that of the port {printable(port.swap)}: two plugs may be swapped.
        </p>
      )}
      {port.refusedSettings !== '' && (
        <p class="hint spaced">Not taken by the driver: {printable(port.refusedSettings)}</p>
      )}
      {port.board !== null && <Board port={port.name} board={port.board} nowMs={nowMs} />}
      {port.units.length > 0 && <Units port={port} nowMs={nowMs} />}
      <div class="buttons spaced">
        <Button pressed={shown === 'recorder'} onClick={toggle('recorder')}>
          Flight recorder{port.captures > 0 && ` (${count(port.captures)})`}
        </Button>
        {isOperator && (
          <Button pressed={shown === 'line'} onClick={toggle('line')}>
            Watch the line
          </Button>
        )}
        <a class="button" download href={`/api/serial/${encodeURIComponent(port.name)}/capture`}>
          <Icon name="download" />
          Capture
        </a>
      </div>
      {shown === 'recorder' && <Recorder port={port.name} captures={port.captures} />}
      {shown === 'line' && <Sniffer port={port.name} />}
    </Panel>
  );
}

const UNIT_STATES = {
  unknown: { text: 'Not asked yet', tone: 'quiet' },
  answers: { text: 'Answers', tone: 'ok' },
  silent: { text: 'Silent', tone: 'degraded' },
} as const;

function Units({ port, nowMs }: { port: SerialPortFacts; nowMs: number }): JSX.Element {
  return (
    <Scroll class="scroll spaced" label={`Modbus units of ${port.name}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Unit</th>
            <th scope="col">State</th>
            <th scope="col">Last seen</th>
            <th scope="col" class="number">
              Requests
            </th>
            <th scope="col" class="number">
              Failures
            </th>
            <th scope="col">Last error</th>
          </tr>
        </thead>
        <tbody>
          {port.units.map((unit) => (
            <tr key={unit.unit}>
              <th scope="row">
                {unit.unit} {printable(unit.name)}
              </th>
              <td>
                <span class="badge" data-tone={UNIT_STATES[unit.state].tone}>
                  {UNIT_STATES[unit.state].text}
                </span>
              </td>
              <td class="nowrap">{ago(unit.lastSeenMs, nowMs)}</td>
              <td class="number">{count(unit.requests)}</td>
              <td class="number">{count(unit.failures)}</td>
              <td>{printable(unit.lastError) || '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
