/**
 * What the leaf link reaches without a journal and without a procedure, in a process of its own:
 * `node raw-leaf-process.ts LEAF-URL COUNT`. The box's own link sends COUNT messages of one size without headers, WINDOW of
 * them without their PubAck at the most. Says how many seconds it took from the first message to the last PubAck, and of CPU.
 */
import { NO_HEADERS } from '../../src/core/message.ts';
import { PubAckReader } from '../../src/upstream/puback.ts';
import { startLinkedBox } from '../support/leaf-box.ts';
import { Lifetime } from '../support/scope.ts';

/** As the box has it by default (`upstream.window`). */
const WINDOW = 1_000;
const NAME = 'raw';
const NO_NAMES: readonly string[] = [];
const payload = Buffer.alloc(128, 'x');

const [url = '', count = ''] = process.argv.slice(2);
const total = Number(count);
await using life = new Lifetime();
const { link, seen } = await startLinkedBox(life, url, { name: NAME, user: 'box', password: 'bench' });
const pubAcks = new PubAckReader();
const done = Promise.withResolvers<void>();
let sent = 0;
let acked = 0;

function push(): void {
  // Not `writable`: what it keeps free for live messages is no part of the link's own speed, and the window is bound enough.
  while (sent < total && sent - acked < WINDOW) {
    const result = link.forward('bench.raw', `_INBOX.${NAME}.${sent}`, NO_HEADERS, payload, NO_NAMES);
    // The hub's interest in the stream's subject comes with the link.
    if (result !== 'sent') throw new Error(`the raw link: ${result}`);
    sent++;
  }
}

seen.inbox = (_token, _headers, answer) => {
  const ack = pubAcks.read(answer);
  if (ack === null || ack.error !== null) throw new Error(`the raw link was answered ${answer}`);
  if (++acked === total) done.resolve();
  else push();
};
seen.down = (reason) => {
  throw reason;
};
const sinceMs = performance.now();
const before = process.cpuUsage();
push();
await done.promise;
const { user, system } = process.cpuUsage(before);
process.stdout.write(
  `${JSON.stringify({ seconds: (performance.now() - sinceMs) / 1_000, cpuS: (user + system) / 1e6 })}\n`,
);
// Not a fault: the link ends with the process.
seen.down = () => {};
