/**
 * Devices on ptys that say frames at the pace of a line: `node serial-load-process.ts BAUD SECONDS LINK...`. Makes the links,
 * says "ready" on stdout, starts at the first byte on stdin, and ends with `{ frames, lateMs }`: frames of each device, and
 * how far it was behind its pace at worst.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { FrameCheck } from '../../src/serial/checks.ts';
import { waitFor } from '../support/wait-for.ts';
import { FRAME_BYTES, makeFrame } from './serial-frame.ts';

const [baud = '921600', seconds = '5', ...links] = process.argv.slice(2);
/** A start bit, eight data bits, a stop bit. */
const framesPerS = Number(baud) / 10 / FRAME_BYTES;
const TICK_MS = 5;

const devices = links.map((link) => {
  const child = spawn('socat', [`pty,raw,echo=0,link=${link}`, 'STDIO'], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.on('error', () => undefined);
  return { child, sent: 0 };
});
await waitFor('the ptys', () => links.every((link) => existsSync(link)));
const check = new FrameCheck({
  ...{ type: 'crc-16/modbus', endian: 'little', as: 'binary', from: 0, place: 'inside', coversEnd: true },
});
console.log('ready');
await once(process.stdin, 'data');
process.stdin.unref();

const startedMs = performance.now();
let lateMs = 0;
const total = Math.round(framesPerS * Number(seconds));
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - startedMs) / 1000) * framesPerS));
    let isDone = due === total;
    for (const [port, device] of devices.entries()) {
      if (device.child.stdin.writableLength > 0) isDone = false;
      if (device.sent === due) continue;
      const frames: Buffer[] = [];
      for (; device.sent < due; device.sent++) frames.push(makeFrame(check, port, device.sent));
      device.child.stdin.write(Buffer.concat(frames));
      lateMs = Math.max(lateMs, (device.child.stdin.writableLength / FRAME_BYTES / framesPerS) * 1000);
    }
    if (!isDone) return;
    clearInterval(timer);
    resolve();
  }, TICK_MS);
});
console.log(JSON.stringify({ frames: total, lateMs }));
// The ptys stay until the box has read them.
await once(process, 'SIGTERM');
for (const { child } of devices) child.kill();
process.exit(0);
