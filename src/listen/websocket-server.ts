import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import { WebSocketServer } from 'ws';
import type { HandshakeBounds } from '../core/listen.ts';
import type { Protocol } from './protocol.ts';
import { WebSocketStream } from './websocket-stream.ts';

/** Loaded only for listeners with WebSocket: ws and node:http. */

/** Cookies of other programs on the same host may come along. */
const HEADER_BYTES_MAX = 8 * 1024;
/** How often the server looks for handshakes that are too slow. */
const LOOK_MS = 1_000;

export interface WebSocketOptions {
  readonly protocol: Protocol;
  readonly path: string;
  /** Of the web pages that may connect; empty for all, but on loopback for those of this machine. */
  readonly origins?: readonly string[];
  /** A web page from elsewhere, opened in a browser on this machine, must not reach it unless it is named. */
  readonly isOnLoopback: boolean;
  readonly tls: TlsOptions | null;
  readonly bounds: HandshakeBounds;
}

/** A server whose WebSockets come out as streams of bytes, and that answers all else with an error of HTTP. */
export function webSocketServer(
  options: WebSocketOptions,
  accept: (stream: WebSocketStream, socket: Socket) => void,
  refused: (why: string) => void,
): Server {
  const { protocol, tls, bounds } = options;
  const { subprotocol } = protocol;
  const http = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: bounds.timeoutMs,
    requestTimeout: bounds.timeoutMs,
    connectionsCheckingInterval: Math.min(LOOK_MS, bounds.timeoutMs),
    noDelay: true,
  };
  const server = tls === null ? createServer(http) : createSecureServer({ ...http, ...tls });
  const websockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: bounds.messageBytesMax,
    // Sensors' packets are small, and inflating what a stranger sends is a way to fill the memory.
    perMessageDeflate: false,
    handleProtocols: () => subprotocol ?? false,
  });
  server.on('request', (_request, response) => {
    refused(`a request of HTTP came to a port for ${protocol.name} over WebSocket`);
    response.writeHead(426, { Upgrade: 'websocket', Connection: 'close' }).end();
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const refusal = judge(request, options);
    if (refusal !== null) {
      refused(refusal.why);
      socket.on('error', () => {});
      socket.end(`HTTP/1.1 ${refusal.status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    websockets.handleUpgrade(request, socket, head, (websocket) => {
      // What the server hands out is the socket, of TCP or TLS.
      accept(new WebSocketStream(websocket, socket as Socket, protocol), socket as Socket);
    });
  });
  websockets.on('wsClientError', (error, socket) => {
    refused(error.message);
    socket.destroy();
  });
  return server;
}

function judge(
  { url = '/', headers }: IncomingMessage,
  { protocol, path, origins = [], isOnLoopback }: WebSocketOptions,
): { status: string; why: string } | null {
  const { subprotocol } = protocol;
  if (url.split('?', 1)[0] !== path) {
    return { status: '404 Not Found', why: `a WebSocket was asked for on another path than ${path}` };
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  if (subprotocol !== null && !offered.includes(subprotocol)) {
    return { status: '400 Bad Request', why: `a WebSocket was asked for without the subprotocol ${subprotocol}` };
  }
  // Browsers always send it, and nobody else has to.
  const { origin } = headers;
  if (origin === undefined || origins.includes(origin)) return null;
  if (isOnLoopback ? isLocalOrigin(origin) : origins.length === 0) return null;
  const from = isOnLoopback
    ? 'from elsewhere asked for a WebSocket of this machine'
    : 'of another origin asked for a WebSocket';
  return { status: '403 Forbidden', why: `a web page ${from}` };
}

function isLocalOrigin(origin: string): boolean {
  const host = URL.parse(origin)?.hostname ?? '';
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
