import type { JSX } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Device, DeviceKind, DevicePage } from '../api.ts';
import { ago, count, counted, printable, rate } from '../words.ts';
import { get, poll } from './box.ts';
import { DeviceDialog } from './device-dialog.tsx';
import { Empty, Search, type Tone } from './parts.tsx';
import { type Column, Rows, type Sorting } from './rows.tsx';

const REFRESH_MS = 2000;
/** Typing is over after this; each search asks the box. */
const TYPING_MS = 150;
/** Rows asked for beyond those that are drawn. */
const AHEAD = 30;

export const kindWords: Record<DeviceKind, string> = {
  mqtt: 'MQTT',
  nats: 'NATS',
  serial: 'Serial port',
  board: 'Board',
  entity: 'Entity',
  unit: 'Modbus unit',
};

export const stateWords: Record<Device['state'], { text: string; tone: Tone }> = {
  connected: { text: 'Connected', tone: 'ok' },
  silent: { text: 'Silent', tone: 'quiet' },
  faulty: { text: 'Faulty', tone: 'degraded' },
  absent: { text: 'Absent', tone: 'degraded' },
};

/** Everything that speaks to the box. Only the rows that are seen are asked for. */
export function Devices(): JSX.Element {
  const [typed, setTyped] = useState('');
  const [kind, setKind] = useState<DeviceKind | ''>('');
  const [sorting, setSorting] = useState<Sorting>({ key: 'name', isDescending: false });
  const [page, setPage] = useState<{ offset: number; page: DevicePage } | null>(null);
  const [opened, setOpened] = useState<Device | null>(null);
  const range = useRef({ from: 0, to: 60 });
  const load = useCallback(
    async (signal?: AbortSignal) => {
      const offset = Math.max(0, range.current.from - AHEAD);
      const query = {
        q: typed.trim(),
        kind,
        sort: sorting.key,
        order: sorting.isDescending ? 'desc' : 'asc',
        offset,
        limit: Math.max(1, range.current.to - offset + AHEAD),
      };
      setPage({ offset, page: await get<DevicePage>('/api/devices', query, signal) });
    },
    [typed, kind, sorting],
  );
  useEffect(() => {
    let stop = (): void => {};
    const timer = setTimeout(() => {
      stop = poll(load, REFRESH_MS);
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [load]);
  const onRange = (from: number, to: number): void => {
    range.current = { from, to };
    if (page === null) return;
    const isKnown = from >= page.offset && to <= page.offset + page.page.devices.length;
    if (!isKnown) void load().catch(() => {});
  };
  const current = page?.page.devices.find(({ id }) => id === opened?.id) ?? opened;
  const kinds = (Object.keys(kindWords) as DeviceKind[]).filter((one) => (page?.page.byKind[one] ?? 0) > 0);
  return (
    <>
      <div class="view-head">
        <h1>Devices</h1>
        <p class="soft" role="status">
          {page && counted(page.page.total, 'device')}
        </p>
      </div>
      <div class="tools">
        <Search label="Search by name, address, user" value={typed} onInput={setTyped} />
        <select
          aria-label="Kind"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value as DeviceKind | '')}
        >
          <option value="">All kinds</option>
          {kinds.map((one) => (
            <option key={one} value={one}>
              {`${kindWords[one]} (${count(page?.page.byKind[one] ?? 0)})`}
            </option>
          ))}
        </select>
      </div>
      {page === null ? (
        <p class="starting">Reading the devices</p>
      ) : page.page.total === 0 ? (
        <section class="panel" aria-label="Devices">
          <Empty>{typed === '' && kind === '' ? 'Nothing has connected yet.' : 'No device fits.'}</Empty>
        </section>
      ) : (
        <Rows
          label="Devices"
          total={page.page.total}
          window={{ offset: page.offset, rows: page.page.devices }}
          columns={columnsAt(page.page.nowMs)}
          keyOf={({ id }) => id}
          sorting={sorting}
          onSort={setSorting}
          onRange={onRange}
          onOpen={setOpened}
        />
      )}
      {current !== null && (
        <DeviceDialog device={current} nowMs={page?.page.nowMs ?? 0} onClose={() => setOpened(null)} />
      )}
    </>
  );
}

function columnsAt(nowMs: number): readonly Column<Device>[] {
  return [
    {
      key: 'name',
      label: 'Name',
      width: 'minmax(8rem, 2.2fr)',
      sorts: true,
      cell: ({ name, id, state }) => (
        <>
          <bdi>{printable(name || id)}</bdi>
          {stateWords[state].tone === 'degraded' && (
            <span class="narrow badge" data-tone="degraded">
              {stateWords[state].text}
            </span>
          )}
        </>
      ),
    },
    {
      key: 'kind',
      label: 'Kind',
      width: 'minmax(5rem, .8fr)',
      minor: true,
      sorts: true,
      cell: ({ kind }) => kindWords[kind],
    },
    {
      key: 'state',
      label: 'State',
      width: 'minmax(6rem, .8fr)',
      minor: true,
      sorts: true,
      cell: ({ state }) => (
        <span class="badge" data-tone={stateWords[state].tone}>
          {stateWords[state].text}
        </span>
      ),
    },
    {
      key: 'remote',
      label: 'Address',
      width: 'minmax(8rem, 1.3fr)',
      minor: true,
      sorts: true,
      cell: ({ remote }) => printable(remote || '–'),
    },
    {
      key: 'lastSeenMs',
      label: 'Last seen',
      width: 'minmax(5.5rem, .9fr)',
      numeric: true,
      sorts: true,
      cell: ({ lastSeenMs }) => ago(lastSeenMs, nowMs),
    },
    {
      key: 'rateInPerS',
      label: 'Rate',
      width: 'minmax(3.5rem, .6fr)',
      numeric: true,
      sorts: true,
      cell: ({ rateInPerS }) => rate(rateInPerS),
    },
    {
      key: 'messagesIn',
      label: 'In',
      width: 'minmax(4.5rem, .8fr)',
      numeric: true,
      minor: true,
      sorts: true,
      cell: ({ messagesIn }) => count(messagesIn),
    },
    {
      key: 'messagesOut',
      label: 'Out',
      width: 'minmax(4.5rem, .8fr)',
      numeric: true,
      minor: true,
      sorts: true,
      cell: ({ messagesOut }) => count(messagesOut),
    },
    {
      key: 'errors',
      label: 'Errors',
      width: 'minmax(4rem, .6fr)',
      numeric: true,
      minor: true,
      sorts: true,
      cell: ({ errors }) => <span data-tone={errors > 0 ? 'degraded' : 'quiet'}>{count(errors)}</span>,
    },
  ];
}
