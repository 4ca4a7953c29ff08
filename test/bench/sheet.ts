export interface RowOptions {
  /** Digits after the point; default 0. */
  digits?: number;
  /** What Petiole must reach. */
  atLeast?: number;
  atMost?: number;
}

interface Row {
  label: string;
  options: RowOptions;
  /** By contender: the value of each repeat. */
  cells: Map<string, number[]>;
}

const TARGET_OF = 'petiole';

/**
 * The one table of the benchmark: a row for each figure, a column for each contender, sections for the phases. What was
 * measured more than once is shown as its median, with how far the repeats spread around it.
 */
export class Sheet {
  readonly #sections = new Map<string, Row[]>();
  readonly #columns: string[] = [];

  set(section: string, label: string, contender: string, value: number, options: RowOptions = {}): void {
    if (!this.#columns.includes(contender)) this.#columns.push(contender);
    const rows = this.#sections.get(section) ?? [];
    this.#sections.set(section, rows);
    let row = rows.find((known) => known.label === label);
    if (row === undefined) {
      row = { label, options, cells: new Map() };
      rows.push(row);
    }
    const values = row.cells.get(contender);
    if (values === undefined) row.cells.set(contender, [value]);
    else values.push(value);
  }

  /** The section of a phase: what its name begins with, up to the colon; '' where there is none. */
  sectionOf(phase: string): string {
    return [...this.#sections.keys()].find((section) => section.startsWith(`${phase}:`)) ?? '';
  }

  /** The median of what was measured; undefined where nothing was. */
  get(section: string, label: string, contender: string): number | undefined {
    const row = this.#sections.get(section)?.find((known) => known.label === label);
    return median(row?.cells.get(contender));
  }

  /** Rows of Petiole that miss what they must reach. */
  missed(): string[] {
    return [...this.#sections].flatMap(([section, rows]) =>
      rows.filter((row) => verdict(row) === 'MISSED').map((row) => `${section}: ${row.label}`),
    );
  }

  toString(): string {
    const lines: string[][] = [['', ...this.#columns, 'must reach']];
    for (const [section, rows] of this.#sections) {
      lines.push([section]);
      for (const row of rows) {
        const cells = this.#columns.map((column) => cell(row.cells.get(column), row.options.digits ?? 0));
        lines.push([`  ${row.label}`, ...cells, target(row)]);
      }
    }
    const widths = (lines[0] ?? []).map((_, column) =>
      Math.max(...lines.map((line) => (line.length === 1 ? 0 : (line[column]?.length ?? 0)))),
    );
    return lines
      .map((line) =>
        line.length === 1
          ? line[0]
          : line
              .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
              .join('  '),
      )
      .join('\n');
  }

  toJSON(): unknown {
    const sections = [...this.#sections].map(([section, rows]) => [
      section,
      Object.fromEntries(
        rows.map(({ label, cells, options }) => [label, { ...Object.fromEntries(cells), goal: options }]),
      ),
    ]);
    return Object.fromEntries(sections);
  }
}

function median(values: readonly number[] | undefined): number | undefined {
  if (values === undefined) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

/** `1,234 ±5%`: half the distance between the least and the greatest, as a part of the median. */
function cell(values: readonly number[] | undefined, digits: number): string {
  const middle = median(values);
  const shown = format(middle, digits);
  if (values === undefined || values.length < 2 || !middle) return shown;
  const spread = ((Math.max(...values) - Math.min(...values)) / 2 / middle) * 100;
  return `${shown} ±${Math.round(spread)}%`;
}

function format(value: number | undefined, digits: number): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function verdict({ options: { atLeast, atMost }, cells }: Row): 'ok' | 'MISSED' | '' {
  const value = median(cells.get(TARGET_OF));
  if (value === undefined || (atLeast === undefined && atMost === undefined)) return '';
  return value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY)
    ? 'ok'
    : 'MISSED';
}

function target(row: Row): string {
  const { atLeast, atMost, digits = 0 } = row.options;
  if (atLeast !== undefined) return `>= ${format(atLeast, digits)} ${verdict(row)}`;
  if (atMost !== undefined) return `<= ${format(atMost, digits)} ${verdict(row)}`;
  return '';
}

export type Setter = (label: string, value: number, row?: RowOptions) => void;

/** For the rows of one section and contender. */
export const setter =
  (sheet: Sheet, section: string, contender: string): Setter =>
  (label, value, row) =>
    sheet.set(section, label, contender, value, row);
