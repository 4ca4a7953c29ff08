// biome-ignore-all lint/a11y/noNoninteractiveTabindex: the arrow keys scroll what has the focus
// biome-ignore-all lint/a11y/useSemanticElements: a table of which only some rows exist can't be a <table>
// biome-ignore-all lint/a11y/useFocusableInteractive: rows and heads are no controls, the buttons in them are
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** Height of every row: a list of thousands is drawn only where it is seen, which needs to know. */
const ROW_PX = 44;
/** Rows drawn above and below what is seen, so that a flick of the finger does not show blanks. */
const BEYOND = 10;

export interface Column<Row> {
  key: string;
  label: string;
  /** A track of grid-template-columns. */
  width: string;
  numeric?: boolean;
  /** Left out on a phone. */
  minor?: boolean;
  sorts?: boolean;
  cell: (row: Row) => ComponentChildren;
}

export interface Sorting {
  key: string;
  isDescending: boolean;
}

/** Rows from `offset` on, as far as they are known. */
export interface Window<Row> {
  offset: number;
  rows: readonly Row[];
}

/**
 * A table of any length, of which only what is seen is fetched and drawn: `onRange` says what that is. The first cell
 * of a row is a button that opens it; a click anywhere in the row does the same.
 */
export function Rows<Row>(props: {
  label: string;
  total: number;
  window: Window<Row>;
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  onRange: (from: number, to: number) => void;
  onOpen: (row: Row) => void;
}): JSX.Element {
  const { total, columns, window: known } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const measure = (): void => setScroll({ top: element.scrollTop, height: element.clientHeight });
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);
  const from = Math.max(0, Math.min(total, Math.floor(scroll.top / ROW_PX)) - BEYOND);
  const to = Math.min(total, Math.ceil((scroll.top + scroll.height) / ROW_PX) + BEYOND);
  useEffect(() => props.onRange(from, to), [from, to]);
  const tracks = (all: readonly Column<Row>[]): string => all.map(({ width }) => width).join(' ');
  const style = {
    '--columns': tracks(columns),
    '--columns-narrow': tracks(columns.filter(({ minor }) => !minor)),
    '--row': `${ROW_PX}px`,
  };
  const seen = Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
  return (
    <div
      class="rows"
      ref={frame}
      role="table"
      aria-label={props.label}
      aria-rowcount={total + 1}
      style={style}
      tabIndex={0}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {columns.map((column) => (
          <Head key={column.key} column={column} sorting={props.sorting} onSort={props.onSort} />
        ))}
      </div>
      <div class="rows-body" role="rowgroup" style={{ blockSize: `${total * ROW_PX}px` }}>
        {seen.map((index) => {
          const row = known.rows[index - known.offset];
          return (
            <BodyRow
              key={row === undefined ? `blank ${index}` : props.keyOf(row)}
              index={index}
              row={row}
              columns={columns}
              onOpen={props.onOpen}
            />
          );
        })}
      </div>
    </div>
  );
}

function BodyRow<Row>(props: {
  index: number;
  row: Row | undefined;
  columns: readonly Column<Row>[];
  onOpen: (row: Row) => void;
}): JSX.Element {
  const { index, row, columns } = props;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the button in the first cell is for the keyboard
    <div
      class="row opens"
      role="row"
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${index * ROW_PX}px)` }}
      onClick={() => row !== undefined && props.onOpen(row)}
    >
      {columns.map((column, at) => (
        <div key={column.key} class={classOf(column)} role={at === 0 ? 'rowheader' : 'cell'}>
          {row === undefined ? (
            '…'
          ) : at === 0 ? (
            <button type="button" class="row-button">
              {column.cell(row)}
            </button>
          ) : (
            column.cell(row)
          )}
        </div>
      ))}
    </div>
  );
}

function Head<Row>(props: { column: Column<Row>; sorting: Sorting; onSort: (sorting: Sorting) => void }): JSX.Element {
  const { column, sorting, onSort } = props;
  const isSorted = sorting.key === column.key;
  const sorted = isSorted ? (sorting.isDescending ? 'descending' : 'ascending') : undefined;
  return (
    <div class={classOf(column)} role="columnheader" aria-sort={sorted}>
      {column.sorts ? (
        <button
          type="button"
          class="sorts"
          // Figures are looked at from the largest, names from the first.
          onClick={() => onSort({ key: column.key, isDescending: isSorted ? !sorting.isDescending : !!column.numeric })}
        >
          {column.label}
          <span aria-hidden="true">{isSorted ? (sorting.isDescending ? ' ↓' : ' ↑') : ''}</span>
        </button>
      ) : (
        column.label
      )}
    </div>
  );
}

function classOf<Row>(column: Column<Row>): string {
  return `${column.numeric ? 'number' : ''} ${column.minor ? 'minor' : ''}`;
}
