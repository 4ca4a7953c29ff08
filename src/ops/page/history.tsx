import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type History, type HistorySeries, type HistorySpan, historySpans } from '../api.ts';
import { bytes, count, milliseconds, percent, rate } from '../words.ts';
import { get, poll } from './box.ts';
import { Empty, Panel, Segmented } from './parts.tsx';
import { Plot } from './plot.tsx';

/** A new point of the shortest span comes every 10 s. */
const REFRESH_MS = 10_000;

const titles: Record<HistorySpan, string> = { hour: 'Hour', day: 'Day', week: 'Week' };

interface Shown {
  series: HistorySeries;
  label: string;
  format: (value: number) => string;
  atLeast: number;
}

const shown: readonly Shown[] = [
  { series: 'rateInPerS', label: 'Messages in', format: rate, atLeast: 1 },
  { series: 'rateOutPerS', label: 'Messages sent up', format: rate, atLeast: 1 },
  { series: 'depth', label: 'Waiting in all lanes', format: count, atLeast: 10 },
  { series: 'rttMs', label: 'Round trip to the hub', format: milliseconds, atLeast: 10 },
  { series: 'fsyncP99Ms', label: 'Commit, slowest 1 %', format: milliseconds, atLeast: 10 },
  { series: 'cpuShare', label: 'CPU', format: percent, atLeast: 0.25 },
  { series: 'memoryUsedBytes', label: 'Memory', format: bytes, atLeast: 64 * 1024 ** 2 },
  { series: 'rssBytes', label: 'Memory of Petiole', format: bytes, atLeast: 64 * 1024 ** 2 },
  { series: 'temperatureC', label: 'Temperature', format: (value) => `${value.toFixed(0)} °C`, atLeast: 60 },
  { series: 'diskFreeBytes', label: 'Disk free', format: bytes, atLeast: 1024 ** 2 },
];

/** How it was: the last hour, day or week. */
export function HistoryPanel(): JSX.Element {
  const [span, setSpan] = useState<HistorySpan>('hour');
  const [history, setHistory] = useState<History | null>(null);
  useEffect(
    () =>
      poll(async (signal) => {
        setHistory(await get<History>('/api/history', { span }, signal));
      }, REFRESH_MS),
    [span],
  );
  const times = useMemo(() => history?.atMs.map((atMs) => atMs / 1000) ?? [], [history]);
  // What this machine has never measured (temperature of a virtual one) has no plot.
  const plots = shown.filter(({ series }) => history?.series[series].some((value) => value !== null));
  return (
    <Panel
      title="History"
      aside={
        <Segmented
          label="Span of the history"
          value={span}
          options={historySpans.map((value) => ({ value, text: titles[value] }))}
          onChange={setSpan}
        />
      }
    >
      {plots.length === 0 ? (
        <Empty>{history === null ? 'Reading the history' : 'The first point comes within ten seconds.'}</Empty>
      ) : (
        <div class="plots">
          {plots.map(({ series, label, format, atLeast }) => (
            <Plot
              key={series}
              label={label}
              times={times}
              values={history?.series[series] ?? []}
              format={format}
              atLeast={atLeast}
            />
          ))}
        </div>
      )}
    </Panel>
  );
}
