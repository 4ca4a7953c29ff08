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
  /** By contender: the value of each round, with holes where it was not measured. */
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
  #round = 0;

  /** From now on figures are those of this round, from 0. */
  beginRound(round: number): void {
    this.#round = round;
  }

  set(section: string, label: string, contender: string, value: number, options: RowOptions = {}): void {
    if (!this.#columns.includes(contender)) this.#columns.push(contender);
    const rows = this.#sections.get(section) ?? [];
    this.#sections.set(section, rows);
    let row = rows.find((known) => known.label === label);
    if (row === undefined) {
      row = { label, options, cells: new Map() };
      rows.push(row);
    }
    const values = row.cells.get(contender) ?? [];
    row.cells.set(contender, values);
    values[this.#round] = value;
  }

  /** The section of a phase: what its name begins with, up to the colon; '' where there is none. */
  sectionOf(phase: string): string {
    return [...this.#sections.keys()].find((section) => section.startsWith(`${phase}:`)) ?? '';
  }

  /** What was measured in this round; undefined where nothing was. */
  get(section: string, label: string, contender: string): number | undefined {
    const row = this.#sections.get(section)?.find((known) => known.label === label);
    return row?.cells.get(contender)?.[this.#round];
  }

  /** Rows of Petiole that miss what they must reach. */
  missed(): string[] {
    return [...this.#sections].flatMap(([section, rows]) =>
      rows.filter((row) => verdictOf(row) === 'MISSED').map((row) => `${section}: ${row.label}`),
    );
  }

  /**
   * What Petiole must reach, row by row: goal, median, least and greatest of the rounds, how many there were. That nothing
   * is lost, doubled or disordered is shown only where it is not so.
   */
  goals(): string {
    const lines: string[][] = [['', '', 'goal', 'median', 'min - max', 'rounds', '']];
    for (const [section, rows] of this.#sections) {
      for (const row of rows) {
        const { atMost, digits = 0 } = row.options;
        const verdict = verdictOf(row);
        if (verdict === '' || (atMost === 0 && verdict === 'ok')) continue;
        const values = measured(row.cells.get(TARGET_OF));
        const [least, greatest] = [Math.min(...values), Math.max(...values)].map((value) => format(value, digits));
        const figures = [goalOf(row), format(median(values), digits), `${least} - ${greatest}`, `${values.length}`];
        lines.push([section.split(':')[0] ?? '', row.label, ...figures, verdict === 'ok' ? 'met' : 'MISSED']);
      }
    }
    return aligned(lines, 2);
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
    return aligned(lines, 1);
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

/** In columns, of which the first ones begin at the left; a line of one cell is a heading. */
function aligned(lines: readonly (readonly string[])[], left: number): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => (line.length === 1 ? 0 : (line[column]?.length ?? 0)))),
  );
  const padded = (cell: string, at: number): string =>
    at < left ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
  return lines.map((line) => (line.length === 1 ? line[0] : line.map(padded).join('  '))).join('\n');
}

/** Without the holes of rounds in which it was not measured. */
function measured(values: readonly number[] | undefined): number[] {
  return (values ?? []).filter((value) => value !== undefined);
}

function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

/** `1,234 ±5%`: half the distance between the least and the greatest, as a part of the median. */
function cell(rounds: readonly number[] | undefined, digits: number): string {
  const values = measured(rounds);
  const middle = median(values);
  const shown = format(middle, digits);
  if (values.length < 2 || !middle) return shown;
  const spread = ((Math.max(...values) - Math.min(...values)) / 2 / middle) * 100;
  return `${shown} ±${Math.round(spread)}%`;
}

function format(value: number | undefined, digits: number): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function verdictOf({ options: { atLeast, atMost }, cells }: Row): 'ok' | 'MISSED' | '' {
  const value = median(measured(cells.get(TARGET_OF)));
  if (value === undefined || (atLeast === undefined && atMost === undefined)) return '';
  return value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY)
    ? 'ok'
    : 'MISSED';
}

function goalOf({ options: { atLeast, atMost, digits = 0 } }: Row): string {
  if (atLeast !== undefined) return `>= ${format(atLeast, digits)}`;
  return atMost === undefined ? '' : `<= ${format(atMost, digits)}`;
}

function target(row: Row): string {
  const goal = goalOf(row);
  return goal === '' ? '' : `${goal} ${verdictOf(row)}`;
}

export type Setter = (label: string, value: number, row?: RowOptions) => void;

/** For the rows of one section and contender. */
export const setter =
  (sheet: Sheet, section: string, contender: string): Setter =>
  (label, value, row) =>
    sheet.set(section, label, contender, value, row);
