/**
 * Goal: whatever stands between the box and its hub (a proxy, a web server, something that speaks no protocol at all), an
 * attempt ends with an error that is named, within its bound, and nothing is left open. Method: a far end that answers
 * each step of a dial with bytes made from good answers by a seeded fuzzer, over every transport.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { errorCodes, GatewayError } from '../../src/core/errors.ts';
import { dial } from '../../src/nats/dial.ts';
import { parseHubUrl } from '../../src/nats/hub-addresses.ts';
import { leafInfo } from '../support/fake-hub.ts';
import { atEnd } from '../support/scope.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { waitFor } from '../support/wait-for.ts';

const ROUNDS = 150;
const TIMEOUT_MS = 150;

const INFO = `INFO ${JSON.stringify(leafInfo)}\r\n`;
const UPGRADE =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n';
const good = {
  tcp: [INFO, `${INFO}LS+ a\r\n`, 'INFO {}\r\n', "-ERR 'no'\r\n"],
  ws: [UPGRADE, `${UPGRADE}\x82\x05INFO `, 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n', INFO],
  proxy: [
    `HTTP/1.1 200 OK\r\n\r\n${INFO}`,
    'HTTP/1.1 407 Who\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: y\r\n',
    'HTTP/1.1 000\r\n\r\n',
  ],
  tls: ['\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03', '\x15\x03\x03\x00\x02\x02\x28', INFO],
} as const;

/** A whole number from 0 to below `end`. */
function below(random: SeededRandom, end: number): number {
  return Math.floor(random.next() * end);
}

function mutate(text: string, random: SeededRandom): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const at = below(random, bytes.length);
  switch (below(random, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      bytes[at] = below(random, 256);
      return bytes;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + below(random, 600_000), 0x41), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([bytes.subarray(at), bytes]);
    default:
      return bytes;
  }
}

describe('a far end that says anything', () => {
  for (const way of ['tcp', 'ws', 'proxy', 'tls'] as const) {
    it(`${way}: every attempt ends, with a line or with a named error`, { timeout: 120_000 }, async (scope) => {
      const random = new SeededRandom(way.length);
      let answer: Buffer = Buffer.alloc(0);
      const open = new Set<Socket>();
      const server = createServer((socket) => {
        open.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => open.delete(socket));
        const isFirst = way === 'tcp';
        if (isFirst) socket.write(answer);
        else socket.once('data', () => socket.write(answer));
        socket.resume();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      atEnd(scope, async () => {
        for (const socket of open) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      });
      const { port } = server.address() as AddressInfo;
      const scheme = way === 'ws' ? 'ws' : way === 'tls' ? 'tls' : 'nats';
      const { address } = parseHubUrl(`${scheme}://127.0.0.1:${way === 'proxy' ? 7422 : port}`);
      const options = {
        tls: { ca: null, cert: null, key: null, handshakeFirst: way === 'tls' },
        proxy: way === 'proxy' ? { host: '127.0.0.1', port, user: null, password: null } : null,
        connectTimeoutMs: TIMEOUT_MS,
      };
      const ends = new Map<string, number>();
      for (let round = 0; round < ROUNDS; round++) {
        answer = mutate(good[way][round % good[way].length] ?? '', random);
        const end = await dial(address, options, new AbortController().signal).then(
          ({ stream }) => {
            stream.destroy();
            return 'a line';
          },
          (error: unknown) => {
            assert.ok(error instanceof GatewayError, String(error));
            assert.ok(errorCodes.includes(error.code));
            assert.ok(error.message.length < 1_000 && error.hint !== undefined);
            return error.code;
          },
        );
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
      scope.diagnostic(JSON.stringify(Object.fromEntries(ends)));
      assert.ok(ends.size >= 3, 'the answers were of several kinds');
      await waitFor("the box's side to be closed", () => open.size === 0);
    });
  }
});
