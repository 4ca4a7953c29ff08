/**
 * The script of the status page (plain JavaScript, kept free of back quotes and dollar braces). It writes nothing but
 * text and attributes of its own: what came from outside can't become markup.
 */
export const script = `
const byId = (id) => document.getElementById(id);
const REOPEN_MS = 5000;

function make(tag, className, attributes) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}

// Untouched where nothing changed, so that a selection or a reader's place survives the next frame.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

const children = new WeakMap();

// Makes the children of a node match the items, keeping the node of each key.
function sync(parent, items, keyOf, create, update) {
  const before = children.get(parent) || new Map();
  const after = new Map();
  const seen = new Map();
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const nth = (seen.get(key) || 0) + 1;
    seen.set(key, nth);
    return key + ' #' + nth;
  });
  const kept = new Set(wanted);
  for (const [key, node] of before) if (!kept.has(key)) node.remove();
  let place = parent.tHead ? parent.tHead.nextElementSibling : parent.firstElementChild;
  items.forEach((item, index) => {
    const key = wanted[index];
    const node = before.get(key) || create(item);
    update(node, item);
    after.set(key, node);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  });
  children.set(parent, after);
}

function pair() {
  const node = make('div');
  node.append(make('dt'), make('dd'));
  return node;
}

function showPair(node, fact) {
  setText(node.children[0], fact.label);
  setText(node.children[1], fact.value);
}

function showCards(cards) {
  const create = (card) => {
    const section = make('section', 'panel card', { 'aria-label': card.title });
    section.append(make('h2'), make('p', 'state'), make('dl'));
    return section;
  };
  sync(byId('cards'), cards, (card) => card.title, create, (section, card) => {
    const [title, state, facts] = section.children;
    setText(title, card.title);
    setText(state, card.state);
    setData(state, 'tone', card.tone);
    sync(facts, card.facts, (fact) => fact.label, pair, showPair);
  });
}

function showProblems(problems) {
  const create = () => {
    const item = make('li');
    item.append(make('strong'), make('span', 'message'), make('span', 'since'), make('span', 'hint'));
    return item;
  };
  sync(byId('problems'), problems, (problem) => problem.key, create, (item, problem) => {
    const [part, message, since, hint] = item.children;
    setData(item, 'tone', problem.tone);
    setText(part, problem.part);
    setText(message, problem.message);
    setText(hint, problem.hint);
    setText(since, problem.since);
  });
}

function classOf(column) {
  return (column.numeric ? 'number' : '') + (column.minor ? ' minor' : '');
}

function headOf(table, columns) {
  if (table.tHead) return;
  const row = make('tr', '', { role: 'row' });
  for (const column of columns) {
    const cell = make('th', classOf(column), { scope: 'col', role: 'columnheader' });
    cell.textContent = column.label;
    row.append(cell);
  }
  const head = make('thead', '', { role: 'rowgroup' });
  head.append(row);
  table.prepend(head);
}

// data-label names the cell where a narrow screen shows rows as blocks, without a head.
function cellOf(column, first) {
  const role = first ? 'rowheader' : 'cell';
  const cell = make(first ? 'th' : 'td', classOf(column), { role, 'data-label': column.label });
  if (first) cell.scope = 'row';
  return cell;
}

function showTable(id, view) {
  const table = byId(id);
  table.hidden = view.rows.length === 0;
  headOf(table, view.columns);
  if (table.tBodies.length === 0) table.append(make('tbody', '', { role: 'rowgroup' }));
  const create = () => {
    const row = make('tr', '', { role: 'row' });
    view.columns.forEach((column, index) => {
      const cell = cellOf(column, index === 0);
      cell.append(make('bdi'));
      row.append(cell);
    });
    return row;
  };
  sync(table.tBodies[0], view.rows, (row) => row.key, create, (node, row) => {
    row.cells.forEach((text, index) => setText(node.children[index].firstChild, text));
  });
  setText(byId(id + '-note'), view.note);
}

function laneBody(columns) {
  const body = make('tbody', 'lane', { role: 'rowgroup' });
  const row = make('tr', '', { role: 'row' });
  const name = cellOf({ label: 'Lane' }, true);
  name.append(make('bdi', 'lane-name'), make('bdi', 'detail'));
  const state = cellOf({ label: 'State' }, false);
  state.append(make('span', 'state'));
  const fill = cellOf({ label: 'Fill' }, false);
  const meter = make('div', 'meter', { role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100' });
  meter.append(make('div'));
  fill.append(meter, make('span', 'fill'));
  row.append(name, state, fill);
  for (const label of columns) row.append(cellOf({ label, numeric: true }, false));
  const reason = make('tr', 'reason', { role: 'row' });
  reason.append(make('td', '', { role: 'cell', colspan: String(columns.length + 3) }));
  body.append(row, reason);
  return body;
}

function showLanes(columns, lanes) {
  const table = byId('lanes');
  const numeric = columns.map((label) => ({ label, numeric: true }));
  headOf(table, [{ label: 'Lane' }, { label: 'State' }, { label: 'Fill' }, ...numeric]);
  // A body for each lane keeps the row that says why with the row it is about.
  sync(table, lanes, (lane) => lane.name, () => laneBody(columns), (body, lane) => {
    const [row, reason] = body.children;
    const [name, state, fill, ...cells] = row.children;
    setText(name.children[0], lane.name);
    setText(name.children[1], lane.detail);
    setText(state.firstChild, lane.state);
    setData(state.firstChild, 'tone', lane.tone);
    const meter = fill.firstChild;
    setData(meter, 'tone', lane.tone);
    meter.setAttribute('aria-label', 'Fill of lane ' + lane.name);
    meter.setAttribute('aria-valuenow', String(Math.round(lane.fill * 100)));
    meter.setAttribute('aria-valuetext', lane.fillText);
    meter.firstChild.style.inlineSize = lane.fill * 100 + '%';
    setText(fill.children[1], lane.fillText);
    cells.forEach((cell, index) => setText(cell, lane.cells[index]));
    reason.hidden = lane.reason === '';
    setText(reason.firstChild, lane.reason);
  });
}

let spokenOf = '';

// The sentence changes with every message; a screen reader hears of it only when what is wrong changes.
function speak(view) {
  const key = view.tone + view.problems.map((problem) => problem.key).join();
  if (key === spokenOf) return;
  spokenOf = key;
  setText(byId('spoken'), view.sentence);
}

function show(view) {
  document.title = (view.tone === 'failing' ? '\\u26a0 ' : '') + view.name + ' \\u2013 Petiole';
  setText(byId('name'), view.name);
  setText(byId('version'), 'Petiole ' + view.version);
  setText(byId('sentence'), view.sentence);
  setData(byId('verdict'), 'tone', view.tone);
  speak(view);
  showProblems(view.problems);
  showCards(view.cards);
  showLanes(view.laneColumns, view.lanes);
  sync(byId('losses'), view.losses, (loss) => loss.label, () => make('li'), (item, loss) => {
    setText(item, loss.value + ' ' + loss.label);
  });
  showTable('ledger', view.ledger);
  showTable('clients', view.clients);
  showTable('nats-clients', view.natsClients);
}

function live(yes, text) {
  const node = byId('live');
  setData(node, 'live', yes ? 'yes' : 'no');
  setText(node, text);
  setData(document.body, 'stale', yes ? 'no' : 'yes');
}

let feed = null;
let reopen = 0;
let lastSeen = null;

function open() {
  clearTimeout(reopen);
  if (feed || document.hidden) return;
  feed = new EventSource('/events');
  feed.addEventListener('view', (event) => {
    lastSeen = new Date();
    live(true, 'Live');
    show(JSON.parse(event.data));
  });
  feed.addEventListener('error', () => {
    const since = lastSeen ? ' since ' + lastSeen.toLocaleTimeString() : '';
    live(false, 'No answer from the box' + since + '; trying again');
    // After a refusal (too many pages) the browser gives up; we don't.
    if (feed.readyState === EventSource.CLOSED) {
      close();
      reopen = setTimeout(open, REOPEN_MS);
    }
  });
}

function close() {
  if (feed) feed.close();
  feed = null;
}

// A page nobody sees costs the box nothing.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) close();
  else open();
});
addEventListener('pagehide', close);
addEventListener('pageshow', open);
open();
`;
