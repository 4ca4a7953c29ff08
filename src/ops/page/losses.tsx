import type { JSX } from 'preact';
import { lossReasons, type Snapshot } from '../snapshot.ts';
import { ago, count, printable } from '../words.ts';
import { Empty, Scroll } from './parts.tsx';

/** What will not reach the hub: the sums, and the newest rows of the ledger. */
export function Losses({ snapshot, rowsMax }: { snapshot: Snapshot; rowsMax: number }): JSX.Element {
  const { losses, ledger, gateway } = snapshot;
  const reasons = lossReasons.filter((reason) => losses[reason] > 0);
  if (reasons.length === 0 && ledger.length === 0) return <Empty>Nothing lost.</Empty>;
  return (
    <>
      <ul class="badges" aria-label="Messages lost, by reason">
        {reasons.map((reason) => (
          <li key={reason} class="badge" data-tone="degraded">
            {count(losses[reason])} {reason}
          </li>
        ))}
      </ul>
      {ledger.length > 0 && (
        <Scroll label="Ledger">
          <table>
            <thead>
              <tr>
                <th scope="col">Lane</th>
                <th scope="col">Reason</th>
                <th scope="col" class="number">
                  Messages
                </th>
                <th scope="col" class="number">
                  Sequences
                </th>
                <th scope="col">When</th>
                <th scope="col">Told the hub</th>
              </tr>
            </thead>
            <tbody>
              {ledger.slice(0, rowsMax).map((row) => (
                <tr key={`${row.lane} ${row.reason} ${row.firstSequence ?? ''} ${row.atMs}`}>
                  <th scope="row">{printable(row.lane)}</th>
                  <td>{row.reason}</td>
                  <td class="number">{count(row.count)}</td>
                  <td class="number">{sequences(row.firstSequence, row.lastSequence)}</td>
                  <td class="nowrap">{ago(row.atMs, gateway.nowMs)}</td>
                  <td>{row.synced ? 'yes' : 'not yet'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {ledger.length > rowsMax && (
        <p class="hint">
          <a href="#/journal">All of the ledger</a> is under Journal.
        </p>
      )}
    </>
  );
}

function sequences(first: number | null, last: number | null): string {
  if (first === null) return '–';
  return last === null || last === first ? String(first) : `${first}–${last}`;
}
