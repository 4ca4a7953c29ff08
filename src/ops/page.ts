import { css } from './page-css.ts';
import { script } from './page-script.ts';

/*
 * The status page as it is served: three files and an icon, from memory, without a build of their own and without
 * anything from elsewhere, so that it works on a bench with no network. They are strings because the compiler copies
 * nothing into dist/.
 */

export interface Asset {
  type: string;
  body: Buffer;
}

const LEAF = 'M4 20C4 10 10 4 20 4c0 10-6 16-14 14m-2 2c2-5 5-8 9-10';

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#2e7d4f" stroke-width="2"
  stroke-linecap="round" stroke-linejoin="round"><path d="${LEAF}"/></svg>
`;

const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Petiole</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
<script type="module" src="/page.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the status</a>
<header>
  <svg class="leaf" viewBox="0 0 24 24" aria-hidden="true"><path d="${LEAF}"/></svg>
  <h1 id="name">Petiole</h1>
  <p id="version"></p>
  <p id="live" data-live="no">Connecting to the box</p>
</header>
<main id="main" tabindex="-1">
  <noscript><p class="panel">This page needs JavaScript. The same is in <a href="/status.json">/status.json</a>, and
  <code>petiole status</code> prints it in a terminal.</p></noscript>
  <section id="verdict" aria-labelledby="sentence" data-tone="quiet">
    <p id="sentence">Reading the status</p>
    <ul id="problems" aria-label="What needs a look"></ul>
  </section>
  <p id="spoken" class="unseen" role="status" aria-live="polite"></p>
  <div id="cards"></div>
  <section class="panel" aria-labelledby="lanes-title">
    <h2 id="lanes-title">Lanes</h2>
    <table id="lanes" role="table" aria-labelledby="lanes-title"></table>
  </section>
  <section class="panel" aria-labelledby="ledger-title">
    <h2 id="ledger-title">Will not reach the hub</h2>
    <ul id="losses" aria-label="Messages lost, by reason"></ul>
    <table id="ledger" role="table" aria-labelledby="ledger-title"></table>
    <p id="ledger-note" class="note"></p>
  </section>
  <section class="panel" aria-labelledby="clients-title">
    <h2 id="clients-title">MQTT clients</h2>
    <table id="clients" role="table" aria-labelledby="clients-title"></table>
    <p id="clients-note" class="note"></p>
  </section>
  <section class="panel" aria-labelledby="nats-clients-title">
    <h2 id="nats-clients-title">NATS clients</h2>
    <table id="nats-clients" role="table" aria-labelledby="nats-clients-title"></table>
    <p id="nats-clients-note" class="note"></p>
  </section>
</main>
<footer><a href="/status.json">status.json</a> <a href="/healthz">healthz</a></footer>
</body>
</html>
`;

/** What is served, by path. */
export const assets: ReadonlyMap<string, Asset> = new Map([
  ['/', asset('text/html', html)],
  ['/page.css', asset('text/css', css)],
  ['/page.js', asset('text/javascript', script)],
  ['/icon.svg', asset('image/svg+xml', icon)],
]);

function asset(type: string, text: string): Asset {
  return { type: `${type}; charset=utf-8`, body: Buffer.from(text) };
}
