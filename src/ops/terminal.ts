import type { Fact, LaneRow, Table, Tone, View } from './view.ts';

/** Where `render` writes to. */
export interface Terminal {
  /** Characters in a line; tables are cut to it, text is wrapped. */
  columns: number;
  /** ANSI colours. */
  colour: boolean;
}

/** Rows of the ledger and of the clients on one screen; `/status.json` has all. */
const TABLE_ROWS_MAX = 12;
const METER_CHARACTERS = 10;

const TONES: Record<Tone, { colour: number; mark: string }> = {
  ok: { colour: 32, mark: '●' },
  quiet: { colour: 0, mark: '○' },
  degraded: { colour: 33, mark: '▲' },
  failing: { colour: 31, mark: '✖' },
};
const BOLD = 1;
const DIM = 2;

/** The status page as one screen of text. The mark before the sentence says without colour what the colour says. */
export function render(view: View, terminal: Terminal): string {
  const paint = (text: string, code: number): string =>
    terminal.colour && code !== 0 ? `\x1b[${code}m${text}\x1b[0m` : text;
  const wrapped = (text: string, indent: number): string[] => wrap(text, terminal.columns, indent);
  const lines: string[] = [];
  const heading = (text: string): void => void lines.push('', paint(text, BOLD));

  const { colour, mark } = TONES[view.tone];
  const [first = '', ...rest] = wrapped(view.sentence, 2);
  lines.push(`${paint(view.name, BOLD)} ${paint(`Petiole ${view.version}`, DIM)}`);
  lines.push(`${paint(mark, colour)} ${first.trimStart()}`, ...rest);

  if (view.problems.length > 0) {
    heading('Needs a look');
    for (const { tone, part, message, hint, since } of view.problems) {
      const [line = '', ...more] = wrapped(`${part}: ${[message, since].filter(Boolean).join(' ')}`, 4);
      lines.push(`  ${paint(TONES[tone].mark, TONES[tone].colour)} ${line.trimStart()}`, ...more);
      if (hint !== '') lines.push(...wrapped(hint, 4).map((text) => paint(text, DIM)));
    }
  }
  for (const { title, state, tone, facts } of view.cards) {
    heading(title);
    lines[lines.length - 1] += `  ${paint(state, TONES[tone].colour)}`;
    lines.push(...wrapped(joined(facts), 2));
  }
  heading('Lanes');
  lines.push(...laneLines(view, terminal.columns, paint, wrapped));
  heading('Will not reach the hub');
  if (view.losses.length > 0)
    lines.push(...wrapped(view.losses.map(({ label, value }) => `${value} ${label}`).join(', '), 2));
  lines.push(...tableLines(view.ledger, terminal.columns, paint));
  heading('MQTT clients');
  lines.push(...tableLines(view.clients, terminal.columns, paint));
  heading('NATS clients');
  lines.push(...tableLines(view.natsClients, terminal.columns, paint));
  return `${lines.join('\n')}\n`;
}

type Paint = (text: string, code: number) => string;

/** One table, all of its rows. */
export function renderTable(table: Table, { columns, colour }: Terminal): string {
  const paint: Paint = (text, code) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  return tableLines(table, columns, paint, Number.POSITIVE_INFINITY)
    .map((line) => `${line.slice(2)}\n`)
    .join('');
}

function laneLines(
  view: View,
  columns: number,
  paint: Paint,
  wrapped: (text: string, indent: number) => string[],
): string[] {
  const cellsOf = (lane: LaneRow): string[] => [
    lane.name,
    lane.state,
    `${meter(lane.fill)} ${lane.fillText}`,
    ...lane.cells,
  ];
  const table: Table = {
    columns: [
      ...['Lane', 'State', 'Fill'].map((label) => ({ label, numeric: false, minor: false })),
      ...view.laneColumns.map((label) => ({ label, numeric: true, minor: false })),
    ],
    rows: view.lanes.map((lane) => ({ key: lane.name, cells: cellsOf(lane) })),
    note: '',
  };
  const [head = '', ...rows] = tableLines(table, columns, paint, Number.POSITIVE_INFINITY);
  const lines = [head];
  for (const [index, row] of rows.entries()) {
    const lane = view.lanes[index];
    lines.push(lane === undefined ? row : paint(row, TONES[lane.tone].colour === 32 ? 0 : TONES[lane.tone].colour));
    if (lane !== undefined && lane.reason !== '') lines.push(...wrapped(lane.reason, 4));
  }
  return lines;
}

function tableLines(table: Table, columns: number, paint: Paint, rowsMax = TABLE_ROWS_MAX): string[] {
  const rows = table.rows.slice(0, rowsMax);
  const lines: string[] = [];
  if (rows.length > 0) {
    const widths = table.columns.map(({ label }, index) =>
      Math.max(label.length, ...rows.map(({ cells }) => widthOf(cells[index] ?? ''))),
    );
    const line = (cells: readonly string[]): string =>
      cut(
        `  ${cells.map((cell, index) => pad(cell, widths[index] ?? 0, table.columns[index]?.numeric ?? false)).join('  ')}`,
        columns,
      );
    lines.push(paint(line(table.columns.map(({ label }) => label)), DIM));
    lines.push(...rows.map(({ cells }) => line(cells)));
  }
  const left = table.rows.length - rows.length;
  if (left > 0) lines.push(`  and ${left} more`);
  if (table.note !== '') lines.push(`  ${table.note}`);
  return lines;
}

function joined(facts: readonly Fact[]): string {
  return facts.map(({ label, value }) => `${label}: ${value}`).join(' · ');
}

function meter(fill: number): string {
  const full = Math.round(fill * METER_CHARACTERS);
  return '█'.repeat(full) + '░'.repeat(METER_CHARACTERS - full);
}

function pad(text: string, width: number, numeric: boolean): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)));
  return numeric ? space + text : text + space;
}

/** Code points: good enough for columns, and no table of character widths. */
function widthOf(text: string): number {
  let width = 0;
  for (const _ of text) width++;
  return width;
}

function cut(line: string, columns: number): string {
  const text = line.trimEnd();
  return widthOf(text) <= columns ? text : `${[...text].slice(0, Math.max(1, columns - 1)).join('')}…`;
}

/** Breaks at spaces, and anywhere in a word that is longer than a line; every line starts with `indent` spaces. */
function wrap(text: string, columns: number, indent: number): string[] {
  const room = Math.max(20, columns - indent);
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > room) {
      lines.push(line);
      line = '';
    }
    while (widthOf(word) > room) {
      lines.push([...word].slice(0, room).join(''));
      word = [...word].slice(room).join('');
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines.map((each) => ' '.repeat(indent) + each);
}
