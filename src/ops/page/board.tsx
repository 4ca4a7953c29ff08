import type { JSX } from 'preact';
import type { BoardFacts, EntityFacts } from '../snapshot.ts';
import { ago, count, printable, span } from '../words.ts';
import { Stat } from './lanes.tsx';
import { Empty, Scroll } from './parts.tsx';

/** Longest value of an entity that is shown; a board may send a string of any length. */
const VALUE_CHARACTERS_MAX = 80;

/** The microcontroller at the other end of a bridge, with its entities and what each said last. */
export function Board({ port, board, nowMs }: { port: string; board: BoardFacts; nowMs: number }): JSX.Element {
  const causes = Object.entries(board.counters).filter(([, n]) => n > 0);
  const isAsleep = board.sleepsUntilMs !== null && board.sleepsUntilMs > nowMs;
  return (
    <div class="spaced">
      <div class="panel-head">
        <h3>Board {printable(board.identity)}</h3>
        <span class="badge" data-tone={board.isThere ? (isAsleep ? 'quiet' : 'ok') : 'degraded'}>
          {board.isThere ? (isAsleep ? 'Asleep' : 'There') : 'Silent'}
        </span>
      </div>
      <dl class="stats">
        <Stat label="Hardware" value={printable(board.hardware) || '–'} />
        <Stat label="Firmware" value={printable(`${board.firmware} ${board.version}`.trim()) || '–'} />
        {board.isOnTrial && <Stat label="Firmware is" value="on trial" />}
        <Stat label="Up" value={span(board.uptimeMs / 1000)} />
        <Stat label="Resets seen" value={count(board.resets)} />
        <Stat label="Last reset" value={printable(board.resetReason) || '–'} />
        <Stat label="Lost on the board" value={count(board.lost)} />
      </dl>
      {causes.length > 0 && (
        <ul class="badges spaced" aria-label="What went wrong on its line">
          {causes.map(([cause, n]) => (
            <li key={cause} class="badge" data-tone="quiet">
              {count(n)} {printable(cause)}
            </li>
          ))}
        </ul>
      )}
      <Entities port={port} entities={board.entities} nowMs={nowMs} />
    </div>
  );
}

function Entities(props: { port: string; entities: readonly EntityFacts[]; nowMs: number }): JSX.Element {
  if (props.entities.length === 0) return <Empty>The board has described no entity.</Empty>;
  return (
    <Scroll class="scroll spaced" label={`Entities of the board on ${props.port}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Entity</th>
            <th scope="col">Value</th>
            <th scope="col">Last seen</th>
            <th scope="col">Type</th>
          </tr>
        </thead>
        <tbody>
          {props.entities.map(({ name, unit, type, isWritable, value, atMs }) => (
            <tr key={name}>
              <th scope="row">{printable(name)}</th>
              <td class="mono">
                {atMs === null ? '–' : printable(`${textOf(value)} ${unit}`.trim(), VALUE_CHARACTERS_MAX)}
              </td>
              <td class="nowrap">{ago(atMs, props.nowMs)}</td>
              <td>
                {printable(type)}
                {isWritable && ', may be written'}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '–');
}
