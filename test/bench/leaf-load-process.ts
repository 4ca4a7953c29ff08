/**
 * Live messages from one NATS port to another, in a process of its own: `node leaf-load-process.ts FROM TO COUNT`. Speaks
 * bytes. At most WINDOW messages are on their way, so that nobody on it has a reason to drop one. Says how many seconds it
 * took from the first message to the last.
 */
import { connect, type Socket } from 'node:net';

const PAYLOAD = 'x'.repeat(128);
const SUBJECT = 'bench.live';
const CONNECT = 'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n';
const PUBLISH = `PUB ${SUBJECT} ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`;
const MESSAGE_BYTES = `MSG ${SUBJECT} 1 ${PAYLOAD.length}\r\n`.length + PAYLOAD.length + 2;
const BURST = 250;
/** 1.7 MB. */
const WINDOW = 10_000;

const [from = '', to = '', count = ''] = process.argv.slice(2);
const total = Number(count);

function open(port: string, lines: string, read: (chunk: Buffer) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true });
    socket.on('error', reject);
    socket.write(`${CONNECT}${lines}PING\r\n`);
    let seen = '';
    const untilPong = (chunk: Buffer): void => {
      seen += chunk.toString('latin1');
      if (!seen.endsWith('PONG\r\n')) return;
      socket.off('data', untilPong);
      socket.on('data', read);
      resolve(socket);
    };
    socket.on('data', untilPong);
  });
}

let sent = 0;
let gotBytes = 0;
let sinceMs = 0;
const burst = Buffer.from(PUBLISH.repeat(BURST));
const subscriber = await open(to, `SUB ${SUBJECT} 1\r\n`, (chunk) => {
  gotBytes += chunk.length;
  if (gotBytes >= total * MESSAGE_BYTES) finish();
  else push();
});
const publisher = await open(from, '', () => {});

function push(): void {
  if (sinceMs === 0) return;
  while (sent < total && sent - Math.floor(gotBytes / MESSAGE_BYTES) < WINDOW) {
    const messages = Math.min(BURST, total - sent);
    sent += messages;
    publisher.write(burst.subarray(0, messages * PUBLISH.length));
  }
}

function finish(): void {
  process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - sinceMs) / 1_000 })}\n`);
  subscriber.destroy();
  publisher.destroy();
}

// The subscription has to get to the other server first: one message is tried until it comes through.
const trying = setInterval(() => {
  if (gotBytes < MESSAGE_BYTES) {
    publisher.write(PUBLISH);
    return;
  }
  clearInterval(trying);
  // What was sent in vain, or is still on its way, is not counted.
  setTimeout(() => {
    gotBytes = 0;
    sinceMs = performance.now();
    push();
  }, 300);
}, 50);
