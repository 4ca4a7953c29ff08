import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { atEnd, type Scope } from './scope.ts';
import { waitFor } from './wait-for.ts';

/** INFO of a leafnode port, as a stock hub sends it first. */
export const leafInfo = {
  server_id: 'FAKE',
  server_name: 'fake',
  version: '2.10.0',
  headers: true,
  max_payload: 1_048_576,
  client_id: 7,
  leafnode_urls: [],
  info_on_connect: true,
} as const;

/** A far end that speaks bytes, for what no real hub can be brought to do. */
export class FakeHub {
  readonly url: string;
  /** One for every connection so far. */
  readonly sockets: Socket[] = [];
  /** Everything the box has said on all connections. */
  said = '';

  constructor(port: number) {
    this.url = `nats://127.0.0.1:${port}`;
  }

  /** To the latest connection. */
  say(bytes: string): void {
    this.sockets.at(-1)?.write(bytes);
  }

  /** Waits until the box has said it, and forgets all before. */
  async hears(what: RegExp): Promise<RegExpExecArray> {
    const match = await waitFor(`the box to say ${what}`, () => what.exec(this.said));
    this.said = this.said.slice(match.index + match[0].length);
    return match;
  }

  /** The hub's part of the handshake. */
  async shakeHands(info: Readonly<Record<string, unknown>> = leafInfo): Promise<Record<string, unknown>> {
    const connect = await this.hears(/CONNECT (\{.*\})\r\n/);
    this.say(`INFO ${JSON.stringify({ ...info, connect_info: true, remote_account: '$G' })}\r\n`);
    await this.hears(/PING\r\n/);
    return JSON.parse(connect[1] ?? '');
  }
}

/** `greeting` is sent at once to every connection; '' says nothing. */
export async function startFakeHub(
  scope: Scope,
  greeting: string = `INFO ${JSON.stringify(leafInfo)}\r\n`,
): Promise<FakeHub> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    hub.sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      hub.said += chunk.toString();
    });
    if (greeting !== '') socket.write(greeting);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hub = new FakeHub((server.address() as AddressInfo).port);
  atEnd(scope, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return hub;
}
