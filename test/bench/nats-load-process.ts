/**
 * A client in a process of its own, that speaks bytes: `node nats-load-process.ts ROLE PORT COUNT [CONNECTIONS]`.
 *
 *   subscribe  says "ready" once each connection is subscribed, then how many messages each got and the time of the last
 *   publish    sends COUNT messages of 128 bytes, then the time of the first
 *   request    COUNT requests, one after the other, to a responder on a connection of its own: microseconds, p50 and p99
 *   interest   COUNT subscriptions over the connections; says "ready" and stays
 */
import { connect, type Socket } from 'node:net';

const PAYLOAD = 'x'.repeat(128);
const SUBJECT = 'bench.live';
const CONNECT = 'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n';
/** What one write of a publisher holds. */
const BURST = 400;

const [role = '', port = '', count = '', connections = '1'] = process.argv.slice(2);
const total = Number(count);

function say(what: unknown): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

/** A connection whose CONNECT and `lines` have been taken; `read` gets what comes after that. */
function open(lines: string, read: (chunk: Buffer) => void): Promise<Socket> {
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

async function subscribe(): Promise<void> {
  const bytesEach = total * (`MSG ${SUBJECT} 1 ${PAYLOAD.length}\r\n`.length + PAYLOAD.length + 2);
  let left = Number(connections);
  const sockets: Socket[] = [];
  for (let i = 0; i < Number(connections); i++) {
    let bytes = 0;
    const read = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes !== bytesEach || --left > 0) return;
      say({ atMs: Date.now() });
      for (const socket of sockets) socket.destroy();
    };
    sockets.push(await open(`SUB ${SUBJECT} 1\r\n`, read));
    sockets.at(-1)?.on('close', () => left > 0 && process.exit(1));
  }
  say('ready');
}

async function publish(): Promise<void> {
  const socket = await open('', () => {});
  const one = `PUB ${SUBJECT} ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`;
  const burst = Buffer.from(one.repeat(BURST));
  say({ atMs: Date.now() });
  let sent = 0;
  const push = (): void => {
    while (sent < total) {
      const messages = Math.min(BURST, total - sent);
      sent += messages;
      if (!socket.write(burst.subarray(0, messages * one.length))) {
        socket.once('drain', push);
        return;
      }
    }
    socket.end();
  };
  push();
}

async function request(): Promise<void> {
  const answer = Buffer.from('PUB reply 2\r\nok\r\n');
  const responder = await open('SUB svc 1\r\n', () => responder.write(answer));
  const times: number[] = [];
  let since = 0n;
  const ask = Buffer.from('PUB svc reply 2\r\nhi\r\n');
  const requester = await open('SUB reply 1\r\n', () => {
    times.push(Number(process.hrtime.bigint() - since) / 1_000);
    if (times.length < total) next();
    else finish();
  });
  const next = (): void => {
    since = process.hrtime.bigint();
    requester.write(ask);
  };
  const finish = (): void => {
    times.sort((a, b) => a - b);
    say({ p50: times[Math.floor(total * 0.5)], p99: times[Math.floor(total * 0.99)] });
    requester.destroy();
    responder.destroy();
  };
  next();
}

async function interest(): Promise<void> {
  const each = total / Number(connections);
  for (let i = 0; i < Number(connections); i++) {
    const lines = Array.from({ length: each }, (_, n) => `SUB plant.line${i}.sensor${n}.* ${n}\r\n`);
    await open(lines.join(''), () => {});
  }
  say('ready');
}

const roles: Readonly<Record<string, () => Promise<void>>> = { subscribe, publish, request, interest };
await roles[role]?.();
