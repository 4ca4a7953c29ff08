/** Rows as blocks, each cell under its label: for a table that is wider than the screen. */
function stacked(table: string): string {
  return `  ${table} {
    &, & tbody { display: block; }
    & thead { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
    & tr {
      display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--cell, 6.2rem), 1fr)); gap: .35rem .9rem;
      padding-block: .7rem;
    }
    & .reason { padding-block: 0 .7rem; }
    & th, & td { padding: 0; overflow-wrap: anywhere; }
    & th, & .reason td { grid-column: 1 / -1; }
    & .reason td { padding: .5rem .8rem; }
    & td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: .8rem; }
    & .number { text-align: start; }
    & .number, & .state, & .fill { white-space: normal; }
    & tbody:last-child tr:last-child { padding-block-end: 0; }
  }`;
}

/** The style of the status page: one column on a phone, light and dark by the reader's choice, no font of its own. */
export const css = `
:root {
  color-scheme: light dark;
  --ground: #f4f5f2; --panel: #ffffff; --line: #e2e5de; --text: #1c211d; --soft: #5d665f;
  --ok: #2b7a4b; --ok-ground: #e9f4ec; --degraded: #8a5a00; --degraded-ground: #fdf3dc;
  --failing: #b3261e; --failing-ground: #fdeceb; --quiet: #59645c; --quiet-ground: #eef0ec;
  --accent: #2b7a4b; --bar: #e6e9e2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #121512; --panel: #1b1f1c; --line: #2c322d; --text: #e6eae5; --soft: #9ba69d;
    --ok: #74c893; --ok-ground: #17281d; --degraded: #e6b450; --degraded-ground: #2c2412;
    --failing: #f2938c; --failing-ground: #331917; --quiet: #a5b0a7; --quiet-ground: #212622;
    --accent: #74c893; --bar: #2a302b;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
body { margin: 0; background: var(--ground); color: var(--text); font-variant-numeric: tabular-nums; }
h1, h2, p, ul, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
main:focus-visible { outline: none; }
[hidden] { display: none !important; }
.unseen, .skip:not(:focus) {
  position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.skip:focus { position: absolute; inset: .5rem auto auto .5rem; padding: .25rem .75rem; background: var(--panel); }

header, main, footer { max-inline-size: 76rem; margin-inline: auto; padding-inline: 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .6rem; padding-block: 1.1rem .9rem; }
.leaf {
  inline-size: 1.6rem; block-size: 1.6rem; fill: none; stroke: var(--accent); stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round;
}
h1 { font-size: 1.2rem; font-weight: 650; letter-spacing: -.01em; overflow-wrap: anywhere; }
#version { color: var(--soft); }
#live { margin-inline-start: auto; color: var(--soft); font-size: .9rem; }
#live::before {
  content: ""; display: inline-block; inline-size: .5rem; block-size: .5rem; margin-inline-end: .45rem;
  border-radius: 50%; background: var(--degraded); vertical-align: .06em;
}
#live[data-live="yes"]::before { background: var(--ok); }

main { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
body[data-stale="yes"] main { opacity: .6; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.15rem; }
h2 { font-size: .95rem; font-weight: 600; margin-block-end: .7rem; }

[data-tone="ok"] { --tone: var(--ok); --tone-ground: var(--ok-ground); }
[data-tone="quiet"] { --tone: var(--quiet); --tone-ground: var(--quiet-ground); }
[data-tone="degraded"] { --tone: var(--degraded); --tone-ground: var(--degraded-ground); }
[data-tone="failing"] { --tone: var(--failing); --tone-ground: var(--failing-ground); }

#verdict {
  background: var(--tone-ground); border: 1px solid color-mix(in srgb, var(--tone) 30%, transparent);
  border-inline-start: 4px solid var(--tone); border-radius: 10px; padding: 1rem 1.15rem;
}
#sentence { font-size: 1.15rem; line-height: 1.45; font-weight: 550; text-wrap: pretty; overflow-wrap: anywhere; }
#problems:not(:empty) { margin-block-start: .8rem; display: grid; gap: .55rem; }
#problems li { padding-inline-start: .8rem; border-inline-start: 2px solid var(--tone); overflow-wrap: anywhere; }
#problems strong { margin-inline-end: .5rem; font-weight: 600; color: var(--tone); }
#problems .hint { display: block; color: var(--soft); }
#problems .since { color: var(--soft); font-size: .9rem; }
#problems .hint:empty, #problems .since:empty { display: none; }
#problems .message { margin-inline-end: .5rem; }

#cards { display: grid; gap: 1rem; }
.card h2 { margin: 0; color: var(--soft); font-weight: 500; font-size: .9rem; }
.card > .state { font-size: 1.15rem; font-weight: 600; margin-block: .1rem .6rem; color: var(--tone); }
.card > .state[data-tone="quiet"] { color: var(--text); }
dl > div { display: flex; flex-wrap: wrap; gap: 0 1rem; padding-block: .22rem; }
dl > div + div { border-block-start: 1px solid var(--line); }
dt { color: var(--soft); overflow-wrap: anywhere; }
dd { margin-inline-start: auto; overflow-wrap: anywhere; }

table { border-collapse: collapse; inline-size: 100%; }
th, td { text-align: start; font-weight: 400; padding: .45rem 1.1rem .45rem 0; vertical-align: top; }
th:last-child, td:last-child { padding-inline-end: 0; }
thead th { color: var(--soft); font-size: .86rem; padding-block: 0 .4rem; white-space: nowrap; }
tbody tr:not(.reason) { border-block-start: 1px solid var(--line); }
tbody th { overflow-wrap: anywhere; font-weight: 500; }
.number { text-align: end; white-space: nowrap; }
.note { color: var(--soft); }
.note:empty { display: none; }
table:not([hidden]) + .note { margin-block-start: .6rem; }

.lane-name { display: block; font-weight: 600; }
.detail { display: block; color: var(--soft); font-size: .86rem; }
.lane .state { color: var(--tone); font-weight: 500; white-space: nowrap; }
.lane .reason td {
  padding: .5rem .8rem; background: var(--degraded-ground); color: var(--text); border-radius: 6px;
  overflow-wrap: anywhere;
}
.meter {
  inline-size: 7rem; max-inline-size: 100%; block-size: .5rem; margin-block: .5em .3em; border-radius: 4px;
  background: var(--bar); overflow: hidden;
}
.meter > div { block-size: 100%; background: var(--tone); border-radius: 4px; }
.fill { color: var(--soft); font-size: .86rem; white-space: nowrap; }
#losses:not(:empty) { display: flex; flex-wrap: wrap; gap: .4rem; margin-block-end: .8rem; }
#losses li {
  padding: .1rem .65rem; border-radius: 1rem; background: var(--degraded-ground); color: var(--degraded);
  font-size: .9rem;
}
footer { padding-block: 1.25rem 2rem; font-size: .9rem; display: flex; gap: 1rem; }

@media (min-width: 38rem) { #cards { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (min-width: 70rem) { #cards { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
@media (max-width: 60rem) {
  .minor { display: none; }
  #lanes { --cell: min(10.5rem, 40%); }
${stacked('#lanes')}
}
@media (max-width: 44rem) {
  #clients { --cell: 8rem; }
${stacked('#ledger')}
${stacked('#clients')}
}
@media (max-width: 30rem) {
  header, main, footer { padding-inline: .8rem; }
  #sentence { font-size: 1.05rem; }
}
@media (prefers-reduced-motion: no-preference) {
  .meter > div { transition: inline-size .4s ease-out; }
  main { transition: opacity .3s; }
}
@media print { #live, footer, .skip { display: none; } body { background: none; } }
`;
